using System.Runtime.CompilerServices;

namespace Scuse.Bench.Peers;

/// <summary>bench/RESULTS.md, of which this program owns the part between two marks.</summary>
static class ResultsFile
{
    const string Begin = "<!-- peers: begin; written by bench/Peers/run -->";
    const string End = "<!-- peers: end -->";

    public static string Default { get; } = Path.GetFullPath(Path.Combine(ThisFolder(), "..", "RESULTS.md"));

    /// <summary>Puts a new description and table between the marks, which are added to a file that does not have them.</summary>
    public static async Task ReplaceAsync(string path, string description, string table)
    {
        string part = $"{Begin}\n## Side by side with tgt\n\n{description}\n{table}{End}";
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
