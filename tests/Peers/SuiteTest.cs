using System.Text.RegularExpressions;

namespace Scuse.Peers;

/// <summary>How a test of a suite ended.</summary>
enum TestOutcome
{
    Passed,
    Skipped,
    Failed,
}

/// <summary>One test of iscsi-test-cu, and why it was left out if it was.</summary>
readonly partial record struct SuiteTest(string Suite, string Test, TestOutcome Outcome, string Reason)
{
    /// <summary>Reads what <c>iscsi-test-cu --verbose</c> prints. A test without an end counts as failed.</summary>
    public static SuiteTest[] Parse(string output)
    {
        List<SuiteTest> results = [];
        string suite = "";
        foreach (Match match in Parts().Matches(output))
        {
            if (match.Groups["suite"].Success)
            {
                suite = match.Groups["suite"].Value.Trim();
                continue;
            }

            string text = match.Groups["text"].Value;
            string reason = Skipped().Match(text) is { Success: true } skipped ? skipped.Groups[1].Value.Trim() : "";
            TestOutcome outcome = !Passed().IsMatch(text) ? TestOutcome.Failed : reason.Length > 0 ? TestOutcome.Skipped : TestOutcome.Passed;
            results.Add(new(suite, match.Groups["test"].Value, outcome, outcome == TestOutcome.Skipped ? reason : ""));
        }

        return [.. results];
    }

    [GeneratedRegex(@"^Suite: (?<suite>.+)$|^  Test: (?<test>\S+) \.\.\.(?<text>[\s\S]*?)(?=^  Test: |^Suite: |^Run Summary|\z)", RegexOptions.Multiline)]
    private static partial Regex Parts();

    // What the tool tells of its next steps may stand behind it.
    [GeneratedRegex(@"^\s*passed", RegexOptions.Multiline)]
    private static partial Regex Passed();

    [GeneratedRegex(@"\[SKIPPED\] (?!PERSISTENT RESERVE IN is not implemented)(.+)")] // said before the first test, when there are no reservations to clear
    private static partial Regex Skipped();
}
