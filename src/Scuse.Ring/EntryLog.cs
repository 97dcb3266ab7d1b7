namespace Scuse.Ring;

/// <summary>What one end remembers of an entry between head and tail, so that it need never read it again from shared memory.</summary>
/// <param name="Offset">Where the entry starts, in bytes from the command ring's start.</param>
/// <param name="Length">Its length in bytes.</param>
/// <param name="Operation">PAD, CMD, TMR or, at the handler's end, one that it does not know.</param>
/// <param name="Id">The command's id; 0 for anything but a command.</param>
readonly record struct EntryRecord(uint Offset, uint Length, byte Operation, ushort Id);

/// <summary>First in, first out; reused, and grown only when more entries are between head and tail than ever before.</summary>
sealed class EntryLog
{
    // The length is a power of two, so that a mask wraps the indices.
    EntryRecord[] _records = new EntryRecord[16];
    int _first;

    public int Count { get; private set; }

    public EntryRecord First => _records[_first];

    public void Append(EntryRecord record)
    {
        if (Count == _records.Length)
            Grow();
        _records[(_first + Count++) & (_records.Length - 1)] = record;
    }

    public void RemoveFirst()
    {
        _first = (_first + 1) & (_records.Length - 1);
        Count--;
    }

    void Grow()
    {
        var larger = new EntryRecord[_records.Length * 2];
        _records.AsSpan(_first).CopyTo(larger);
        _records.AsSpan(0, _first).CopyTo(larger.AsSpan(_records.Length - _first));
        (_records, _first) = (larger, 0);
    }
}
