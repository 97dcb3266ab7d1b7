using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using System.Text.RegularExpressions;

namespace Scuse.Cli.Configuration;

/// <summary>A configuration file that was read, and where in it what stands: every complaint about it names its line. docs/configuration.md.</summary>
sealed partial class ConfigFile
{
    const int MaxBytes = 16 << 20;
    const string Target = "targets[]", Lun = "targets[].luns[]";

    readonly Dictionary<string, int> _lines;

    ConfigFile(string path, ServeSettings settings, Dictionary<string, int> lines)
    {
        Path = path;
        Settings = settings;
        _lines = lines;
    }

    /// <summary>The file's full path.</summary>
    public string Path { get; }

    /// <summary>What it says.</summary>
    public ServeSettings Settings { get; }

    /// <summary>The names that may stand in an object of the file, by the object's place in it.</summary>
    public static IReadOnlyDictionary<string, IReadOnlyList<string>> Members { get; } = new Dictionary<string, IReadOnlyList<string>>(StringComparer.Ordinal)
    {
        [""] = [.. SettingsJson.Default.ServeSettings.Properties.Select(static member => member.Name)],
        [Target] = [.. SettingsJson.Default.TargetSettings.Properties.Select(static member => member.Name)],
        [Lun] = [LunSettingsConverter.SpecMember, LunSettingsConverter.LunMember],
    };

    /// <summary>Reads a file.</summary>
    /// <exception cref="FormatException">It cannot be read, or is not what it should be; the message is one line with the file, the line and what is wrong.</exception>
    public static ConfigFile Load(string path)
    {
        string full = System.IO.Path.GetFullPath(path);
        try
        {
            byte[] bytes = File.ReadAllBytes(full);
            return bytes.Length <= MaxBytes ? Parse(full, bytes) : throw new FormatException($"{full} is longer than {MaxBytes} bytes");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new FormatException($"{full}: {exception.Message}", exception);
        }
    }

    /// <summary>Reads the content of a file.</summary>
    /// <exception cref="FormatException">It is not what it should be; the message is one line with the file, the line and what is wrong.</exception>
    public static ConfigFile Parse(string path, ReadOnlySpan<byte> content)
    {
        ReadOnlySpan<byte> text = content.StartsWith("\uFEFF"u8) ? content[3..] : content;
        var lines = new Dictionary<string, int>(StringComparer.Ordinal);
        try
        {
            FindLines(path, text, lines);
            ServeSettings settings = JsonSerializer.Deserialize(text, SettingsJson.Default.ServeSettings)!;
            return new ConfigFile(path, settings, lines);
        }
        catch (JsonException exception)
        {
            string member = exception.Path is { } found && found.StartsWith("$.", StringComparison.Ordinal) ? found[2..] : "";
            string place = exception.LineNumber is { } line ? $"{path}, line {line + 1}" : path;
            throw new FormatException(member.Length > 0 ? $"{PlaceOf(path, lines, member) ?? place}: {member} is not {KindOf(member)}" : $"{place}: {Reason().Match(exception.Message).Value}", exception);
        }
    }

    /// <summary>Where a member stands: the file and the line. Where it does not, what it is part of.</summary>
    public string PlaceOf(string member) => PlaceOf(Path, _lines, member) ?? Path;

    static string? PlaceOf(string path, Dictionary<string, int> lines, string member)
    {
        for (string part = member; part.Length > 0; part = part[..Math.Max(0, part.LastIndexOfAny(['.', '[']))])
        {
            if (lines.TryGetValue(part, out int line))
            {
                return $"{path}, line {line}";
            }
        }

        return null;
    }

    /// <summary>Notes the line of every member and element, and refuses members that are not known, that are there twice, and null.</summary>
    static void FindLines(string path, ReadOnlySpan<byte> text, Dictionary<string, int> lines)
    {
        var reader = new Utf8JsonReader(text, new JsonReaderOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true });
        Stack<(string Path, int Index)> containers = new(); // an index below 0: an object
        string value = ""; // the path of the value that comes next
        int line = 1, counted = 0;
        while (reader.Read())
        {
            line += text[counted..(int)reader.TokenStartIndex].Count((byte)'\n');
            counted = (int)reader.TokenStartIndex;
            if (reader.TokenType == JsonTokenType.PropertyName)
            {
                string name = reader.GetString()!, holder = containers.Peek().Path;
                value = holder.Length == 0 ? name : $"{holder}.{name}";
                if (Members.TryGetValue(Index().Replace(holder, "[]"), out IReadOnlyList<string>? known) && !known.Contains(name))
                {
                    throw new FormatException($"{path}, line {line}: '{name}' is not known here; {string.Join(", ", known)} are");
                }

                if (!lines.TryAdd(value, line))
                {
                    throw new FormatException($"{path}, line {line}: {value} is there twice");
                }

                continue;
            }

            if (reader.TokenType is JsonTokenType.EndObject or JsonTokenType.EndArray)
            {
                containers.Pop();
                continue;
            }

            if (containers.Count == 0 && reader.TokenType != JsonTokenType.StartObject)
            {
                throw new FormatException($"{path}, line {line}: the file is not an object: it begins with '{{'");
            }

            if (containers.TryPeek(out (string Path, int Index) container) && container.Index >= 0)
            {
                value = $"{container.Path}[{container.Index}]";
                lines.Add(value, line);
                containers.Pop();
                containers.Push((container.Path, container.Index + 1));
            }

            switch (reader.TokenType)
            {
                case JsonTokenType.StartObject:
                    containers.Push((value, -1));
                    break;
                case JsonTokenType.StartArray:
                    containers.Push((value, 0));
                    break;
                case JsonTokenType.Null:
                    throw new FormatException($"{path}, line {line}: {value} is null, which says nothing");
            }
        }
    }

    /// <summary>What a member should be, for a person.</summary>
    static string KindOf(string member)
    {
        string place = Index().Replace(member, "[]");
        if (place.StartsWith(Lun, StringComparison.Ordinal))
        {
            return place.EndsWith($".{LunSettingsConverter.LunMember}", StringComparison.Ordinal) ? "a number" : "a text, or an object with spec and lun";
        }

        JsonTypeInfo holder = place.StartsWith($"{Target}.", StringComparison.Ordinal) ? SettingsJson.Default.TargetSettings : SettingsJson.Default.ServeSettings;
        string name = place.StartsWith($"{Target}.", StringComparison.Ordinal) ? place[(Target.Length + 1)..] : place;
        bool isElement = name.EndsWith("[]", StringComparison.Ordinal);
        Type? type = holder.Properties.FirstOrDefault(property => property.Name == (isElement ? name[..^2] : name))?.PropertyType;
        return isElement ? (type == typeof(IReadOnlyList<TargetSettings>) ? "an object" : "a text")
            : type == typeof(int?) ? "a whole number"
            : type == typeof(bool?) ? "true or false"
            : type == typeof(string) ? "a text"
            : type == typeof(IReadOnlyList<string>) ? "a list of texts"
            : "a list";
    }

    [GeneratedRegex(@"\[\d+\]")]
    private static partial Regex Index();

    /// <summary>A parser's message without the place, which is said before it.</summary>
    [GeneratedRegex(@"^.*?(?=( Path: .*)?( LineNumber: .*)?$)", RegexOptions.Singleline)]
    private static partial Regex Reason();
}
