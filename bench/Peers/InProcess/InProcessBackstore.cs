using Scuse.Device;
using Scuse.Scsi;
using Scuse.Target;

namespace Scuse.Bench.Peers;

/// <summary>
/// A disk in memory behind a logical unit, without a ring and without another process: a task is executed where it is submitted, by the device server that a handler has, and its data is
/// copied once, as the memory handler does.
/// </summary>
sealed class InProcessBackstore : IBackstore, IBlockDevice
{
    readonly byte[] _medium;
    readonly DeviceServer _handler;
    readonly Stack<Room> _rooms = new();
    LogicalUnit _unit = null!;

    public InProcessBackstore(long sizeBytes)
    {
        _medium = GC.AllocateArray<byte>((int)Math.Min(sizeBytes, 1 << 30), pinned: true);
        Info = new BlockDeviceInfo { SizeBytes = _medium.Length, Serial = "bench-in-process", Product = "in process" };
        DeviceServer = new DeviceServer(this) { TargetCommands = TargetCommands.All };
        _handler = new DeviceServer(this, keepsAtomicCommandsApart: true);
    }

    public bool IsOpen => true;

    public bool IsRefusing => false;

    public ScsiResult Refusal => default;

    public PassLevel PassLevel => PassLevel.Io;

    public DeviceServer DeviceServer { get; }

    public BlockDeviceInfo Info { get; }

    public void Bind(LogicalUnit logicalUnit) => _unit = logicalUnit;

    public void Prepare(ScsiTask task)
    {
        Room room = _rooms.TryPop(out Room? free) ? free : new Room();
        task.BackstoreState = room;
        task.SetBuffers(room.Out.First(task.DataOutLength), room.In.First(task.DataInCapacity));
        _unit.Prepared(task);
    }

    public void Submit(ScsiTask task)
    {
        ValueTask<ScsiResult> executed = _handler.ExecuteAsync(new DeviceCommand(task.CdbMemory, task.DataOut, task.DataIn, CancellationToken.None));
        ScsiResult result = executed.IsCompletedSuccessfully ? executed.Result : throw new InvalidOperationException("memory does not wait");
        Span<byte> sense = stackalloc byte[ScsiTask.MaxSenseLength];
        int length = result.Status == ScsiStatus.CheckCondition ? result.Sense.WriteFixed(sense) : 0;
        _unit.HandlerAnswered(task, result.Status, sense[..length], result.IsGood ? result.DataInLength : 0);
    }

    public void Announce(AbortCause cause, IReadOnlyList<ScsiTask> tasks)
    {
        // Nothing is under way for longer than a call.
    }

    public void IsLate(ScsiTask task, TaskLateness lateness, long ageMs)
    {
        // As above.
    }

    public bool Cancel(ScsiTask task) => true;

    public void Abandon(ScsiTask task) => Release(task);

    public void Release(ScsiTask task)
    {
        if (task.BackstoreState is Room room)
        {
            task.BackstoreState = null;
            _rooms.Push(room);
        }
    }

    public ValueTask<ScsiResult> ReadAsync(long offset, DataBuffer into, CancellationToken aborted)
    {
        into.CopyFrom(_medium.AsSpan((int)offset, into.Length));
        return new(ScsiResult.Good);
    }

    public ValueTask<ScsiResult> WriteAsync(long offset, DataBuffer from, bool forceUnitAccess, CancellationToken aborted)
    {
        from.CopyTo(_medium.AsSpan((int)offset, from.Length));
        return new(ScsiResult.Good);
    }

    public ValueTask<ScsiResult> FlushAsync(CancellationToken aborted) => new(ScsiResult.Good);

    public ValueTask<ScsiResult> UnmapAsync(long offset, long length, CancellationToken aborted) => WriteZeroesAsync(offset, length, mayUnmap: true, aborted);

    public ValueTask<ScsiResult> WriteZeroesAsync(long offset, long length, bool mayUnmap, CancellationToken aborted)
    {
        _medium.AsSpan((int)offset, (int)length).Clear();
        return new(ScsiResult.Good);
    }

    public ValueTask<BlockResources?> GetResourcesAsync(CancellationToken aborted) => new((BlockResources?)null);

    public ValueTask<WorkBuffer> RentAsync(int length, CancellationToken aborted) => new(new WorkBuffer(new DataBuffer(new byte[length]), null, null));

    /// <summary>Room for the data of one task; used again.</summary>
    sealed class Room
    {
        public Bytes Out { get; } = new();

        public Bytes In { get; } = new();
    }

    sealed class Bytes
    {
        readonly Memory<byte>[] _piece = new Memory<byte>[1];

        public DataBuffer First(int length)
        {
            if (length > _piece[0].Length)
            {
                _piece[0] = System.Runtime.InteropServices.MemoryMarshal.CreateFromPinnedArray(GC.AllocateUninitializedArray<byte>(length, pinned: true), 0, length);
            }

            return length == 0 ? default : new DataBuffer(_piece, 1, length);
        }
    }
}
