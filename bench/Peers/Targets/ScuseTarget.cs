using Scuse.Peers;

namespace Scuse.Bench.Peers;

/// <summary><c>scuse serve SPEC</c>: the engine and its handler process.</summary>
sealed class ScuseTarget(ScuseServe serve) : ITarget
{
    public string Url => serve.Url;

    public int Pid => serve.Pid;

    /// <exception cref="PeerException">The engine did not start, or its handler did not attach.</exception>
    public static async Task<ScuseTarget> StartAsync(string spec)
    {
        ScuseServe serve = await ScuseServe.StartAsync([spec]);
        return await Targets.OnceReadyAsync(new ScuseTarget(serve), serve.WaitForAttachmentAsync());
    }

    public void Dispose() => serve.Dispose();
}

/// <summary>The same engine, the same memory handler, but no other process and no ring: the reactor calls the handler. What the hop to another process costs is measured against it.</summary>
sealed class InProcessTarget : ITarget
{
    readonly RunningPeer _process;

    InProcessTarget(RunningPeer process, string url)
    {
        _process = process;
        Url = url;
    }

    public string Url { get; }

    public int Pid => _process.Id;

    /// <exception cref="PeerException">It did not start.</exception>
    public static async Task<InProcessTarget> StartAsync(long sizeBytes)
    {
        RunningPeer process = RunningPeer.Start("dotnet", typeof(InProcessTarget).Assembly.Location, InProcessServer.Command, $"{sizeBytes}");
        return new InProcessTarget(process, await process.FirstLineAsync());
    }

    public void Dispose() => _process.Dispose();
}
