using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;

namespace Scuse.Tests;

/// <summary>The tables of the pages in docs that tests hold against the code. Such a table stands behind a line of <c>&lt;!-- table: NAME --&gt;</c>.</summary>
static partial class DocumentTables
{
    /// <summary>A page's tables by their names, each as rows of cells, without the columns' names.</summary>
    /// <param name="page">The page's path from the root of the sources.</param>
    public static IReadOnlyDictionary<string, List<string[]>> Read(string page)
    {
        var tables = new Dictionary<string, List<string[]>>(StringComparer.Ordinal);
        List<string[]>? rows = null;
        foreach (string line in File.ReadLines(Path.Combine(Root(), page)))
        {
            if (TableName().Match(line) is { Success: true } name)
            {
                tables.Add(name.Groups[1].Value, rows = []);
            }
            else if (line.Length == 0)
            {
                rows = null;
            }
            else
            {
                rows?.Add([.. line.Trim('|').Split('|').Select(static cell => cell.Trim())]);
            }
        }

        // Each begins with its columns' names and a line of dashes.
        return tables.ToDictionary(static table => table.Key, static table => table.Value[2..], StringComparer.Ordinal);
    }

    /// <summary>The root of the sources that the tests were built from.</summary>
    public static string Root([CallerFilePath] string thisFile = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(thisFile)!, "../.."));

    [GeneratedRegex(@"^<!-- table: (\w+) -->$")]
    private static partial Regex TableName();
}
