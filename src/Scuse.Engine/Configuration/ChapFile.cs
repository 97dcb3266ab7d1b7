using System.Text.Json;
using System.Text.Json.Serialization;

namespace Scuse.Engine;

/// <summary>
/// A file with CHAP users and their secrets, in JSON: <c>users</c> of the target, its own name and secret as <c>mutual</c>, the same for <c>discovery</c>, and the
/// <c>algorithms</c> allowed. Nobody but its owner may read or write it.
/// </summary>
public sealed record ChapFile
{
    const int MaxBytes = 1 << 20;

    const UnixFileMode OthersMode = UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.GroupExecute
        | UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute;

    /// <summary>Who may log in to the target; null: no authentication there.</summary>
    public IReadOnlyList<ChapUserOptions>? Users { get; init; }

    /// <summary>What the target proves itself with.</summary>
    public ChapUserOptions? Mutual { get; init; }

    /// <summary>Who may ask which targets there are; null: no authentication for that.</summary>
    public ChapOptions? Discovery { get; init; }

    /// <summary>The algorithms allowed for both; null: all.</summary>
    public IReadOnlyList<string>? Algorithms { get; init; }

    /// <summary>CHAP for the target; null: none.</summary>
    [JsonIgnore]
    public ChapOptions? ForTarget => Users is null ? null : new ChapOptions { Users = Users, Mutual = Mutual, Algorithms = Algorithms };

    /// <summary>CHAP for discovery; null: none.</summary>
    [JsonIgnore]
    public ChapOptions? ForDiscovery => Discovery is null ? null : Discovery with { Algorithms = Discovery.Algorithms ?? Algorithms };

    /// <summary>Reads it.</summary>
    /// <exception cref="FormatException">
    /// It is not there, others may read or write it, or it is not what it should be; the message is one line for the operator, without a secret.
    /// </exception>
    public static ChapFile Load(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        try
        {
            using FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.Read);
            if ((File.GetUnixFileMode(stream.SafeFileHandle) & OthersMode) != 0)
            {
                throw new FormatException($"{path} holds secrets, and others than its owner may read or write it; mend that with: chmod 600 {path}");
            }

            if (stream.Length > MaxBytes)
            {
                throw new FormatException($"{path} is longer than {MaxBytes} bytes");
            }

            ChapFile file = JsonSerializer.Deserialize(stream, ChapFileJson.Default.ChapFile) ?? throw new FormatException($"{path} holds nothing");
            return file switch
            {
                { Users: null, Discovery: null } => throw new FormatException($"{path} names no users; it needs \"users\", \"discovery\" or both"),
                { Users: null, Mutual: not null } => throw new FormatException($"{path} has \"mutual\" without \"users\": who asks a target to prove itself has to do so first"),
                _ => file,
            };
        }
        catch (JsonException exception)
        {
            // Not its message: that quotes what it found.
            string where = exception.LineNumber is { } line ? $" at line {line + 1}" : "";
            string what = string.IsNullOrEmpty(exception.Path) || exception.Path == "$" ? "" : $" ({exception.Path})";
            throw new FormatException($"{path} is not what it should be{where}{what}; docs/access.md shows what goes there");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new FormatException($"{path}: {exception.Message}", exception);
        }
    }
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    ReadCommentHandling = JsonCommentHandling.Skip,
    AllowTrailingCommas = true)]
[JsonSerializable(typeof(ChapFile))]
sealed partial class ChapFileJson : JsonSerializerContext;
