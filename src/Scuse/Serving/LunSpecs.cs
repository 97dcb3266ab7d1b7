using Scuse.Engine;
using Scuse.Target;

namespace Scuse.Cli.Serving;

/// <summary>The logical units that the operator asks for: <c>KIND:TEXT</c>, one each.</summary>
static class LunSpecs
{
    const string LevelOption = "level";

    /// <exception cref="FormatException">A spec is wrong; the message names what.</exception>
    public static IReadOnlyList<LunOptions> Parse(IReadOnlyList<string> specs, int commandTimeoutMs)
    {
        if (specs.Count > EngineOptions.MaxLuns)
        {
            throw new FormatException($"{specs.Count} logical units; {EngineOptions.MaxLuns} are possible");
        }

        List<LunOptions> luns = [];
        HashSet<string> names = [];
        foreach (string spec in specs)
        {
            LunOptions lun = Parse(spec, luns.Count) with { CommandTimeoutMs = commandTimeoutMs };
            if (!names.Add(lun.DeviceName))
            {
                throw new FormatException($"'{spec}': there is another device of that name");
            }

            luns.Add(lun);
        }

        return luns;
    }

    static LunOptions Parse(string spec, int number)
    {
        int colon = spec.IndexOf(':', StringComparison.Ordinal);
        string kind = colon < 0 ? spec : spec[..colon];
        string text = colon < 0 ? "" : spec[(colon + 1)..];
        try
        {
            return kind switch
            {
                "exec" => Exec(spec, text, number),
                "attach" => Attach(spec, text, number),
                _ when BuiltInHandlers.IsKind(kind) => BuiltIn(spec, kind, text, number),
                _ => throw new FormatException($"'{kind}' is not a kind of handler; there are {string.Join(", ", BuiltInHandlers.Kinds)}, exec and attach"),
            };
        }
        catch (FormatException exception)
        {
            throw new FormatException($"LUN {number} ({spec}): {exception.Message}", exception);
        }
    }

    static LunOptions BuiltIn(string spec, string kind, string text, int number)
    {
        (text, PassLevel? level) = TakeLevel(text);
        BuiltInHandlers.Check(kind, text);
        return new LunOptions
        {
            Number = number,
            Spec = spec,
            DeviceName = $"lun{number}",
            Launch = Self.Launch("handler", $"{kind}:{text}"),
            Level = level,
        };
    }

    static LunOptions Exec(string spec, string text, int number)
    {
        IReadOnlyList<string> words = CommandWords.Split(text);
        return words.Count == 0
            ? throw new FormatException("there is no command after 'exec:'")
            : new LunOptions { Number = number, Spec = spec, DeviceName = $"lun{number}", Launch = new HandlerLaunch(words[0], [.. words.Skip(1)]) };
    }

    static LunOptions Attach(string spec, string text, int number)
    {
        (string name, PassLevel? level) = TakeLevel(text);
        if (name.Length == 0 || !name.All(static character => char.IsAsciiLetterOrDigit(character) || character is '-' or '_' or '.'))
        {
            throw new FormatException($"'{name}' is not a device name: letters, digits, '-', '_' and '.'");
        }

        return new LunOptions { Number = number, Spec = spec, DeviceName = name, Level = level };
    }

    /// <summary>The pass level is the engine's business: its option is taken out of what the handler gets to see.</summary>
    static (string Text, PassLevel? Level) TakeLevel(string text)
    {
        int mark = text.IndexOf('?', StringComparison.Ordinal);
        if (mark < 0)
        {
            return (text, null);
        }

        PassLevel? level = null;
        List<string> others = [];
        foreach (string option in text[(mark + 1)..].Split('&'))
        {
            if (!option.StartsWith($"{LevelOption}=", StringComparison.Ordinal))
            {
                others.Add(option);
                continue;
            }

            level = option[(LevelOption.Length + 1)..] switch
            {
                "io" => PassLevel.Io,
                "all" => PassLevel.All,
                string other => throw new FormatException($"level '{other}' is neither io nor all"),
            };
        }

        return (others.Count == 0 ? text[..mark] : $"{text[..mark]}?{string.Join('&', others)}", level);
    }
}
