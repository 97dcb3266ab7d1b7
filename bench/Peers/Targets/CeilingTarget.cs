using Scuse.Peers;

namespace Scuse.Bench.Peers;

/// <summary>The initiator's ceiling: programs/ceiling.c answers every read and write with a status, or with data that stands ready. There is nothing on its disk.</summary>
sealed class CeilingTarget : ITarget
{
    readonly RunningPeer _process;

    CeilingTarget(RunningPeer process, string port)
    {
        _process = process;
        Url = $"iscsi://127.0.0.1:{port}/iqn.2026-11.scuse.bench:ceiling/0";
    }

    public string Url { get; }

    public int Pid => _process.Id;

    /// <exception cref="PeerException">It cannot be compiled, or did not start.</exception>
    public static async Task<CeilingTarget> StartAsync(long sizeBytes, bool withData)
    {
        string[] data = withData ? ["data"] : [];
        RunningPeer process = RunningPeer.Start(await BenchPrograms.BuildAsync("ceiling"), ["127.0.0.1", $"{sizeBytes >> 20}", .. data]);
        return new CeilingTarget(process, await process.FirstLineAsync());
    }

    public void Dispose() => _process.Dispose();
}
