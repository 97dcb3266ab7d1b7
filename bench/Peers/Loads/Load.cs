using System.Globalization;
using System.Text.RegularExpressions;
using Scuse.Peers;

namespace Scuse.Bench.Peers;

/// <summary>One measurement: how fast a target was, what it cost it, and how long commands took where the load tells.</summary>
readonly record struct Sample(double OperationsPerSecond, double CpuMicrosecondsPerOperation, LightReport? Light);

/// <summary>A load that an initiator puts on a target.</summary>
/// <param name="BlockBytes">How much a command moves.</param>
abstract record Load(int BlockBytes)
{
    protected static readonly TimeSpan Deadline = TimeSpan.FromMinutes(5);

    /// <summary>Whether it can be put on a target that does not speak iSCSI.</summary>
    public virtual bool SpeaksNbd => false;

    /// <summary>Puts the load on a target and tells how fast that went.</summary>
    /// <exception cref="PeerException">The initiator failed.</exception>
    public async Task<Sample> MeasureAsync(ITarget target, bool quick)
    {
        double before = ProcessTree.CpuSeconds(target.Pid);
        Run run = await RunAsync(target, quick);
        double cpuSeconds = ProcessTree.CpuSeconds(target.Pid) - before;
        return new Sample(run.OperationsPerSecond, cpuSeconds / run.Operations * 1e6, run.Light);
    }

    /// <summary>Runs the initiator.</summary>
    protected abstract Task<Run> RunAsync(ITarget target, bool quick);

    /// <summary>What an initiator tells of itself.</summary>
    protected readonly record struct Run(double OperationsPerSecond, double Operations, LightReport? Light = null);
}

/// <summary>Reads at random places with libiscsi's iscsi-perf, for a time.</summary>
sealed partial record IscsiPerf(int BlockBytes, int Depth) : Load(BlockBytes)
{
    const int Seconds = 5;
    const int QuickSeconds = 2;
    const int SectorBytes = 512;

    protected override async Task<Run> RunAsync(ITarget target, bool quick)
    {
        int seconds = quick ? QuickSeconds : Seconds;
        string[] arguments = [.. new[] { BlockBytes / SectorBytes, Depth, seconds }.Select(number => number.ToString(CultureInfo.InvariantCulture))];
        Outcome outcome = (await Peer.RunAsync(Deadline, "iscsi-perf", "-r", "-b", arguments[0], "-m", arguments[1], "-t", arguments[2], target.Url)).OrThrow();
        Match match = FinalAverage().Match(outcome.Text);
        double perSecond = match.Success ? double.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture) : throw new PeerException(outcome.Text);
        return new(perSecond, perSecond * seconds);
    }

    // The last line; the running figures before it end in another way.
    [GeneratedRegex(@"iops average (\d+) \([^)]*\)\s+\n")]
    private static partial Regex FinalAverage();
}

/// <summary>Reads with an initiator that does as little as it can, so that the target is the limit; it also tells how long commands took.</summary>
/// <param name="BlockBytes">How much a command moves.</param>
/// <param name="Depth">How many commands each session has under way.</param>
sealed record Light(int BlockBytes, int Depth) : Load(BlockBytes)
{
    /// <summary>How many sessions there are.</summary>
    public int Sessions { get; init; } = 1;

    /// <summary>Over how many logical units they are spread.</summary>
    public int Luns { get; init; } = 1;

    /// <summary>Commands a second at most, over all sessions; 0: as many as there can be.</summary>
    public int Rate { get; init; }

    protected override async Task<Run> RunAsync(ITarget target, bool quick)
    {
        string[] options =
        [
            "--block", $"{BlockBytes}", "--depth", $"{Depth}", "--sessions", $"{Sessions}", "--luns", $"{Luns}", "--rate", $"{Rate}",
        ];
        LightReport report = await LightInitiator.RunAsync(target.Url, quick ? 1 : 5, options);
        return new(report.Operations / report.Seconds, report.Operations, report);
    }
}

/// <summary>Reads or writes from the start to the end and round again with qemu-img bench, a number of times.</summary>
sealed record QemuImg(int BlockBytes, int Depth, bool Write, int Operations) : Load(BlockBytes)
{
    const int QuickShare = 20;

    public override bool SpeaksNbd => true;

    protected override async Task<Run> RunAsync(ITarget target, bool quick)
    {
        int operations = quick ? Operations / QuickShare : Operations;
        double seconds = await QemuBench.RunAsync(Deadline, target.Url, BlockBytes, Depth, operations, Write);
        return new(operations / seconds, operations);
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
