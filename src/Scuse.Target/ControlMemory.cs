namespace Scuse.Target;

/// <summary>
/// Memory for what the engine answers itself: parameter data, parameter lists and the data of compound commands. Pinned, because the
/// transport hands its address to the socket; in size classes, kept for reuse.
/// </summary>
/// <remarks>Touched only by the owning thread.</remarks>
sealed class ControlMemory
{
    /// <summary>The smallest piece: enough for nearly all parameter data.</summary>
    public const int SmallestBytes = 4096;

    const int Classes = 14; // 4 KiB .. 32 MiB
    const int KeptPerClass = 8;

    // Of the small classes more is kept: a deep queue of commands with short lists is not to be paid with a piece each.
    const int KeptBytesPerClass = 1 << 20;

    readonly Stack<Memory<byte>[]>[] _free = new Stack<Memory<byte>[]>[Classes];

    public ControlMemory()
    {
        for (int i = 0; i < Classes; i++)
        {
            _free[i] = new Stack<Memory<byte>[]>();
        }
    }

    /// <summary>At least <paramref name="bytes"/> of memory as the one entry of an array; its content is arbitrary.</summary>
    public Memory<byte>[] Rent(int bytes)
    {
        int index = ClassOf(bytes);
        return _free[index].TryPop(out Memory<byte>[]? piece)
            ? piece
            : [GC.AllocateUninitializedArray<byte>(SmallestBytes << index, pinned: true)];
    }

    public void Return(Memory<byte>[] piece)
    {
        Stack<Memory<byte>[]> free = _free[ClassOf(piece[0].Length)];
        if (free.Count < Math.Max(KeptPerClass, KeptBytesPerClass / piece[0].Length))
        {
            free.Push(piece);
        }
    }

    static int ClassOf(int bytes)
    {
        int index = 0;
        while (SmallestBytes << index < bytes)
        {
            index++;
        }

        return index < Classes ? index : throw new ArgumentOutOfRangeException(nameof(bytes), bytes, "larger than the largest piece");
    }
}
