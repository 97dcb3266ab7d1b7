using Scuse.Cli.Configuration;
using Scuse.Tests;

namespace Scuse.Cli.Tests;

/// <summary>docs/configuration.md says what can stand in a file. Here that is held against what is read.</summary>
public sealed class TheDocument
{
    static readonly IReadOnlyDictionary<string, List<string[]>> s_tables = DocumentTables.Read("docs/configuration.md");

    [Theory]
    [InlineData("members", "")]
    [InlineData("targets", "targets[]")]
    [InlineData("luns", "targets[].luns[]")]
    public void Every_member_has_a_line_and_every_line_has_a_member(string table, string place) =>
        Assert.Equal(ConfigFile.Members[place].Order(StringComparer.Ordinal), s_tables[table].Select(static row => row[0].Trim('`')).Order(StringComparer.Ordinal));

    [Fact]
    public void The_options_that_the_lines_name_are_those_of_the_command_line()
    {
        HashSet<string> options = [.. ServeCommand.Create().Options.Select(static option => option.Name)];

        Assert.All(s_tables["members"].Where(static row => row[1].Length > 0), row => Assert.Contains(row[1].Trim('`'), options));
        Assert.Equal(
            options.Except(["--config", "--target", "--lun-map", "--report-allocations"]).Order(StringComparer.Ordinal),
            s_tables["members"].Select(static row => row[1].Trim('`')).Where(static name => name.Length > 0).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void The_example_is_a_file_that_can_be_read()
    {
        string page = File.ReadAllText(Path.Combine(DocumentTables.Root(), "docs/configuration.md"));
        string example = string.Join('\n', page.Split('\n').SkipWhile(static line => !line.StartsWith("    {", StringComparison.Ordinal)).TakeWhile(static line => line.StartsWith("    ", StringComparison.Ordinal)));

        ServeSettings settings = ConfigFile.Parse("/etc/scuse/engine.json", System.Text.Encoding.UTF8.GetBytes(example)).Settings;

        Assert.Equal(2, settings.Targets!.Count);
    }
}
