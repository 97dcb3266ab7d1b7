using System.Text.RegularExpressions;

namespace Scuse.Peers;

/// <summary>
/// libiscsi's conformance suites, all of them, with two paths, against a disk of each kind. What came out is compared with the table in docs/conformance.md;
/// with SCUSE_UPDATE_DOCS=1 the table is written instead.
/// </summary>
public sealed partial class ConformanceTests : PeerTest
{
    const string Tool = "iscsi-test-cu";

    /// <summary>Wants a sanitize operation that takes longer than three seconds, and then sleeps for a minute: EnduranceTests has a slow disk for it.</summary>
    const string SlowTest = "Sanitize.Reset";

    /// <summary>Suites that mostly sleep: each has a target of its own while the others run.</summary>
    static readonly string[] s_sleepers = ["SCSI.Reserve6", "SCSI.Sanitize", "iSCSI.iSCSIcmdsn"];

    static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(120);

    /// <summary>The disks, by their column in the table.</summary>
    static readonly (string Column, string Spec)[] s_disks =
    [
        ("memory", "memory:256M"),
        ("memory, all", "memory:256M?level=all"),
        ("memory, 4096", "memory:256M?block=4096"),
        ("memory, 4096, all", "memory:256M?block=4096&level=all"),
        ("memory, thick", "memory:256M?thick=1"),
        ("memory, thick, 4096, all", "memory:256M?thick=1&block=4096&level=all"),
        ("file", "file:{file}?size=256M"),
        ("C handler", "exec:{c} - - 268435456"),
    ];

    /// <summary>Disks that cannot be written, for the suites that do not write; by their column.</summary>
    static readonly (string Column, string Spec)[] s_readOnlyDisks =
    [
        ("read-only", "memory:256M?readonly=1"),
        ("read-only, 4096, all", "memory:256M?readonly=1&block=4096&level=all"),
    ];

    /// <summary>What a test may be left out for by the tool: it is about what this disk has not.</summary>
    static readonly string[] s_reasons =
    [
        "Media is not removable", "Logical unit is not removable", // nothing to eject
        "LBPPB < 2", // a physical block is a logical block
        "WRITESAME1[06] does not support 0-blocks", // WSNZ
        "Logical unit is not write-protected", // see the read-only disk
        "SANITIZE CRYPTO_ERASE is not implemented", // no handler encrypts
    ];

    /// <summary>The same on disks of some columns only.</summary>
    static readonly (string Column, string Reason)[] s_reasonsOfSome =
    [
        ("thick", "Logical unit is fully provisioned"),
        ("thick", "UNMAP is not implemented"),
        ("thick", "SANITIZE BLOCK_ERASE is not implemented"),
        ("file", "WRITEATOMIC16 is not implemented"), // no file system promises it
        ("C handler", "WRITEATOMIC16 is not implemented"),
        ("C handler", "SANITIZE BLOCK_ERASE is not implemented"), // it cannot tell which blocks are mapped
    ];

    /// <summary>What can be asked of a disk that cannot be written.</summary>
    static readonly string[] s_withoutWriting =
    [
        "SCSI.ReadOnly", "SCSI.TestUnitReady", "SCSI.Inquiry", "SCSI.Mandatory", "SCSI.ModeSense6", "SCSI.ReadCapacity10", "SCSI.ReadCapacity16",
        "SCSI.Read6", "SCSI.Read10", "SCSI.Read12", "SCSI.Read16", "SCSI.Verify10", "SCSI.Verify12", "SCSI.Verify16", "SCSI.Prefetch10", "SCSI.Prefetch16",
        "SCSI.ReadDefectData10", "SCSI.ReadDefectData12", "SCSI.ReportSupportedOpcodes",
    ];

    static readonly List<string> s_columns = [.. s_disks.Concat(s_readOnlyDisks).Select(static disk => disk.Column)];

    public static TheoryData<string> Disks { get; } = new(s_disks.Select(static disk => disk.Column));

    [Theory]
    [MemberData(nameof(Disks))]
    public async Task Every_suite_of_libiscsi_passes(string disk)
    {
        Needs.Libiscsi(Tool);
        string spec = s_disks.Single(each => each.Column == disk).Spec;
        IGrouping<int, string>[] groups = [.. (await SuitesAsync()).GroupBy(static name => Array.FindIndex(s_sleepers, name.StartsWith))];
        string program = spec.Contains("{c}", StringComparison.Ordinal) ? await CHandler.BuildAsync(TemporaryFile("disk")) : "";
        IEnumerable<string> targets = groups.Select((_, i) => $$"""{ "name": "iqn.2026-11.example:conformance{{i}}", "luns": ["{{Spec(spec, i, program)}}"] }""");
        await File.WriteAllTextAsync(TemporaryFile("engine.json"), $$"""{ "targets": [{{string.Join(", ", targets)}}] }""", TestContext.Current.CancellationToken);
        ScuseServe serve = await ServeAsync("--config", TemporaryFile("engine.json"));

        SuiteTest[][] results = await Task.WhenAll(groups.Zip(serve.Urls, (group, url) => RunAsync(disk, url, group)));

        ConformanceTable.Compare(disk, [.. results.SelectMany(static tests => tests)], s_columns);
    }

    static async Task<SuiteTest[]> RunAsync(string disk, string url, IEnumerable<string> suites)
    {
        List<SuiteTest> results = [];
        foreach (string name in suites)
        {
            Outcome outcome = await RunAsync(name, url);
            SuiteTest[] found = SuiteTest.Parse(outcome.Output);
            Assert.True(found.Length > 0, outcome.Text);
            Assert.True(found.All(static test => test.Outcome != TestOutcome.Failed), outcome.Text);
            Assert.All(found.Where(static test => test.Outcome == TestOutcome.Skipped), test => Assert.True(IsNoGap(disk, test.Reason), $"{test}\n{outcome.Text}"));
            results.AddRange(found);
        }

        return [.. results];
    }

    public static TheoryData<string> ReadOnlyDisks { get; } = new(s_readOnlyDisks.Select(static disk => disk.Column));

    [Theory]
    [MemberData(nameof(ReadOnlyDisks))]
    public async Task Every_suite_that_does_not_write_passes_on_a_read_only_disk(string disk)
    {
        Needs.Libiscsi(Tool);
        ScuseServe serve = await ServeAsync(s_readOnlyDisks.Single(each => each.Column == disk).Spec);

        SuiteTest[] results = await RunAsync(disk, serve.Url, s_withoutWriting);

        Assert.DoesNotContain(results, static test => test.Reason.Contains("not write-protected", StringComparison.Ordinal));
        ConformanceTable.Compare(disk, results, s_columns);
    }

    [Fact]
    public void A_test_that_failed_or_was_left_out_or_did_not_run_is_not_mistaken_for_a_pass()
    {
        const string listing = """
            Suite: StartStopUnit
              Test: Simple ...    [SKIPPED] Media is not removable.
            passed
              Test: PwrCnd ...passed
              Test: NoLoej ...    [FAILED] STARTSTOPUNIT
            FAILED
                1. test_x.c:4  - CU_ASSERT_EQUAL(_r,0)
            Suite: Read6
              Test: Simple ...
            """;

        Assert.Equal(
            [
                new("StartStopUnit", "Simple", TestOutcome.Skipped, "Media is not removable."), new("StartStopUnit", "PwrCnd", TestOutcome.Passed, ""),
                new("StartStopUnit", "NoLoej", TestOutcome.Failed, ""), new("Read6", "Simple", TestOutcome.Failed, ""),
            ],
            SuiteTest.Parse(listing));
        Assert.Empty(SuiteTest.Parse("Failed to connect"));
        Assert.False(IsNoGap("memory", "UNMAP is not implemented."));
        Assert.True(IsNoGap("memory, thick", "UNMAP is not implemented."));
    }

    static bool IsNoGap(string disk, string reason) =>
        s_reasons.Any(known => Regex.IsMatch(reason, known))
        || s_reasonsOfSome.Any(known => disk.Contains(known.Column, StringComparison.Ordinal) && reason.Contains(known.Reason, StringComparison.Ordinal));

    static Task<Outcome> RunAsync(string test, string url) =>
        Peer.RunAsync(s_deadline, Tool, "--dataloss", "--allow-sanitize", "--fail", "--verbose", "--test", test, url, url);

    string Spec(string spec, int copy, string program) => spec
        .Replace("{file}", TemporaryFile($"disk{copy}.img"), StringComparison.Ordinal)
        .Replace("{c}", program, StringComparison.Ordinal);

    /// <summary>The suites that the tool has, and for the one with the slow test its tests without that.</summary>
    static async Task<string[]> SuitesAsync()
    {
        Outcome listing = (await Peer.RunAsync(s_deadline, Tool, "--list")).OrThrow();
        string slowSuite = SlowTest[..SlowTest.IndexOf('.', StringComparison.Ordinal)];
        string[] names = [.. from line in listing.Output.Split('\n', StringSplitOptions.TrimEntries)
                             where SuiteName().IsMatch(line)
                             select line];
        return [.. names.Where(name => name.Count(static c => c == '.') == 1 && name != $"SCSI.{slowSuite}"),
            .. names.Where(name => name.StartsWith($"SCSI.{slowSuite}.", StringComparison.Ordinal) && name != $"SCSI.{SlowTest}")];
    }

    [GeneratedRegex(@"^(SCSI|iSCSI)\.\w+(\.\w+)?$")]
    private static partial Regex SuiteName();
}
