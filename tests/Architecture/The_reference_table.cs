using System.Xml.Linq;

namespace Scuse.Architecture.Tests;

public class The_reference_table
{
    const string Table = """
        # Some heading

        | Project | May reference | What it is for |
        |---|---|---|
        | `A` | nothing | the bottom |
        | `B` | `A` | the middle |
        | `C` | all but `A` | the top |

        | `D` | `A` | another table |
        """;

    [Fact]
    public void ARCHITECTURE_md_and_the_project_files_say_the_same()
    {
        string markdown = File.ReadAllText(Path.Combine(Repository.Root, "ARCHITECTURE.md"));

        IEnumerable<string> differences = ReferenceTable.Differences(ReferenceTable.Parse(markdown), Repository.Projects);

        Assert.Empty(differences);
    }

    [Fact]
    public void There_are_projects_to_compare() => Assert.Contains(Repository.Projects, project => project.Name == "Scuse.Engine" && project.References.Count > 0);

    [Fact]
    public void Backquoted_names_are_allowed_and_the_table_ends_at_the_first_other_line()
    {
        Dictionary<string, HashSet<string>> table = ReferenceTable.Parse(Table);

        Assert.Equal(["A", "B", "C"], table.Keys);
        Assert.Equal(["A"], table["B"]);
    }

    [Fact]
    public void Nothing_allows_no_reference() => Assert.Empty(ReferenceTable.Parse(Table)["A"]);

    [Fact]
    public void All_but_allows_every_other_row() => Assert.Equal(["B"], ReferenceTable.Parse(Table)["C"]);

    [Fact]
    public void A_row_that_says_nothing_usable_is_refused()
    {
        FormatException error = Assert.Throws<FormatException>(() => ReferenceTable.Parse(Table.Replace("all but `A`", "whatever")));

        Assert.Contains("The row of C says `whatever`", error.Message);
    }

    [Fact]
    public void A_document_without_the_table_is_refused() => Assert.Throws<FormatException>(() => ReferenceTable.Parse("# Nothing here"));

    [Fact]
    public void A_reference_that_is_not_allowed_is_found() =>
        Assert.Equal(
            ["A references B, which its row in ARCHITECTURE.md does not allow."],
            ReferenceTable.Differences(ReferenceTable.Parse(Table), [Made("A", "B"), Made("B", "A"), Made("C")]));

    [Fact]
    public void A_project_without_a_row_is_found() =>
        Assert.Contains(
            "E has no row in the table of ARCHITECTURE.md.",
            ReferenceTable.Differences(ReferenceTable.Parse(Table), [Made("E")]));

    [Fact]
    public void A_row_without_a_project_is_found() =>
        Assert.Equal(
            ["ARCHITECTURE.md has a row for C, which is no project."],
            ReferenceTable.Differences(ReferenceTable.Parse(Table), [Made("A"), Made("B")]));

    static Project Made(string name, params string[] references) => new(name, $"/{name}.csproj", references, new XDocument());
}
