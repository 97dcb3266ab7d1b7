using Scuse.Peers;

namespace Scuse.Bench.Peers;

/// <summary>tgtd with a file in memory behind its plain read-and-write backing store.</summary>
sealed class TgtTarget : ITarget
{
    const string TargetName = "iqn.2026-11.scuse.bench:tgt";
    const string ControlNumber = "1";

    readonly RunningPeer _daemon;
    readonly string _folder;
    readonly string _image;

    TgtTarget(RunningPeer daemon, string folder, string image, int port)
    {
        _daemon = daemon;
        _folder = folder;
        _image = image;
        Url = $"iscsi://127.0.0.1:{port}/{TargetName}/1";
    }

    public string Url { get; }

    public int Pid => _daemon.Id;

    /// <exception cref="PeerException">tgtd did not start or tgtadm refused.</exception>
    public static async Task<TgtTarget> StartAsync(string image)
    {
        int port = Ports.Free();
        string folder = Directory.CreateTempSubdirectory("scuse-bench-").FullName;

        // The control socket lies in a folder of our own, so its number (at most 32767) need not be one that is free.
        Dictionary<string, string> environment = new() { ["TGT_IPC_SOCKET"] = Path.Combine(folder, "control") };
        RunningPeer daemon = RunningPeer.Start(
            "tgtd", ["-f", "-C", ControlNumber, "--iscsi", $"portal=127.0.0.1:{port}"], environment, folder);
        TgtTarget target = new(daemon, folder, image, port);
        return await Targets.OnceReadyAsync(target, target.ConfigureAsync(environment));
    }

    // tgtd ignores SIGTERM while it has targets, so Dispose of the running program kills it; it keeps nothing that matters.
    public void Dispose()
    {
        _daemon.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    async Task ConfigureAsync(Dictionary<string, string> environment)
    {
        string[] common = ["-C", ControlNumber, "--lld", "iscsi"];
        string[][] steps =
        [
            [.. common, "--mode", "target", "--op", "new", "--tid", "1", "--targetname", TargetName],
            [.. common, "--mode", "logicalunit", "--op", "new", "--tid", "1", "--lun", "1", "--backing-store", _image, "--bstype", "rdwr"],
            [.. common, "--mode", "target", "--op", "bind", "--tid", "1", "--initiator-address", "ALL"],
        ];
        foreach (string[] step in steps)
        {
            await RetryAsync(step, environment);
        }
    }

    // The daemon takes a moment before its control socket answers.
    async Task RetryAsync(string[] step, Dictionary<string, string> environment)
    {
        for (int attempt = 1; ; attempt++)
        {
            using RunningPeer admin = RunningPeer.Start("tgtadm", step, environment, _folder);
            Outcome outcome = await admin.WaitAsync(TimeSpan.FromSeconds(10));
            if (outcome.ExitCode == 0)
            {
                return;
            }

            if (attempt == 50 || _daemon.HasExited)
            {
                throw new PeerException(outcome.Text);
            }

            await Task.Delay(100);
        }
    }
}
