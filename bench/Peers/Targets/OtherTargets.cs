using Scuse.Peers;

namespace Scuse.Bench.Peers;

/// <summary>istgt with a file in memory, where it is installed.</summary>
sealed class IstgtTarget : ITarget
{
    readonly RunningPeer _daemon;
    readonly string _folder;

    IstgtTarget(RunningPeer daemon, string folder, int port)
    {
        _daemon = daemon;
        _folder = folder;
        Url = $"iscsi://127.0.0.1:{port}/iqn.2026-11.scuse.bench:istgt/0";
    }

    public static bool IsInstalled => Peer.Exists("istgt");

    public string Url { get; }

    public int Pid => _daemon.Id;

    /// <exception cref="PeerException">It did not start.</exception>
    public static async Task<IstgtTarget> StartAsync(string image, long sizeBytes)
    {
        int port = Ports.Free();
        string folder = Directory.CreateTempSubdirectory("scuse-bench-").FullName;
        string config = Path.Combine(folder, "istgt.conf");
        await File.WriteAllTextAsync(config, $"""
            [Global]
              NodeBase "iqn.2026-11.scuse.bench"
              PidFile {folder}/pid
              AuthFile {folder}/auth
              MediaDirectory {folder}
              Timeout 30
              NopInInterval 20
              DiscoveryAuthMethod None
              MaxSessions 16
              MaxConnections 4
              MaxR2T 32
              MaxOutstandingR2T 16
              DefaultTime2Wait 2
              DefaultTime2Retain 60
              FirstBurstLength 262144
              MaxBurstLength 1048576
              MaxRecvDataSegmentLength 262144
              InitialR2T Yes
              ImmediateData Yes
              DataPDUInOrder Yes
              DataSequenceInOrder Yes
              ErrorRecoveryLevel 0
            [UnitControl]
              AuthMethod None
              Portal UC1 127.0.0.1:{Ports.Free()}
              Netmask 127.0.0.1
            [PortalGroup1]
              Portal DA1 127.0.0.1:{port}
            [InitiatorGroup1]
              InitiatorName "ALL"
              Netmask 127.0.0.0/8
            [LogicalUnit1]
              TargetName istgt
              TargetAlias "bench"
              Mapping PortalGroup1 InitiatorGroup1
              AuthMethod None
              UseDigest Auto
              UnitType Disk
              QueueDepth 128
              LUN0 Storage {image} {sizeBytes >> 20}MB

            """);
        await File.WriteAllTextAsync(Path.Combine(folder, "auth"), "");
        RunningPeer daemon = RunningPeer.Start("istgt", "-D", "-c", config);
        IstgtTarget target = new(daemon, folder, port);
        return await Targets.OnceReadyAsync(target, Ports.WaitAsync(port, "istgt"));
    }

    public void Dispose()
    {
        _daemon.Dispose();
        Directory.Delete(_folder, recursive: true);
    }
}

/// <summary>A file in memory over NBD, which many use where others use iSCSI: qemu-nbd, or nbdkit with its file plugin. Only what speaks that protocol can be measured with it.</summary>
sealed class NbdTarget : ITarget
{
    readonly RunningPeer _daemon;

    NbdTarget(RunningPeer daemon, int port)
    {
        _daemon = daemon;
        Url = $"nbd://127.0.0.1:{port}";
    }

    public string Url { get; }

    public int Pid => _daemon.Id;

    /// <summary>The program to use; null when none is installed.</summary>
    public static string? Installed => Peer.Exists("nbdkit") ? "nbdkit" : Peer.Exists("qemu-nbd") ? "qemu-nbd" : null;

    /// <exception cref="PeerException">It did not start.</exception>
    public static async Task<NbdTarget> StartAsync(string program, string image)
    {
        int port = Ports.Free();
        RunningPeer daemon = program == "nbdkit"
            ? RunningPeer.Start(program, "-f", "-i", "127.0.0.1", "-p", $"{port}", "file", image)
            : RunningPeer.Start(program, "-f", "raw", "-t", "-e", "16", "-b", "127.0.0.1", "-p", $"{port}", image);
        NbdTarget target = new(daemon, port);
        return await Targets.OnceReadyAsync(target, Ports.WaitAsync(port, program));
    }

    public void Dispose() => _daemon.Dispose();
}
