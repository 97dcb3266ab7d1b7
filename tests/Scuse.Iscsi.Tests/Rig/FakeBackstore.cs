using System.Buffers.Binary;
using Scuse.Device;
using Scuse.Scsi;
using Scuse.Target;

namespace Scuse.Iscsi.Tests.Rig;

/// <summary>A device that keeps its bytes in an array and does what a test tells it: answer, hold, refuse.</summary>
sealed class FakeBackstore(int segmentBytes = 4096) : IBackstore
{
    public const int BlockSize = 512;
    readonly Stack<Memory<byte>[]> _memory = new();
    readonly List<(ScsiTask Task, DataBuffer Blocks)> _inPlace = [];
    LogicalUnit _unit = null!;

    public byte[] Disk { get; } = new byte[256 << 10];

    /// <summary>Whether tasks wait for room until <see cref="PrepareHeld"/>.</summary>
    public bool HoldsPrepare { get; set; }

    /// <summary>Whether tasks wait for their answer until <see cref="AnswerHeld"/>.</summary>
    public bool HoldsSubmit { get; set; }

    /// <summary>Whether an abort finds the handler at work.</summary>
    public bool IsBusyWhenCancelled { get; set; }

    public List<ScsiTask> Preparing { get; } = [];

    public List<ScsiTask> Submitted { get; } = [];

    /// <summary>Whether the data of reads is left on the <see cref="Disk"/> where the transport takes it so.</summary>
    public bool AnswersInPlace { get; set; }

    /// <summary>How many reads' data is on the disk now.</summary>
    public int InPlace => _inPlace.Count;

    /// <summary>Prepared and not released: each task's memory goes back exactly once.</summary>
    public int InUse { get; private set; }

    /// <summary>Tells how a command ends that the device does not know as a read or write.</summary>
    public Func<ScsiTask, (ScsiStatus Status, byte[] Sense, int DataInLength)>? Answer { get; set; }

    public List<byte[]> Written { get; } = [];

    public bool IsOpen => true;

    public PassLevel PassLevel => PassLevel.All;

    /// <summary>Nothing reaches it: everything is passed through. It knows what the Control mode page says.</summary>
    public DeviceServer DeviceServer { get; } = new(new Unreachable());

    public BlockDeviceInfo Info => DeviceServer.Device.Info;

    public void Bind(LogicalUnit logicalUnit) => _unit = logicalUnit;

    public void Prepare(ScsiTask task)
    {
        if (HoldsPrepare)
        {
            Preparing.Add(task);
            return;
        }

        Give(task);
    }

    public void PrepareHeld()
    {
        List<ScsiTask> tasks = [.. Preparing];
        Preparing.Clear();
        tasks.ForEach(Give);
    }

    public void Submit(ScsiTask task)
    {
        if (HoldsSubmit)
        {
            Submitted.Add(task);
            return;
        }

        Execute(task);
    }

    public void AnswerHeld()
    {
        List<ScsiTask> tasks = [.. Submitted];
        Submitted.Clear();
        tasks.ForEach(Execute);
    }

    public bool IsRefusing => false;

    public ScsiResult Refusal => ScsiResult.With(ScsiStatus.Busy);

    public void Announce(AbortCause cause, IReadOnlyList<ScsiTask> tasks)
    {
    }

    public void IsLate(ScsiTask task, TaskLateness lateness, long ageMs)
    {
    }

    public bool Cancel(ScsiTask task)
    {
        if (IsBusyWhenCancelled && Submitted.Contains(task))
        {
            return false;
        }

        Preparing.Remove(task);
        Submitted.Remove(task);
        return true;
    }

    public void Abandon(ScsiTask task)
    {
        Preparing.Remove(task);
        Submitted.Remove(task);
    }

    public void Release(ScsiTask task)
    {
        InUse--;
        LeavePlace(task);
        if (task.BackstoreState is Memory<byte>[] memory)
        {
            _memory.Push(memory);
        }
    }

    void LeavePlace(ScsiTask task)
    {
        for (int i = _inPlace.Count - 1; i >= 0; i--)
        {
            if (_inPlace[i].Task == task)
            {
                _inPlace.RemoveAt(i);
            }
        }
    }

    public void SettleDataIn()
    {
        foreach ((ScsiTask task, DataBuffer blocks) in _inPlace)
        {
            blocks.CopyFrom(task.DataIn);
            task.SetBuffers(task.DataOut, blocks);
            task.Transport.OnDataInMoved(task);
        }

        _inPlace.Clear();
    }

    void Give(ScsiTask task)
    {
        InUse++;
        int need = task.DataOutLength + task.DataInCapacity;
        Memory<byte>[] memory = _memory.TryPop(out Memory<byte>[]? spare) && spare.Length * segmentBytes >= need + segmentBytes ? spare : Allocate(need);
        task.BackstoreState = memory;
        int outSegments = (task.DataOutLength + segmentBytes - 1) / segmentBytes;
        var dataOut = new DataBuffer(memory, outSegments, task.DataOutLength);
        DataBuffer whole = new(memory, memory.Length, memory.Length * segmentBytes);
        task.SetBuffers(dataOut, whole.Slice(outSegments * segmentBytes, task.DataInCapacity));
        _unit.Prepared(task);
    }

    Memory<byte>[] Allocate(int bytes)
    {
        var memory = new Memory<byte>[(bytes / segmentBytes) + 3];
        for (int i = 0; i < memory.Length; i++)
        {
            memory[i] = GC.AllocateArray<byte>(segmentBytes, pinned: true);
        }

        return memory;
    }

    void Execute(ScsiTask task)
    {
        int offset = BinaryPrimitives.ReadInt32BigEndian(task.Cdb[2..]) * BlockSize;
        if (task.Cdb[0] is 0x28 or 0x2A && (offset < 0 || offset > Disk.Length - Math.Max(task.DataIn.Length, task.DataOutLength)))
        {
            byte[] sense = new byte[SenseData.FixedLength];
            SenseData.LbaOutOfRange.WriteFixed(sense);
            _unit.HandlerAnswered(task, ScsiStatus.CheckCondition, sense, 0);
            return;
        }

        switch (task.Cdb[0])
        {
            case 0x00: // TEST UNIT READY
                _unit.HandlerAnswered(task, ScsiStatus.Good, default, 0);
                break;
            case 0x28 when AnswersInPlace && task.TakesDataInWhereItLies:
                _inPlace.Add((task, task.DataIn));
                task.SetBuffers(task.DataOut, new DataBuffer(Disk.AsMemory(offset, task.DataIn.Length)));
                _unit.HandlerAnswered(task, ScsiStatus.Good, default, -1);
                break;
            case 0x28: // READ(10)
                task.DataIn.CopyFrom(Disk.AsSpan(offset, task.DataIn.Length));
                _unit.HandlerAnswered(task, ScsiStatus.Good, default, -1);
                break;
            case 0x2A: // WRITE(10)
                task.DataOut.CopyTo(Disk.AsSpan(offset, task.DataOutLength));
                _unit.HandlerAnswered(task, ScsiStatus.Good, default, 0);
                break;
            default:
                Written.Add(task.DataOut.ToArray());
                foreach (Memory<byte> piece in task.DataIn)
                {
                    piece.Span.Fill(task.Cdb[0]);
                }

                (ScsiStatus status, byte[] sense, int length) = Answer?.Invoke(task) ?? (ScsiStatus.Good, [], -1);
                _unit.HandlerAnswered(task, status, sense, length);
                break;
        }
    }

    sealed class Unreachable : IBlockDevice
    {
        public BlockDeviceInfo Info { get; } = new() { SizeBytes = 256 << 10, BlockSize = BlockSize, Serial = "1" };

        public ValueTask<ScsiResult> ReadAsync(long offset, DataBuffer into, CancellationToken aborted) => throw new NotSupportedException();

        public ValueTask<ScsiResult> WriteAsync(long offset, DataBuffer from, bool forceUnitAccess, CancellationToken aborted) => throw new NotSupportedException();

        public ValueTask<ScsiResult> FlushAsync(CancellationToken aborted) => throw new NotSupportedException();

        public ValueTask<ScsiResult> UnmapAsync(long offset, long length, CancellationToken aborted) => throw new NotSupportedException();

        public ValueTask<ScsiResult> WriteZeroesAsync(long offset, long length, bool mayUnmap, CancellationToken aborted) => throw new NotSupportedException();

        public ValueTask<WorkBuffer> RentAsync(int length, CancellationToken aborted) => throw new NotSupportedException();
    }
}
