using System.Text.RegularExpressions;

namespace Scuse.Architecture.Tests;

/// <summary>Tests that a document names in a column <c>Shown by</c>: <c>Class.Method</c>, or a target of the fuzzer.</summary>
static partial class NamedTests
{
    const string Column = "Shown by";

    /// <summary>The names in each row of every table that has the column, which is the last one.</summary>
    public static IEnumerable<(string Row, string[] Names)> In(string markdown)
    {
        bool isInside = false;
        foreach (string line in markdown.Split('\n').Select(static line => line.Trim()))
        {
            if (!line.StartsWith('|'))
            {
                isInside = false;
                continue;
            }

            string[] cells = [.. line.Trim('|').Split('|').Select(static cell => cell.Trim())];
            if (cells[^1] == Column)
            {
                isInside = true;
            }
            else if (isInside && !cells[0].StartsWith("---", StringComparison.Ordinal))
            {
                yield return (cells[0], [.. Backquoted().Matches(cells[^1]).Select(static match => match.Groups[1].Value)]);
            }
        }
    }

    /// <summary>What is wrong with the names: a row without any, and those that <paramref name="tests"/> does not have; one sentence each.</summary>
    public static IEnumerable<string> Wrong(string markdown, IReadOnlySet<string> tests)
    {
        foreach ((string row, string[] names) in In(markdown))
        {
            if (names.Length == 0)
            {
                yield return $"the row `{row}` names no test";
            }

            foreach (string name in names.Where(name => !tests.Contains(name)))
            {
                yield return $"the row `{row}` names `{name}`, and there is no such test";
            }
        }
    }

    /// <summary>Every test in the sources below a folder, and every target of the fuzzer.</summary>
    public static IReadOnlySet<string> FindAll(string folder)
    {
        HashSet<string> all = [];
        foreach (string file in Directory.EnumerateFiles(folder, "*.cs", SearchOption.AllDirectories).Where(static file => !file.Contains("/obj/", StringComparison.Ordinal)))
        {
            string source = File.ReadAllText(file);
            string[] classes = [.. Class().Matches(source).Select(static match => match.Groups[1].Value)];
            all.UnionWith(Test().Matches(source).SelectMany(match => classes.Select(name => $"{name}.{match.Groups[1].Value}")));
            all.UnionWith(FuzzTarget().Matches(source).Select(static match => match.Groups[1].Value));
        }

        return all;
    }

    [GeneratedRegex("`([^`]+)`")]
    private static partial Regex Backquoted();

    [GeneratedRegex(@"^\s*(?:public |internal |static |sealed |abstract |partial )*class (\w+)", RegexOptions.Multiline)]
    private static partial Regex Class();

    /// <summary>A method behind an attribute that makes it a test; others may stand between them.</summary>
    [GeneratedRegex(@"\[(?:Fact|Theory)\b[^\n]*\n(?:\s*\[[^\n]*\n)*\s*public (?:async )?(?:void|Task|ValueTask) (\w+)\(")]
    private static partial Regex Test();

    [GeneratedRegex(@"\[""([a-z]+-[a-z-]+)""\] = static \(\) => new")]
    private static partial Regex FuzzTarget();
}
