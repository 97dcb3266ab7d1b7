namespace Scuse.Iscsi.Input;

/// <summary>
/// Pinned byte arrays in powers of two, for data that is neither in a receive buffer nor in a task's own memory: text, pings,
/// and write data that came before there was room for it.
/// </summary>
/// <remarks>Touched only by the owning reactor.</remarks>
internal sealed class PinnedBufferPool
{
    const int SmallestBytes = 512;
    const int Classes = 16; // 512 bytes .. 16 MiB
    const int MaxRetainedBytes = 16 << 20;

    readonly Stack<byte[]>[] _free = new Stack<byte[]>[Classes];
    int _retainedBytes;

    /// <summary>How many bytes are out.</summary>
    public long RentedBytes { get; private set; }

    public PinnedBufferPool()
    {
        for (int i = 0; i < Classes; i++)
        {
            _free[i] = new Stack<byte[]>();
        }
    }

    /// <summary>An array of at least that many bytes; its content is arbitrary.</summary>
    public byte[] Rent(int lengthBytes)
    {
        int index = ClassOf(lengthBytes);
        RentedBytes += SmallestBytes << index;
        if (_free[index].TryPop(out byte[]? buffer))
        {
            _retainedBytes -= buffer.Length;
            return buffer;
        }

        return GC.AllocateUninitializedArray<byte>(SmallestBytes << index, pinned: true);
    }

    public void Return(byte[] buffer)
    {
        RentedBytes -= buffer.Length;
        if (_retainedBytes + buffer.Length <= MaxRetainedBytes)
        {
            _retainedBytes += buffer.Length;
            _free[ClassOf(buffer.Length)].Push(buffer);
        }
    }

    static int ClassOf(int lengthBytes)
    {
        int index = 0;
        while (SmallestBytes << index < lengthBytes)
        {
            index++;
        }

        return index;
    }
}
