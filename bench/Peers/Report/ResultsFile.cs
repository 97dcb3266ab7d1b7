using System.Runtime.CompilerServices;

namespace Scuse.Bench.Peers;

/// <summary>bench/RESULTS.md, of which this program owns the part between two marks.</summary>
static class ResultsFile
{
    const string Begin = "<!-- peers: begin; written by bench/Peers/run -->";
    const string End = "<!-- peers: end -->";

    public static string Default { get; } = Path.GetFullPath(Path.Combine(ThisFolder(), "..", "..", "RESULTS.md"));

    /// <summary>Puts a new description, tables and picture between the marks, which are added to a file that does not have them. The picture is a file beside it.</summary>
    public static async Task ReplaceAsync(string path, string description, string tables, string? picture)
    {
        string reference = "";
        if (picture is not null)
        {
            string name = $"{Path.GetFileNameWithoutExtension(path).ToLowerInvariant()}.svg";
            await File.WriteAllTextAsync(Path.Combine(Path.GetDirectoryName(Path.GetFullPath(path))!, name), picture);
            reference = $"![The rates as multiples of tgt's]({name})\n\n";
        }

        string part = $"{Begin}\n## Side by side with tgt\n\n{description}\n{reference}{tables}{End}";
        string text = File.Exists(path) ? await File.ReadAllTextAsync(path) : "# Results\n";
        int begin = text.IndexOf(Begin, StringComparison.Ordinal);
        int end = text.IndexOf(End, StringComparison.Ordinal);
        string changed = begin >= 0 && end > begin
            ? $"{text[..begin]}{part}{text[(end + End.Length)..]}"
            : $"{text.TrimEnd('\n')}\n\n{part}\n";
        await File.WriteAllTextAsync(path, changed);
    }

    static string ThisFolder([CallerFilePath] string thisFile = "") => Path.GetDirectoryName(thisFile)!;
}
