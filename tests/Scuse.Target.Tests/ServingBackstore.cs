using Scuse.Device;
using Scuse.Scsi;

namespace Scuse.Target.Tests;

/// <summary>A disk in memory behind a logical unit, that answers at once: at level all with a device server of its own, as a handler has.</summary>
sealed class ServingBackstore : IBackstore, IBlockDevice
{
    readonly DeviceServer _handler;
    LogicalUnit _unit = null!;

    public ServingBackstore(PassLevel level, BlockDeviceInfo info)
    {
        PassLevel = level;
        Info = info;
        Medium = new byte[info.SizeBytes];
        for (int i = 0; i < Medium.Length; i++)
        {
            Medium[i] = (byte)(i / info.BlockSize + 1);
        }

        DeviceServer = new DeviceServer(this) { TargetCommands = Target.TargetCommands.All, HasCopyManager = true, TellsResources = true };
        _handler = level == PassLevel.Io ? DeviceServer : new DeviceServer(this, keepsAtomicCommandsApart: true) { TargetCommands = Target.TargetCommands.All, HasCopyManager = true };
    }

    /// <summary>What is on the disk; each block at first filled with its number and one.</summary>
    public byte[] Medium { get; }

    public int Flushes { get; private set; }

    public int Unmaps { get; private set; }

    public int DurableWrites { get; private set; }

    public bool IsOpen => true;

    public bool IsRefusing => false;

    public ScsiResult Refusal => default;

    public PassLevel PassLevel { get; }

    public DeviceServer DeviceServer { get; }

    public BlockDeviceInfo Info { get; }

    public void Bind(LogicalUnit logicalUnit) => _unit = logicalUnit;

    public void Prepare(ScsiTask task)
    {
        task.SetBuffers(new DataBuffer(new byte[task.DataOutLength]), new DataBuffer(new byte[task.DataInCapacity]));
        _unit.Prepared(task);
    }

    public async void Submit(ScsiTask task)
    {
        ScsiResult result = await _handler.ExecuteAsync(new DeviceCommand(task.CdbMemory, task.DataOut, task.DataIn, CancellationToken.None));
        byte[] sense = new byte[ScsiTask.MaxSenseLength];
        int length = result.Status != ScsiStatus.CheckCondition ? 0 : _handler.Control.DescriptorSense ? result.Sense.WriteDescriptor(sense) : result.Sense.WriteFixed(sense);
        _unit.HandlerAnswered(task, result.Status, sense.AsSpan(0, length), result.IsGood ? result.DataInLength : 0);
    }

    public void Announce(AbortCause cause, IReadOnlyList<ScsiTask> tasks)
    {
        // Nothing is under way for longer than a call.
    }

    public void IsLate(ScsiTask task, TaskLateness lateness, long ageMs) => throw new NotSupportedException();

    public bool Cancel(ScsiTask task) => false;

    public void Abandon(ScsiTask task) => throw new NotSupportedException();

    public void Release(ScsiTask task) => task.BackstoreState = null;

    public ValueTask<ScsiResult> ReadAsync(long offset, DataBuffer into, CancellationToken aborted)
    {
        into.CopyFrom(Medium.AsSpan((int)offset, into.Length));
        return new(ScsiResult.Good);
    }

    public ValueTask<ScsiResult> WriteAsync(long offset, DataBuffer from, bool forceUnitAccess, CancellationToken aborted)
    {
        from.CopyTo(Medium.AsSpan((int)offset, from.Length));
        DurableWrites += forceUnitAccess ? 1 : 0;
        return new(ScsiResult.Good);
    }

    public ValueTask<ScsiResult> FlushAsync(CancellationToken aborted)
    {
        Flushes++;
        return new(ScsiResult.Good);
    }

    public ValueTask<ScsiResult> UnmapAsync(long offset, long length, CancellationToken aborted)
    {
        Unmaps++;
        return WriteZeroesAsync(offset, length, mayUnmap: true, aborted);
    }

    public ValueTask<ScsiResult> WriteZeroesAsync(long offset, long length, bool mayUnmap, CancellationToken aborted)
    {
        Medium.AsSpan((int)offset, (int)length).Clear();
        return new(ScsiResult.Good);
    }

    /// <summary>What it says of the room behind it.</summary>
    public BlockResources? Resources { get; set; }

    public ValueTask<BlockResources?> GetResourcesAsync(CancellationToken aborted) => new(Resources);

    public ValueTask<WorkBuffer> RentAsync(int length, CancellationToken aborted) => new(new WorkBuffer(new DataBuffer(new byte[length]), null, null));
}
