using System.Text.RegularExpressions;

namespace Scuse.Architecture.Tests;

/// <summary>The table in ARCHITECTURE.md that says which project may reference which.</summary>
static partial class ReferenceTable
{
    /// <summary>
    /// Reads the rows below the header <c>Project | May reference</c>: a project in backquotes, then the projects it may reference in
    /// backquotes, the word "nothing", or "all but" and the exceptions.
    /// </summary>
    /// <exception cref="FormatException">There is no such table, or a row says none of these.</exception>
    public static Dictionary<string, HashSet<string>> Parse(string markdown)
    {
        string[] lines = markdown.Split('\n');
        int header = Array.FindIndex(lines, line => Cells(line) is [var first, var second, ..]
            && first.Equals("Project", StringComparison.OrdinalIgnoreCase)
            && second.Equals("May reference", StringComparison.OrdinalIgnoreCase));
        if (header < 0)
        {
            throw new FormatException("ARCHITECTURE.md has no table whose first columns are `Project | May reference`.");
        }

        List<(string Project, string Allowed)> rows = [];
        for (int i = header + 2; i < lines.Length && Cells(lines[i]) is [var project, var allowed, ..]; i++)
        {
            rows.Add((Names(project).FirstOrDefault() ?? throw new FormatException($"The row `{lines[i]}` names no project in backquotes."), allowed));
        }

        string[] all = [.. rows.Select(row => row.Project)];
        return rows.ToDictionary(row => row.Project, row => Allowed(row.Project, row.Allowed, all));
    }

    /// <summary>What differs between the table and the project files, one sentence each.</summary>
    public static IEnumerable<string> Differences(Dictionary<string, HashSet<string>> table, IReadOnlyList<Project> projects)
    {
        foreach (Project project in projects)
        {
            if (!table.TryGetValue(project.Name, out HashSet<string>? allowed))
            {
                yield return $"{project.Name} has no row in the table of ARCHITECTURE.md.";
                continue;
            }

            foreach (string reference in project.References.Where(reference => !allowed.Contains(reference)))
            {
                yield return $"{project.Name} references {reference}, which its row in ARCHITECTURE.md does not allow.";
            }
        }

        foreach (string name in table.Keys.Where(name => projects.All(project => project.Name != name)))
        {
            yield return $"ARCHITECTURE.md has a row for {name}, which is no project.";
        }
    }

    static HashSet<string> Allowed(string project, string cell, string[] all)
    {
        string[] names = [.. Names(cell)];
        if (cell.Contains("all but", StringComparison.OrdinalIgnoreCase))
        {
            return [.. all.Except(names).Where(name => name != project)];
        }

        return names.Length == 0 && !cell.Contains("nothing", StringComparison.OrdinalIgnoreCase)
            ? throw new FormatException($"The row of {project} says `{cell}`; write the projects in backquotes, or nothing.")
            : [.. names];
    }

    static IEnumerable<string> Names(string cell) => BackquotedName().Matches(cell).Select(match => match.Groups[1].Value);

    static string[]? Cells(string line)
    {
        string trimmed = line.Trim();
        return trimmed.StartsWith('|') ? [.. trimmed.Trim('|').Split('|').Select(cell => cell.Trim())] : null;
    }

    [GeneratedRegex("`([A-Za-z0-9.]+)`")]
    private static partial Regex BackquotedName();
}
