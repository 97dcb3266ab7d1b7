using Scuse.Engine;

namespace Scuse.Cli.Serving;

/// <summary>The logical units that the operator asks for: <c>KIND:TEXT</c>, one each.</summary>
static class LunSpecs
{
    /// <exception cref="FormatException">A spec is wrong; the message names what.</exception>
    public static IReadOnlyList<LunOptions> Parse(IReadOnlyList<string> specs, EngineSpecOptions defaults)
    {
        List<LunOptions> luns = [];
        HashSet<string> names = [];
        foreach (string spec in specs)
        {
            foreach (LunOptions lun in Parse(spec, luns.Count, defaults))
            {
                if (luns.Count == EngineOptions.MaxLuns)
                {
                    throw new FormatException($"more than {EngineOptions.MaxLuns} logical units");
                }

                if (!names.Add(lun.DeviceName))
                {
                    throw new FormatException($"'{spec}': there is another device named '{lun.DeviceName}'");
                }

                luns.Add(lun);
            }
        }

        return luns;
    }

    static List<LunOptions> Parse(string spec, int number, EngineSpecOptions defaults)
    {
        int colon = spec.IndexOf(':', StringComparison.Ordinal);
        string kind = colon < 0 ? spec : spec[..colon];
        string text = colon < 0 ? "" : spec[(colon + 1)..];
        try
        {
            return kind switch
            {
                "exec" => [.. Exec(spec, text, number, defaults)],
                "attach" => [.. Attach(spec, text, number, defaults)],
                _ when BuiltInHandlers.IsKind(kind) => [.. BuiltIn(spec, kind, text, number, defaults)],
                _ => throw new FormatException($"'{kind}' is not a kind of handler; there are {string.Join(", ", BuiltInHandlers.Kinds)}, exec and attach"),
            };
        }
        catch (FormatException exception)
        {
            throw new FormatException($"LUN {number} ({spec}): {exception.Message}", exception);
        }
    }

    static IEnumerable<LunOptions> BuiltIn(string spec, string kind, string text, int number, EngineSpecOptions defaults)
    {
        (text, EngineSpecOptions options) = defaults.TakeFrom(text);
        BuiltInHandlers.Check(kind, text);
        for (int i = 0; i < options.Count; i++)
        {
            // The handler's text travels in the attach protocol, not on its command line, so that logical units can share a process.
            LunOptions lun = Named(spec, number + i, $"lun{number + i}", options);
            yield return lun with { Launch = Self.Launch("handler", $"{kind}:"), Config = text };
        }
    }

    static IEnumerable<LunOptions> Exec(string spec, string text, int number, EngineSpecOptions defaults)
    {
        IReadOnlyList<string> words = CommandWords.Split(text);
        return words.Count == 0
            ? throw new FormatException("there is no command after 'exec:'")
            : [Named(spec, number, $"lun{number}", defaults) with { Launch = new HandlerLaunch(words[0], [.. words.Skip(1)]) }];
    }

    static IEnumerable<LunOptions> Attach(string spec, string text, int number, EngineSpecOptions defaults)
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
