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
}
