namespace Scuse.Architecture.Tests;

public class The_threat_model
{
    const string Table = """
        | They can | At worst | Shown by |
        |---|---|---|
        | ask | an answer | `Answers.An_answer_comes`, `scsi-commands` |

        | Another | table |
        |---|---|
        | with | `Nothing.To_look_for` |
        """;

    static readonly HashSet<string> s_tests = ["Answers.An_answer_comes", "scsi-commands"];

    [Fact]
    public void Names_tests_that_there_are()
    {
        string markdown = File.ReadAllText(Path.Combine(Repository.Root, "docs/threat-model.md"));

        Assert.InRange(NamedTests.In(markdown).Count(), 40, 1000);
        Assert.Empty(NamedTests.Wrong(markdown, NamedTests.FindAll(Path.Combine(Repository.Root, "tests"))));
    }

    [Fact]
    public void Tests_are_found_by_their_class_and_targets_of_the_fuzzer_by_their_name()
    {
        IReadOnlySet<string> tests = NamedTests.FindAll(Path.Combine(Repository.Root, "tests"));

        Assert.Contains($"{nameof(The_threat_model)}.{nameof(Names_tests_that_there_are)}", tests);
        Assert.Contains($"{nameof(The_bans)}.{nameof(The_bans.Are_found_broken_when_a_fault_is_planted)}", tests);
        Assert.Contains("iscsi-pdus", tests);
    }

    [Fact]
    public void A_name_that_is_a_test_s_is_no_fault() => Assert.Empty(NamedTests.Wrong(Table, s_tests));

    [Theory]
    [InlineData("`Answers.An_answer_comes`, `scsi-commands`", "nothing", "the row `ask` names no test")]
    [InlineData("`Answers.An_answer_comes`", "`Answers.An_answer_is_late`", "the row `ask` names `Answers.An_answer_is_late`, and there is no such test")]
    [InlineData("`scsi-commands`", "`scsi-poems`", "the row `ask` names `scsi-poems`, and there is no such test")]
    public void What_is_no_test_is_found(string from, string to, string told) => Assert.Equal([told], NamedTests.Wrong(Table.Replace(from, to), s_tests));
}
