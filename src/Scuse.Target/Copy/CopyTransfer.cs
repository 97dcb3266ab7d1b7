using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>
/// Reads and writes for a copy, one at a time, as tasks of their own in the task sets of the logical units concerned: so reservations, resets, time limits, commands
/// that must be atomic and writes that outlive their abort are what they are for an initiator's own reads and writes.
/// </summary>
/// <remarks>Touched only by the owning thread, where it goes on from one to the next.</remarks>
sealed class CopyTransfer : WheelTimer, ITaskTransport, IDisposable
{
    readonly ScsiTarget _target;
    readonly Nexus _nexus;
    readonly CancellationToken _aborted;
    readonly CancellationTokenRegistration _registration;
    TaskCompletionSource<ScsiResult>? _done;
    Memory<byte> _data;
    bool _wasAborted;

    /// <param name="target">The target.</param>
    /// <param name="nexus">On whose behalf.</param>
    /// <param name="aborted">Set when the copy itself is aborted.</param>
    public CopyTransfer(ScsiTarget target, Nexus nexus, CancellationToken aborted)
    {
        _target = target;
        _nexus = nexus;
        _aborted = aborted;
        _registration = aborted.UnsafeRegister(static transfer => ((CopyTransfer)transfer!).CopyWasAborted(), this);
    }

    public void Dispose()
    {
        _registration.Dispose();
        TimerWheel.Clear(this);
    }

    /// <summary>Reads blocks into <paramref name="data"/>, or writes them from there.</summary>
    public Task<ScsiResult> RunAsync(LogicalUnit unit, bool isWrite, ulong lba, uint blockCount, Memory<byte> data)
    {
        TaskCompletionSource<ScsiResult> done = new();
        _done = done;
        _data = data;
        _wasAborted = false;
        Span<byte> cdb = stackalloc byte[Cdb.MaxFixedLength];
        int length = isWrite ? Cdb.WriteWrite16(cdb, lba, blockCount) : Cdb.WriteRead16(cdb, lba, blockCount);
        ScsiTask task = _target.Rent();
        task.Transport = this;
        task.Nexus = _nexus;
        task.Lun = LunAddress.Format(unit.Number);
        task.IsOfCopyManager = true;
        task.ExpectedDataOut = isWrite ? data.Length : 0;
        task.ExpectedDataIn = isWrite ? 0 : data.Length;
        task.SetCdb(cdb[..length]);
        _target.Begin(task);
        return done.Task;
    }

    public void OnDataOutWanted(ScsiTask task)
    {
        task.DataOut.Slice(0, task.DataOutLength).CopyFrom(_data.Span[..task.DataOutLength]);
        _target.DataArrived(task);
    }

    public void OnCompleted(ScsiTask task)
    {
        ScsiResult result = task.Status == ScsiStatus.CheckCondition ? ScsiResult.Check(SenseData.Parse(task.Sense)) : ScsiResult.With(task.Status);
        bool isRead = task.ExpectedDataIn > 0;
        if (result.IsGood && isRead && task.DataInLength >= _data.Length)
        {
            task.DataIn.CopyTo(_data.Span);
        }
        else if (result.IsGood && isRead)
        {
            result = ScsiResult.Check(SenseKey.AbortedCommand, AdditionalSense.CopyTargetDeviceDataUnderrun);
        }

        task.Release();
        Done(result);
    }

    public void OnAborted(ScsiTask task)
    {
        // The copy's own command may be next: not before that is known may it go on. Soon, if it is not.
        _wasAborted = true;
        if (_aborted.IsCancellationRequested)
        {
            Done(Aborted);
        }
        else
        {
            _target.Timers.Set(this, _target.NowMs);
        }
    }

    public void OnTaskManagementCompleted(TaskManagementRequest request, TaskManagementResponse response) => throw new NotSupportedException();

    protected internal override void Due(long nowMs) => Done(Aborted);

    static ScsiResult Aborted => ScsiResult.Check(SenseKey.AbortedCommand, AdditionalSense.None);

    // What the device has of it goes on to its end; then the copy ends.
    void CopyWasAborted()
    {
        if (_wasAborted)
        {
            Done(Aborted);
        }
    }

    void Done(ScsiResult result)
    {
        TimerWheel.Clear(this);
        TaskCompletionSource<ScsiResult>? done = _done;
        _done = null;
        done?.SetResult(result);
    }
}
