namespace Scuse.Cli;

/// <summary>Says on standard error, once a second, how many bytes the process has allocated since its start: how a benchmark shows that the data path allocates none.</summary>
sealed class AllocationReport : IDisposable
{
    /// <summary>Set to 1, it makes a handler report.</summary>
    public const string Variable = "SCUSE_REPORT_ALLOCATIONS";

    readonly Timer _timer;

    public AllocationReport(string process) =>
        _timer = new Timer(_ => Console.Error.WriteLine($"allocated: {process} {GC.GetTotalAllocatedBytes(precise: true)}"), null, TimeSpan.Zero, TimeSpan.FromSeconds(1));

    public void Dispose() => _timer.Dispose();
}
