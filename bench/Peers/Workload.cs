using System.Globalization;
using System.Text.RegularExpressions;
using Scuse.Peers;

namespace Scuse.Bench.Peers;

/// <summary>One measurement: how fast a target was, and what it cost it.</summary>
readonly record struct Sample(double OperationsPerSecond, double CpuMicrosecondsPerOperation);

/// <summary>A kind of load, how it is put on a target, and how many times faster than tgt Scuse is expected to be.</summary>
abstract partial record Workload(string Name, int BlockBytes, int Depth, double? ExpectedRatio)
{
    static readonly TimeSpan Deadline = TimeSpan.FromMinutes(5);

    /// <summary>Everything that is compared.</summary>
    public static IReadOnlyList<Workload> All { get; } =
    [
        new RandomRead("4 KiB random read, QD1", 4 << 10, 1, null),
        new RandomRead("4 KiB random read, QD32", 4 << 10, 32, 3),
        new Light("4 KiB random read, QD32, light client", 4 << 10, 32, null),
        new Sequential("4 KiB write, QD32", 4 << 10, 32, 1.5, Write: true, Operations: 200_000),
        new Sequential("64 KiB read, QD32", 64 << 10, 32, 2, Write: false, Operations: 80_000),
        new Sequential("64 KiB write, QD32", 64 << 10, 32, null, Write: true, Operations: 60_000),
        new Sequential("1 MiB read, QD8", 1 << 20, 8, 2, Write: false, Operations: 6_000),
        new Sequential("1 MiB write, QD8", 1 << 20, 8, null, Write: true, Operations: 5_000),
    ];

    /// <summary>Puts the load on a target and tells how fast that went.</summary>
    public async Task<Sample> MeasureAsync(ITarget target, bool quick)
    {
        double before = ProcessTree.CpuSeconds(target.Pid);
        (double operationsPerSecond, double operations) = await RunAsync(target.Url, quick);
        double cpuSeconds = ProcessTree.CpuSeconds(target.Pid) - before;
        return new Sample(operationsPerSecond, cpuSeconds / operations * 1e6);
    }

    /// <summary>Runs the initiator; tells operations a second and how many there were.</summary>
    protected abstract Task<(double OperationsPerSecond, double Operations)> RunAsync(string url, bool quick);

    static double Number(Regex pattern, Outcome outcome)
    {
        Match match = pattern.Match(outcome.Text);
        return match.Success
            ? double.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture)
            : throw new PeerException(outcome.Text);
    }

    /// <summary>Reads at random places with libiscsi's iscsi-perf, for a time.</summary>
    sealed partial record RandomRead(string Name, int BlockBytes, int Depth, double? ExpectedRatio)
        : Workload(Name, BlockBytes, Depth, ExpectedRatio)
    {
        const int Seconds = 5;
        const int QuickSeconds = 2;
        const int SectorBytes = 512;

        protected override async Task<(double OperationsPerSecond, double Operations)> RunAsync(string url, bool quick)
        {
            int seconds = quick ? QuickSeconds : Seconds;
            string[] arguments = [.. new[] { BlockBytes / SectorBytes, Depth, seconds }.Select(number => number.ToString(CultureInfo.InvariantCulture))];
            Outcome outcome = (await Peer.RunAsync(
                Deadline, "iscsi-perf", "-r", "-b", arguments[0], "-m", arguments[1], "-t", arguments[2], url)).OrThrow();
            double perSecond = Number(FinalAverage(), outcome);
            return (perSecond, perSecond * seconds);
        }

        // The last line; the running figures before it end in another way.
        [GeneratedRegex(@"iops average (\d+) \([^)]*\)\s+\n")]
        private static partial Regex FinalAverage();
    }

    /// <summary>Reads at random places with an initiator that does as little as it can, so that the target is the limit.</summary>
    sealed record Light(string Name, int BlockBytes, int Depth, double? ExpectedRatio) : Workload(Name, BlockBytes, Depth, ExpectedRatio)
    {
        protected override async Task<(double OperationsPerSecond, double Operations)> RunAsync(string url, bool quick)
        {
            LightReport report = await LightLoad.RunAsync(url, "--block", $"{BlockBytes}", "--depth", $"{Depth}", "--seconds", quick ? "1" : "5");
            return (report.Operations / report.Seconds, report.Operations);
        }
    }

    /// <summary>Reads or writes from the start to the end and round again with qemu-img bench, a number of times.</summary>
    sealed partial record Sequential(string Name, int BlockBytes, int Depth, double? ExpectedRatio, bool Write, int Operations)
        : Workload(Name, BlockBytes, Depth, ExpectedRatio)
    {
        const int QuickShare = 20;

        protected override async Task<(double OperationsPerSecond, double Operations)> RunAsync(string url, bool quick)
        {
            int operations = quick ? Operations / QuickShare : Operations;
            double seconds = await QemuBench.RunAsync(Deadline, url, BlockBytes, Depth, operations, Write);
            return (operations / seconds, operations);
        }
    }
}

/// <summary>qemu-img bench.</summary>
static partial class QemuBench
{
    /// <summary>Runs it and tells its own figure of the time the operations took, in seconds.</summary>
    /// <exception cref="PeerException">It failed, or said nothing that can be understood.</exception>
    public static async Task<double> RunAsync(TimeSpan deadline, string url, int blockBytes, int depth, int operations, bool write, byte pattern = 0)
    {
        string[] arguments =
        [
            "bench", "-f", "raw", "-t", "none", "-s", $"{blockBytes}", "-d", $"{depth}", "-c", $"{operations}",
            .. write ? new[] { "-w", $"--pattern={pattern}" } : [],
            url,
        ];
        Outcome outcome = (await Peer.RunAsync(deadline, "qemu-img", arguments)).OrThrow();
        Match match = RunTime().Match(outcome.Output);
        return match.Success ? double.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture) : throw new PeerException(outcome.Text);
    }

    [GeneratedRegex(@"Run completed in ([0-9.]+) seconds")]
    private static partial Regex RunTime();
}
