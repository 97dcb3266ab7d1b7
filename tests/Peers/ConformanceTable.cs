using System.Runtime.CompilerServices;

namespace Scuse.Peers;

/// <summary>The table of docs/conformance.md: a row for each suite, a column for each disk; in a cell how many tests passed and, if some, how many were left out.</summary>
static class ConformanceTable
{
    /// <summary>In a cell: the suite writes, and is not run there.</summary>
    const string NotRun = "–";

    const string Begin = "<!-- table: begin -->", End = "<!-- table: end -->";

    /// <summary>Compares a disk's results with its column, or writes the column when SCUSE_UPDATE_DOCS is 1.</summary>
    public static void Compare(string column, IReadOnlyList<SuiteTest> results, List<string> columns, [CallerFilePath] string thisFile = "")
    {
        string path = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(thisFile)!, "../../docs/conformance.md"));
        Assert.SkipUnless(File.Exists(path), "needs the sources (docs/conformance.md)");
        string page = File.ReadAllText(path);
        int from = page.IndexOf(Begin, StringComparison.Ordinal) + Begin.Length, to = page.IndexOf(End, StringComparison.Ordinal);
        SortedDictionary<string, string[]> rows = new(StringComparer.Ordinal);
        foreach (string line in page[from..to].Split('\n', StringSplitOptions.RemoveEmptyEntries).Skip(2))
        {
            string[] cells = [.. line.Trim('|').Split('|').Select(static cell => cell.Trim())];
            // Columns that are new begin empty.
            rows[cells[0]] = cells.Length > columns.Count ? cells : [.. cells, .. Enumerable.Repeat(NotRun, columns.Count + 1 - cells.Length)];
        }

        var found = results.GroupBy(static test => test.Suite).ToDictionary(static suite => suite.Key, static suite => Cell([.. suite]));
        if (Environment.GetEnvironmentVariable("SCUSE_UPDATE_DOCS") == "1")
        {
            foreach ((string suite, string cell) in found)
            {
                string[] row = rows.TryGetValue(suite, out string[]? known) && known.Length == columns.Count + 1 ? known : [suite, .. Enumerable.Repeat(NotRun, columns.Count)];
                row[columns.IndexOf(column) + 1] = cell;
                rows[suite] = row;
            }

            File.WriteAllText(path, page[..from] + "\n" + Text(rows.Values, columns) + page[to..]);
            return;
        }

        // Another release of the tool has other tests: what the page says of those it has in common still holds.
        var said = rows.Where(row => row.Value.Length == columns.Count + 1 && row.Value[columns.IndexOf(column) + 1] != NotRun).ToDictionary(static row => row.Key, row => row.Value[columns.IndexOf(column) + 1]);
        Assert.SkipUnless(Total(said.Values) == results.Count, $"docs/conformance.md is of another release of the tool, with {Total(said.Values)} tests and not {results.Count}");
        Assert.Equal(Lines(said), Lines(found));
    }

    static IEnumerable<string> Lines(Dictionary<string, string> cells) => cells.Select(static cell => $"{cell.Key}: {cell.Value}").Order(StringComparer.Ordinal);

    static string Cell(SuiteTest[] tests)
    {
        int skipped = tests.Count(static test => test.Outcome == TestOutcome.Skipped);
        return skipped == 0 ? $"{tests.Length}" : $"{tests.Length - skipped} (+{skipped})";
    }

    static int Total(IEnumerable<string> cells) => cells.Sum(static cell => cell.Split(' ', StringSplitOptions.RemoveEmptyEntries).Sum(static word => int.TryParse(word.Trim('(', ')', '+'), out int count) ? count : 0));

    static string Text(IEnumerable<string[]> rows, List<string> columns) =>
        string.Concat(((IEnumerable<string[]>)[["Suite", .. columns], [.. Enumerable.Repeat("---", columns.Count + 1)], .. rows]).Select(static row => $"| {string.Join(" | ", row)} |\n"));
}
