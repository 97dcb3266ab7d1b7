using Scuse.Engine;

namespace Scuse.Cli.Serving;

/// <summary>The logical units of a target, as the operator asks for them: <c>KIND:TEXT</c>, one each, or more with <c>count=</c>.</summary>
/// <param name="defaults">What every kind has where its spec says nothing else.</param>
/// <param name="devicePrefix">What the names of devices begin with, those apart that the operator chooses himself.</param>
/// <param name="folder">Where the paths of files begin; null: as they are.</param>
sealed class LunSpecs(EngineSpecOptions defaults, string devicePrefix = "", string? folder = null)
{
    const string File = "file";

    readonly SortedDictionary<int, LunOptions> _luns = [];
    readonly HashSet<string> _names = [];
    int _next;

    /// <summary>Those there are, by their numbers.</summary>
    public IReadOnlyList<LunOptions> All => [.. _luns.Values];

    /// <summary>Adds what a spec stands for; returns the number after it.</summary>
    /// <param name="spec">The spec.</param>
    /// <param name="number">Its number, or that of the first; null: the one after those before it.</param>
    /// <exception cref="FormatException">It is wrong; the message is one line for a person.</exception>
    public int Add(string spec, int? number = null)
    {
        int first = number ?? _next;
        foreach (LunOptions lun in Parse(spec, first))
        {
            if (lun.Number is < 0 or >= TargetOptions.MaxLuns)
            {
                throw new FormatException(number is null ? $"more than {TargetOptions.MaxLuns} logical units" : $"LUN {lun.Number} is not from 0 to {TargetOptions.MaxLuns - 1}");
            }

            if (!_luns.TryAdd(lun.Number, lun))
            {
                throw new FormatException($"'{spec}': LUN {lun.Number} is there already");
            }

            if (!_names.Add(lun.DeviceName))
            {
                throw new FormatException($"'{spec}': there is another device named '{lun.DeviceName}'");
            }

            _next = lun.Number + 1;
        }

        return _next;
    }

    /// <summary>A spec whose path is full: for a process that runs in another folder. Others are as they were.</summary>
    public static string WithFullPath(string spec, string folder)
    {
        int colon = spec.IndexOf(':', StringComparison.Ordinal), mark = spec.IndexOf('?', StringComparison.Ordinal);
        int end = mark < 0 ? spec.Length : mark;
        return colon > 0 && colon + 1 < end && spec[..colon] == File ? $"{File}:{Path.GetFullPath(spec[(colon + 1)..end], folder)}{spec[end..]}" : spec;
    }

    List<LunOptions> Parse(string given, int number)
    {
        string spec = folder is null ? given : WithFullPath(given, folder);
        int colon = spec.IndexOf(':', StringComparison.Ordinal);
        string kind = colon < 0 ? spec : spec[..colon];
        string text = colon < 0 ? "" : spec[(colon + 1)..];
        try
        {
            return kind switch
            {
                "exec" => [.. Exec(spec, text, number)],
                "attach" => [.. Attach(spec, text, number)],
                _ when BuiltInHandlers.IsKind(kind) => [.. BuiltIn(spec, kind, text, number)],
                _ => throw new FormatException($"'{kind}' is not a kind of handler; there are {string.Join(", ", BuiltInHandlers.Kinds)}, exec and attach"),
            };
        }
        catch (FormatException exception)
        {
            throw new FormatException($"LUN {number} ({spec}): {exception.Message}", exception);
        }
    }

    IEnumerable<LunOptions> BuiltIn(string spec, string kind, string text, int number)
    {
        (text, EngineSpecOptions options) = defaults.TakeFrom(text);
        BuiltInHandlers.Check(kind, text);
        for (int i = 0; i < options.Count; i++)
        {
            // The handler's text travels in the attach protocol, not on its command line, so that logical units can share a process.
            LunOptions lun = Named(spec, number + i, $"{devicePrefix}lun{number + i}", options);
            yield return lun with { Launch = Self.Launch("handler", $"{kind}:"), Config = text };
        }
    }

    IEnumerable<LunOptions> Exec(string spec, string text, int number)
    {
        IReadOnlyList<string> words = CommandWords.Split(text);
        return words.Count == 0
            ? throw new FormatException("there is no command after 'exec:'")
            : [Named(spec, number, $"{devicePrefix}lun{number}", defaults) with { Launch = new HandlerLaunch(words[0], [.. words.Skip(1)]) }];
    }

    IEnumerable<LunOptions> Attach(string spec, string text, int number)
    {
        (string name, EngineSpecOptions options) = defaults.TakeFrom(text);
        if (name.Length == 0 || !name.All(static character => char.IsAsciiLetterOrDigit(character) || character is '-' or '_' or '.'))
        {
            throw new FormatException($"'{name}' is not a device name: letters, digits, '-', '_' and '.'");
        }

        for (int i = 0; i < options.Count; i++)
        {
            yield return Named(spec, number + i, options.Count == 1 ? name : $"{name}{i}", options);
        }
    }

    static LunOptions Named(string spec, int number, string device, EngineSpecOptions options) =>
        options.ApplyTo(new LunOptions { Number = number, Spec = spec, DeviceName = device });
}
