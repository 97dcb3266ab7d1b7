extern alias Traced;
using Traced::Scuse.Ring;

namespace Scuse.Simulation.Schedules;

/// <summary>Something that must never happen has happened.</summary>
sealed class BrokenPromiseException(string message) : Exception(message);

/// <summary>One command of a workload. All about it, its data and its answer follow from its number, so that whoever sees a piece of it knows what it must be.</summary>
sealed class WorkItem(int number)
{
    const byte CheckCondition = 0x02;

    public int Number => number;

    public int OutLength => number % 3 == 0 ? 100 + number : 0;

    public int InLength => number % 3 == 1 ? 4200 + number : 0;

    /// <summary>How often the target got an answer to it.</summary>
    public int Answers { get; private set; }

    public byte[] Cdb()
    {
        // 6, 10 and 16 bytes; the last kind makes entries of another length.
        byte[] cdb = new byte[number % 4 == 3 ? 16 : 10];
        cdb[0] = cdb.Length == 16 ? (byte)0x88 : (byte)0x28;
        cdb[2] = (byte)number;
        return cdb;
    }

    public void FillOut(Span<byte> data) => data.Fill((byte)(0x80 + number));

    public void FillIn(Span<byte> data) => data.Fill((byte)(0x10 + number));

    byte Status => number % 4 == 1 ? CheckCondition : (byte)0;

    ResponseFlags Flags => number % 2 == 0 ? ResponseFlags.ReadLength : ResponseFlags.None;

    uint ReadLength => (uint)number * 5;

    byte[] Sense() => Status == CheckCondition ? [0x70, 0, 3, (byte)number, 0, 0, 0, 10, 0, 0, 0, 0, 0x0C] : [];

    public void AnswerOn(HandlerRing ring, ushort id) => ring.Answer(id, Status, Sense(), Flags, ReadLength);

    /// <summary>What the target got is the whole answer, and the first.</summary>
    public void Check(in RingAnswer answer, ReadOnlySpan<byte> sense, ReadOnlySpan<byte> dataIn)
    {
        Span<byte> expected = stackalloc byte[RingAbi.SenseBytes];
        Sense().CopyTo(expected);
        if (answer.Status != Status || answer.Flags != Flags || answer.ReadLength != ReadLength || !expected.SequenceEqual(sense))
        {
            throw new BrokenPromiseException($"command {number} got an answer that is not its own: {answer}");
        }

        if (dataIn.IndexOfAnyExcept((byte)(0x10 + number)) >= 0)
        {
            throw new BrokenPromiseException($"command {number} was answered, but its Data-In is not there");
        }

        if (++Answers != 1)
        {
            throw new BrokenPromiseException($"command {number} was answered {Answers} times");
        }
    }
}

/// <summary>The target's end as the engine uses it: blocks, entries, answers.</summary>
sealed class TargetSide
{
    readonly TracedMemory _memory;
    readonly Dictionary<ushort, (WorkItem Item, DataExtent[] Out, DataExtent[] In)> _outstanding = [];
    readonly ExtentList _out = new();
    readonly ExtentList _in = new();
    readonly byte[] _sense = new byte[RingAbi.SenseBytes];

    public TargetSide(TracedMemory memory, MailboxFlags flags)
    {
        _memory = memory;
        Ring = new TargetRing(memory.Address, memory.Layout, flags, maxOutstanding: 16);
        Area = new DataArea(memory.Layout);
    }

    public TargetRing Ring { get; }

    public DataArea Area { get; }

    public int Outstanding => _outstanding.Count;

    /// <summary>What was posted and not answered, in the order it was posted.</summary>
    public IEnumerable<WorkItem> Unanswered => _outstanding.Values.Select(static entry => entry.Item).OrderBy(static item => item.Number);

    public bool TryPost(WorkItem item)
    {
        _out.Clear();
        _in.Clear();
        if (!Area.TryAllocate(item.OutLength, _out))
        {
            return false;
        }

        if (!Area.TryAllocate(item.InLength, _in))
        {
            Area.Free(_out.AsSpan());
            return false;
        }

        foreach (DataExtent extent in _out.AsSpan())
        {
            byte[] data = new byte[extent.Length];
            item.FillOut(data);
            _memory.Shared.CopyInPlain(extent.Offset, data);
        }

        if (Ring.TryPost(item.Cdb(), _out.AsSpan(), _in.AsSpan(), out ushort id) != PostResult.Posted)
        {
            Area.Free(_out.AsSpan());
            Area.Free(_in.AsSpan());
            return false;
        }

        if (!_outstanding.TryAdd(id, (item, _out.AsSpan().ToArray(), _in.AsSpan().ToArray())))
        {
            throw new BrokenPromiseException($"id {id} is in use twice");
        }

        return true;
    }

    /// <summary>Takes and checks every answer there is; returns how many.</summary>
    public int Reap()
    {
        int count = 0;
        while (Ring.TryReap(out RingAnswer answer))
        {
            (WorkItem item, DataExtent[] dataOut, DataExtent[] dataIn) = _outstanding[answer.Id];
            _outstanding.Remove(answer.Id);
            Ring.CopySense(_sense);
            byte[] data = new byte[item.InLength];
            int at = 0;
            foreach (DataExtent extent in dataIn)
            {
                _memory.Shared.CopyOutPlain(extent.Offset, data.AsSpan(at, (int)extent.Length));
                at += (int)extent.Length;
            }

            item.Check(answer, _sense, data);
            Area.Free(dataOut);
            Area.Free(dataIn);
            count++;
        }

        return Ring.Violation is { } violation ? throw new BrokenPromiseException($"the target saw a violation that nobody committed: {violation}") : count;
    }
}

/// <summary>The handler's end as a handler uses it.</summary>
sealed class HandlerSide(TracedMemory memory, IReadOnlyList<WorkItem> items)
{
    readonly List<(ushort Id, WorkItem Item)> _taken = [];

    public HandlerRing Ring { get; } = new(memory.Address, memory.Layout.RegionBytes);

    public int Taken => _taken.Count;

    /// <summary>Takes one command and does its work; false if there is none.</summary>
    public bool TryTake()
    {
        var command = new HandlerCommand();
        while (Ring.TryTake(command))
        {
            if (command.Kind == HandlerCommandKind.TaskManagement)
            {
                continue;
            }

            WorkItem item = command.Cdb.Length > 2 && command.Cdb[2] < items.Count
                ? items[command.Cdb[2]]
                : throw new BrokenPromiseException($"the handler took a command that nobody posted: {Convert.ToHexString(command.Cdb)}");
            if (!item.Cdb().AsSpan().SequenceEqual(command.Cdb) || LengthOf(command.Data) != item.OutLength + item.InLength)
            {
                throw new BrokenPromiseException($"the handler took half an entry: {Convert.ToHexString(command.Cdb)} with {LengthOf(command.Data)} bytes of data");
            }

            foreach (DataExtent extent in command.Data)
            {
                Work(item, extent);
            }

            if (_taken.Any(other => other.Id == command.Id))
            {
                throw new BrokenPromiseException($"the handler took id {command.Id} twice");
            }

            _taken.Add((command.Id, item));
            return true;
        }

        return false;
    }

    void Work(WorkItem item, DataExtent extent)
    {
        byte[] data = new byte[extent.Length];
        byte[] expected = new byte[extent.Length];
        if (item.OutLength > 0)
        {
            memory.Shared.CopyOutPlain(extent.Offset, data);
            item.FillOut(expected);
            if (!data.AsSpan().SequenceEqual(expected))
            {
                throw new BrokenPromiseException($"the handler took command {item.Number} before its data was there");
            }
        }
        else
        {
            item.FillIn(data);
            memory.Shared.CopyInPlain(extent.Offset, data);
        }
    }

    /// <summary>Answers one of the commands taken.</summary>
    public void Answer(int index)
    {
        (ushort id, WorkItem item) = _taken[index];
        _taken.RemoveAt(index);
        item.AnswerOn(Ring, id);
    }

    static int LengthOf(ReadOnlySpan<DataExtent> extents)
    {
        long length = 0;
        foreach (DataExtent extent in extents)
        {
            length += extent.Length;
        }

        return (int)length;
    }
}
