using Scuse.Peers;

namespace Scuse.Bench.Peers;

/// <summary>What the machine has to do beside a measurement: programs/beside.c.</summary>
enum Beside
{
    /// <summary>Nothing: processors go idle, and take their time to wake.</summary>
    Nothing,

    /// <summary>A process that does nothing but give its processor away: what it is on does not go idle.</summary>
    Yields,

    /// <summary>Two loops that take all they can get.</summary>
    Burns,
}

/// <summary>The programs that run beside a measurement; gone when disposed.</summary>
sealed class BesideLoad : IDisposable
{
    readonly List<RunningPeer> _processes = [];

    /// <exception cref="PeerException">The program cannot be compiled.</exception>
    public static async Task<BesideLoad> StartAsync(Beside what)
    {
        var load = new BesideLoad();
        if (what != Beside.Nothing)
        {
            string program = await BenchPrograms.BuildAsync("beside");
            int count = what == Beside.Burns ? 2 : 1;
            load._processes.AddRange(Enumerable.Range(0, count).Select(_ => RunningPeer.Start(program, what == Beside.Burns ? "burn" : "yield")));
        }

        return load;
    }

    public void Dispose() => _processes.ForEach(static process => process.Dispose());
}
