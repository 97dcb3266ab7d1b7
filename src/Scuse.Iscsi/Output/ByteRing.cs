namespace Scuse.Iscsi.Output;

/// <summary>A pinned array that hands out runs of bytes in turn and takes them back in the same order: headers and sense data to be sent.</summary>
internal sealed class ByteRing(int capacityBytes)
{
    readonly byte[] _bytes = GC.AllocateArray<byte>(capacityBytes, pinned: true);
    int _head;
    int _used;

    /// <summary>Whether a run of that length is to be had now.</summary>
    public bool HasRoomFor(int lengthBytes) => _used + lengthBytes + Waste(lengthBytes) <= capacityBytes;

    /// <summary>A run of bytes; <paramref name="cost"/> is what to free when they are sent.</summary>
    public int Allocate(int lengthBytes, out int cost)
    {
        cost = lengthBytes + Waste(lengthBytes);
        int offset = _head + lengthBytes > capacityBytes ? 0 : _head;
        _head = offset + lengthBytes;
        _used += cost;
        return offset;
    }

    public void Free(int cost)
    {
        _used -= cost;
        _head = _used == 0 ? 0 : _head; // from the start again: those bytes are still in the cache
    }

    public Span<byte> Span(int offset, int lengthBytes) => _bytes.AsSpan(offset, lengthBytes);

    public Memory<byte> Memory(int offset, int lengthBytes) => _bytes.AsMemory(offset, lengthBytes);

    /// <summary>The bytes at the array's end that are too few.</summary>
    int Waste(int lengthBytes) => _head + lengthBytes > capacityBytes ? capacityBytes - _head : 0;
}
