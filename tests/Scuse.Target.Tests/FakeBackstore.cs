using Scuse.Device;
using Scuse.Scsi;

namespace Scuse.Target.Tests;

/// <summary>A backstore that does nothing by itself: the test says when there is room and what the handler answers.</summary>
sealed class FakeBackstore : IBackstore
{
    public const int BlockSize = 512;
    public const int Blocks = 100;

    readonly FakeDevice _device;

    public FakeBackstore(PassLevel level = PassLevel.Io, string serial = "0123")
    {
        _device = new FakeDevice(serial);
        PassLevel = level;
        DeviceServer = new DeviceServer(_device);
    }

    public LogicalUnit Unit { get; private set; } = null!;

    public bool IsOpen { get; set; } = true;

    public PassLevel PassLevel { get; }

    public DeviceServer DeviceServer { get; }

    public BlockDeviceInfo Info => _device.Info;

    /// <summary>Whether <see cref="Prepare"/> finds room at once.</summary>
    public bool HasRoom { get; set; } = true;

    public List<ScsiTask> Waiting { get; } = [];

    public List<ScsiTask> Submitted { get; } = [];

    public List<ScsiTask> Abandoned { get; } = [];

    public int Released { get; private set; }

    /// <summary>Whether the device server's own reads wait for <see cref="FinishRead"/>.</summary>
    public bool HoldsReads
    {
        get => _device.Reads is not null;
        set => _device.Reads = value ? new() : null;
    }

    public BlockDeviceFeatures Features
    {
        set => _device.Info = _device.Info with { Features = value };
    }

    public int MaxTransferBytes
    {
        set => _device.Info = _device.Info with { MaxTransferBytes = value };
    }

    /// <summary>Whether the device server's own flushes wait until it is set.</summary>
    public TaskCompletionSource<ScsiResult>? FlushGate
    {
        set => _device.FlushGate = value;
    }

    public int ReadsUnderWay => _device.Reads!.Count;

    public bool IsRefusing { get; set; }

    public ScsiResult Refusal => ScsiResult.With(ScsiStatus.Busy);

    public List<(AbortCause Cause, int Tasks)> Announced { get; } = [];

    public List<TaskLateness> Late { get; } = [];

    public void Bind(LogicalUnit logicalUnit) => Unit = logicalUnit;

    public void Prepare(ScsiTask task)
    {
        task.BackstoreState = this;
        if (HasRoom)
        {
            GiveRoom(task);
        }
        else
        {
            Waiting.Add(task);
        }
    }

    public void GiveRoom(ScsiTask task)
    {
        Waiting.Remove(task);
        task.SetBuffers(new DataBuffer(new byte[task.DataOutLength]), new DataBuffer(new byte[task.DataInCapacity]));
        Unit.Prepared(task);
    }

    public void Submit(ScsiTask task) => Submitted.Add(task);

    public void Answer(ScsiTask task, ScsiStatus status = ScsiStatus.Good)
    {
        Submitted.Remove(task);
        Unit.HandlerAnswered(task, status, default, -1);
    }

    public void Announce(AbortCause cause, IReadOnlyList<ScsiTask> tasks) => Announced.Add((cause, tasks.Count));

    public void IsLate(ScsiTask task, TaskLateness lateness, long ageMs) => Late.Add(lateness);

    /// <summary>The oldest of the device server's own reads ends; it read zeros.</summary>
    public void FinishRead() => _device.Reads!.Dequeue().SetResult(ScsiResult.Good);

    public bool Cancel(ScsiTask task) => Waiting.Remove(task);

    public void Abandon(ScsiTask task)
    {
        Submitted.Remove(task);
        Waiting.Remove(task);
        task.BackstoreState = null;
        Abandoned.Add(task);
    }

    public void Release(ScsiTask task)
    {
        task.BackstoreState = null;
        Released++;
    }

    sealed class FakeDevice(string serial) : IBlockDevice
    {
        public BlockDeviceInfo Info { get; set; } = new() { SizeBytes = Blocks * BlockSize, Serial = serial, Features = BlockDeviceFeatures.Flush, AtomicWriteBytes = 4096 };

        public Queue<TaskCompletionSource<ScsiResult>>? Reads { get; set; }

        public ValueTask<ScsiResult> ReadAsync(long offset, DataBuffer into, CancellationToken aborted)
        {
            if (Reads is null)
            {
                return new(ScsiResult.GoodWith(into.Length));
            }

            TaskCompletionSource<ScsiResult> reading = new();
            Reads.Enqueue(reading);
            return new(reading.Task);
        }

        public ValueTask<ScsiResult> WriteAsync(long offset, DataBuffer from, bool forceUnitAccess, CancellationToken aborted) => new(ScsiResult.Good);

        public TaskCompletionSource<ScsiResult>? FlushGate { get; set; }

        public ValueTask<ScsiResult> FlushAsync(CancellationToken aborted) => FlushGate is { } gate ? new(gate.Task) : new(ScsiResult.Good);

        public ValueTask<ScsiResult> UnmapAsync(long offset, long length, CancellationToken aborted) => new(ScsiResult.Good);

        public ValueTask<ScsiResult> WriteZeroesAsync(long offset, long length, bool mayUnmap, CancellationToken aborted) => new(ScsiResult.Good);

        public ValueTask<WorkBuffer> RentAsync(int length, CancellationToken aborted) => new(new WorkBuffer(new DataBuffer(new byte[length]), null, null));
    }
}
