namespace Scuse.Peers;

[Collection(Alone.Name)]
public sealed class BenchTests : PeerTest
{
    [Fact]
    public async Task The_comparison_with_tgt_runs_and_writes_its_table()
    {
        Needs.Qemu();
        Needs.Libiscsi("iscsi-perf");
        Needs.Program("tgtd", "tgt");
        string results = TemporaryFile("RESULTS.md");
        string bench = ScuseServe.FindDll("Scuse.Bench.Peers", "bench/Peers", "Scuse.Bench.Peers.dll");

        Outcome outcome = (await Peer.RunAsync(TimeSpan.FromSeconds(120), "dotnet", bench, "--quick", "--only", "random read, QD32", "--results", results)).OrThrow();

        Assert.Contains("| 4 KiB random read, QD32 |", outcome.Output);
        Assert.Contains("| file: 4 KiB random read, QD32 |", outcome.Output);
        Assert.Contains("the hop to another process", outcome.Output);
        Assert.Contains("| 4 KiB random read, QD32 |", File.ReadAllText(results));
        Assert.Contains("</svg>", File.ReadAllText(TemporaryFile("results.svg")));
    }

    [Fact]
    public async Task How_targets_scale_over_reactors_is_measured()
    {
        Needs.Program("gcc", "gcc and libc6-dev");
        string bench = ScuseServe.FindDll("Scuse.Bench.Peers", "bench/Peers", "Scuse.Bench.Peers.dll");

        Outcome outcome = (await Peer.RunAsync(TimeSpan.FromSeconds(120), "dotnet", bench, "--reactors", "--quick", "--only", "read, QD1")).OrThrow();

        Assert.Matches(@"\| 4 KiB random read, QD1 \| 1 \| [\d,]+ \| 1\.00 \| [\d.]+ \| [\d.]+ \|", outcome.Output);
        Assert.Matches(@"\| 4 KiB random read, QD1 \| 2 \| [\d,]+ \| [\d.]+ \|", outcome.Output);
    }
}
