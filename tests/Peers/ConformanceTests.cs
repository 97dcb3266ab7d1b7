using System.Globalization;
using System.Text.RegularExpressions;

namespace Scuse.Peers;

/// <summary>libiscsi's conformance suites, run against a disk of each pass level.</summary>
public sealed partial class ConformanceTests : PeerTest
{
    static readonly TimeSpan Deadline = TimeSpan.FromSeconds(120);

    /// <summary>
    /// The suites that must pass without a failed or a skipped test. Not among them, until there is what they test:
    /// MultipathIO; of Sanitize, CryptoErase and Reservations, which skip what needs a CRYPTOGRAPHIC ERASE, and Reset, which wants a sanitize that takes four seconds; and those of which a disk that cannot be removed skips a test: StartStopUnit, PreventAllow.
    /// </summary>
    static readonly string[] MustPass =
    [
        "SCSI.TestUnitReady", "SCSI.Inquiry", "SCSI.Mandatory", "SCSI.ModeSense6",
        "SCSI.ReadCapacity10", "SCSI.ReadCapacity16",
        "SCSI.Read6", "SCSI.Read10", "SCSI.Read12", "SCSI.Read16",
        "SCSI.Write10", "SCSI.Write12", "SCSI.Write16",
        "SCSI.Verify10", "SCSI.Verify12", "SCSI.Verify16",
        "SCSI.WriteVerify10", "SCSI.WriteVerify12", "SCSI.WriteVerify16",
        "SCSI.ExtendedCopy", "SCSI.ReceiveCopyResults", "SCSI.CompareAndWrite", "SCSI.WriteAtomic16", "SCSI.Unmap", "SCSI.WriteSame10", "SCSI.WriteSame16", "SCSI.OrWrite",
        "SCSI.Prefetch10", "SCSI.Prefetch16", "SCSI.ReadDefectData10", "SCSI.ReadDefectData12", "SCSI.ReportSupportedOpcodes",
        "SCSI.Sanitize.BlockEraseReserved", "SCSI.Sanitize.CryptoEraseReserved", "SCSI.Sanitize.ExitFailureMode", "SCSI.Sanitize.InvalidServiceAction",
        "SCSI.Sanitize.BlockErase", "SCSI.Sanitize.Overwrite", "SCSI.Sanitize.OverwriteReserved", "SCSI.GetLBAStatus",
        "SCSI.PrinReadKeys", "SCSI.PrinServiceactionRange", "SCSI.PrinReportCapabilities",
        "SCSI.ProutRegister", "SCSI.ProutReserve", "SCSI.ProutClear", "SCSI.ProutPreempt", "SCSI.Reserve6",
        "iSCSI.iSCSIcmdsn", "iSCSI.iSCSIdatasn", "iSCSI.iSCSIResiduals", "iSCSI.iSCSITMF",
    ];

    public static TheoryData<string, string> EverySuiteAtEveryLevel { get; } = new(
        from suite in MustPass
        from level in new[] { "io", "all" }
        select (suite, level));

    [Theory]
    [MemberData(nameof(EverySuiteAtEveryLevel))]
    public async Task A_libiscsi_suite_passes(string suite, string level)
    {
        Needs.Libiscsi("iscsi-test-cu");
        ScuseServe serve = await ServeAsync($"memory:256M?level={level}");

        Outcome outcome = await Peer.RunAsync(Deadline, "iscsi-test-cu", "--dataloss", "--allow-sanitize", "--fail", "--normal", "--test", suite, serve.Url);

        SuiteResult result = SuiteResult.Parse(outcome.Text);
        Assert.True(result is { Ran: > 0, Failed: 0, Skipped: 0 } && outcome.ExitCode == 0, outcome.Text);
    }

    [Theory]
    [InlineData("io")]
    [InlineData("all")]
    public async Task The_suite_of_a_disk_that_cannot_be_written_passes(string level)
    {
        Needs.Libiscsi("iscsi-test-cu");
        string file = TemporaryFile("read-only.img");
        await File.WriteAllBytesAsync(file, new byte[16 << 20], TestContext.Current.CancellationToken);
        ScuseServe serve = await ServeAsync($"file:{file}?readonly=1&level={level}");

        Outcome outcome = await Peer.RunAsync(Deadline, "iscsi-test-cu", "--dataloss", "--fail", "--normal", "--test", "SCSI.ReadOnly", serve.Url);

        SuiteResult result = SuiteResult.Parse(outcome.Text);
        Assert.True(result is { Ran: > 0, Failed: 0 } && outcome.ExitCode == 0 && !outcome.Text.Contains("not write-protected", StringComparison.Ordinal), outcome.Text);
    }

    [Fact]
    public void A_suite_that_failed_or_skipped_or_did_not_run_is_not_mistaken_for_a_pass()
    {
        const string Listing = """
                [SKIPPED] PERSISTENT RESERVE IN is not implemented.
                [SKIPPED] LBPPB < 2. Skipping test
                [SKIPPED] Logical unit is fully provisioned. Skipping test
            Run Summary:    Type  Total    Ran Passed Failed Inactive
                          suites      1      1    n/a      0        0
                           tests     10      9      7      2        0
                         asserts   3086   3086   3084      2      n/a
            """;

        Assert.Equal(new SuiteResult(9, 2, 1), SuiteResult.Parse(Listing));
        Assert.Equal(new SuiteResult(0, 0, 0), SuiteResult.Parse("Failed to connect"));
    }

    /// <summary>What a run of iscsi-test-cu counted.</summary>
    internal readonly record struct SuiteResult(int Ran, int Failed, int Skipped)
    {
        public static SuiteResult Parse(string output)
        {
            Match summary = TestsLine().Match(output);
            return summary.Success
                ? new SuiteResult(Number(summary, 1), Number(summary, 2), SkippedLine().Count(output))
                : default;
        }

        static int Number(Match match, int group) => int.Parse(match.Groups[group].ValueSpan, CultureInfo.InvariantCulture);
    }

    [GeneratedRegex(@"^\s*tests\s+\d+\s+(\d+)\s+\d+\s+(\d+)", RegexOptions.Multiline)]
    private static partial Regex TestsLine();

    // Three reasons are no gap. Before its first test the program looks for old persistent reservations, which skips nothing when there are
    // none. A disk may refuse a WRITE SAME of zero blocks (WSNZ, SBC-3 clause 6.5.3). An unmap is unaligned only where a physical block
    // holds several logical ones.
    [GeneratedRegex(@"\[SKIPPED\](?! (PERSISTENT RESERVE IN is not implemented|WRITESAME1[06] does not support 0-blocks|LBPPB < 2))")]
    private static partial Regex SkippedLine();
}
