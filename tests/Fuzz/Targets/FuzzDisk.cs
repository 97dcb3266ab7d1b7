using Scuse.Device;
using Scuse.Scsi;
using Scuse.Target;

namespace Scuse.Fuzz.Targets;

/// <summary>
/// What stands behind a logical unit here: a disk in memory that is the device server's block device at both pass levels, and at level all its whole handler. Its work is
/// done at once or, while <see cref="IsLate"/>, by <see cref="TryStep"/>.
/// </summary>
sealed class FuzzDisk : IBackstore, IBlockDevice
{
    readonly byte _poison;
    readonly byte[] _medium;
    readonly Queue<Action> _work = new();
    readonly HashSet<ScsiTask> _submitted = [];
    readonly DeviceServer _handler;
    LogicalUnit _unit = null!;

    public FuzzDisk(PassLevel level, BlockDeviceInfo info, byte poison)
    {
        PassLevel = level;
        Info = info;
        _poison = poison;
        _medium = new byte[info.SizeBytes];
        for (int i = 0; i < _medium.Length; i++)
        {
            _medium[i] = (byte)(i * 31 >> 3);
        }

        DeviceServer = new DeviceServer(this) { TellsResources = true };
        _handler = new DeviceServer(this, keepsAtomicCommandsApart: true);
    }

    public bool IsLate { get; set; }

    /// <summary>A fault that can be planted: whose medium writes land on.</summary>
    public FuzzDisk? WritesTo { get; set; }

    /// <summary>A fault that can be planted: what a task held that was taken away is not given back.</summary>
    public bool ForgetsAborted { get; set; }

    public ReadOnlySpan<byte> Medium => _medium;

    public int Prepared { get; private set; }

    public int Rented { get; private set; }

    public bool IsOpen => true;

    public bool IsRefusing => false;

    public ScsiResult Refusal => default;

    public PassLevel PassLevel { get; }

    public DeviceServer DeviceServer { get; }

    public BlockDeviceInfo Info { get; }

    /// <summary>Does the oldest piece of work that waits; false when there is none.</summary>
    public bool TryStep()
    {
        bool any = _work.TryDequeue(out Action? work);
        work?.Invoke();
        return any;
    }

    // ---- the backstore ----

    public void Bind(LogicalUnit logicalUnit) => _unit = logicalUnit;

    public void Prepare(ScsiTask task)
    {
        Prepared++;
        task.BackstoreState = this;
        task.SetBuffers(Memory(task.DataOutLength), Memory(task.DataInCapacity));
        _unit.Prepared(task);
    }

    public void Submit(ScsiTask task)
    {
        _submitted.Add(task);
        Soon(() =>
        {
            if (_submitted.Contains(task)) // not taken away meanwhile
            {
                Serve(task);
            }
        });
    }

    public void Announce(AbortCause cause, IReadOnlyList<ScsiTask> tasks)
    {
        // A handler that does not care.
    }

    void IBackstore.IsLate(ScsiTask task, TaskLateness lateness, long ageMs)
    {
        // Nobody is told.
    }

    public bool Cancel(ScsiTask task)
    {
        Prepared += ForgetsAborted ? 1 : 0;
        return false;
    }

    public void Abandon(ScsiTask task)
    {
        if (task.BackstoreState is not null) // one that waits for its blocks has no memory yet
        {
            Release(task);
        }

        _submitted.Remove(task);
    }

    public void Release(ScsiTask task)
    {
        IscsiWorld.Require(task.BackstoreState == this, "memory is given back that is not a task's");
        Prepared--;
        task.BackstoreState = null;
    }

    async void Serve(ScsiTask task)
    {
        byte[] cdb = task.Cdb.ToArray(); // the task may be taken away while the device works
        ScsiResult result = await _handler.ExecuteAsync(new DeviceCommand(cdb, task.DataOut, task.DataIn, CancellationToken.None));
        if (!_submitted.Remove(task))
        {
            return;
        }

        byte[] sense = new byte[ScsiTask.MaxSenseLength];
        int length = result.Status == ScsiStatus.CheckCondition ? result.Sense.WriteFixed(sense) : 0;
        _unit.HandlerAnswered(task, result.Status, sense.AsSpan(0, length), result.IsGood ? Math.Min(result.DataInLength, task.DataIn.Length) : 0);
    }

    // ---- the block device ----

    public ValueTask<ScsiResult> ReadAsync(long offset, DataBuffer into, CancellationToken aborted) =>
        Later(() => into.CopyFrom(_medium.AsSpan((int)offset, into.Length)));

    public ValueTask<ScsiResult> WriteAsync(long offset, DataBuffer from, bool forceUnitAccess, CancellationToken aborted) =>
        Later(() => from.CopyTo((WritesTo ?? this)._medium.AsSpan((int)offset, from.Length)));

    public ValueTask<ScsiResult> FlushAsync(CancellationToken aborted) => Later(static () => { });

    public ValueTask<ScsiResult> UnmapAsync(long offset, long length, CancellationToken aborted) =>
        Later(() => _medium.AsSpan((int)offset, (int)length).Clear());

    public ValueTask<ScsiResult> WriteZeroesAsync(long offset, long length, bool mayUnmap, CancellationToken aborted) =>
        Later(() => _medium.AsSpan((int)offset, (int)length).Clear());

    /// <summary>The more of the disk is not zeros, the more room it takes up.</summary>
    public ValueTask<BlockResources?> GetResourcesAsync(CancellationToken aborted)
    {
        long used = _medium.Length - _medium.AsSpan().Count((byte)0);
        return new(new BlockResources(used << 10, (_medium.Length - used) << 10, IsShared: true));
    }

    public ValueTask<WorkBuffer> RentAsync(int length, CancellationToken aborted)
    {
        Rented++;
        return new(new WorkBuffer(Memory(length), _ => Rented--, null));
    }

    ValueTask<ScsiResult> Later(Action work)
    {
        if (!IsLate)
        {
            work();
            return new(ScsiResult.Good);
        }

        TaskCompletionSource<ScsiResult> done = new();
        _work.Enqueue(() =>
        {
            work();
            done.SetResult(ScsiResult.Good);
        });
        return new(done.Task);
    }

    void Soon(Action work)
    {
        if (IsLate)
        {
            _work.Enqueue(work);
        }
        else
        {
            work();
        }
    }

    DataBuffer Memory(int length)
    {
        byte[] memory = new byte[length];
        memory.AsSpan().Fill(_poison);
        return new DataBuffer(memory);
    }
}
