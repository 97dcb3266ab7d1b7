using System.Globalization;

namespace Scuse.Cli;

/// <summary>
/// Says on standard error, once a second, how many bytes the process has allocated since its start, how often memory was collected, and for how long everything stood still for that: how a benchmark
/// shows that the data path allocates none.
/// </summary>
sealed class AllocationReport : IDisposable
{
    /// <summary>Set to 1, it makes a handler report.</summary>
    public const string Variable = "SCUSE_REPORT_ALLOCATIONS";

    readonly Timer _timer;

    public AllocationReport(string process) => _timer = new Timer(_ => Report(process), null, TimeSpan.Zero, TimeSpan.FromSeconds(1));

    static void Report(string process) => Console.Error.WriteLine(string.Create(
        CultureInfo.InvariantCulture,
        $"allocated: {process} {GC.GetTotalAllocatedBytes(precise: true)} bytes, {GC.CollectionCount(0)} collections, {GC.GetTotalPauseDuration().TotalMilliseconds:0.0} ms of pauses"));

    public void Dispose() => _timer.Dispose();
}
