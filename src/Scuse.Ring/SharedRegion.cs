using System.Runtime.CompilerServices;

namespace Scuse.Ring;

/// <summary>
/// Memory shared with another program: the only place where pointers into it are made. Every access is bounds-checked, none hands out a reference,
/// and each method's name says how it is ordered.
/// </summary>
/// <remarks>Offsets are in bytes from the region's start; u32 and u64 must be aligned to their size.</remarks>
readonly unsafe struct SharedRegion
{
    readonly byte* _start;
    readonly long _length;

    public SharedRegion(nint region, long length)
    {
        ArgumentOutOfRangeException.ThrowIfZero(region);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        // Aligned u32 and u64 accesses are what makes them single accesses.
        if (region % sizeof(ulong) != 0)
            throw new ArgumentException("a shared region starts on a multiple of 8 bytes", nameof(region));
        _start = (byte*)region;
        _length = length;
    }

#if SCUSE_TRACE_ACCESS
    /// <summary>
    /// Called on the accessing thread before each access, with the method's name, offset and length. It exists only in the build of this code that
    /// tests/Simulation makes for itself, to end or switch between the two ends of a ring at any access.
    /// </summary>
    [ThreadStatic]
    internal static Action<string, long, int>? BeforeAccess;
#endif

    public long Length => _length;

    /// <summary>Nothing after this load is done before it.</summary>
    public uint LoadAcquire32(long offset) => Volatile.Read(ref *(uint*)At(offset, sizeof(uint)));

    /// <summary>Nothing before this store is seen after it.</summary>
    public void StoreRelease32(long offset, uint value) => Volatile.Write(ref *(uint*)At(offset, sizeof(uint)), value);

    /// <summary>Everything before is seen by all before anything after is done; orders even a store before a later load.</summary>
    public static void FullFence()
    {
#if SCUSE_TRACE_ACCESS
        BeforeAccess?.Invoke(nameof(FullFence), 0, 0);
#endif
        Interlocked.MemoryBarrier();
    }

    /// <summary>One load, never repeated by the compiler: the value can be checked and then used.</summary>
    public uint LoadOnce32(long offset) => Volatile.Read(ref *(uint*)At(offset, sizeof(uint)));

    /// <summary>One load, never repeated by the compiler: the value can be checked and then used.</summary>
    public ulong LoadOnce64(long offset) => Volatile.Read(ref *(ulong*)At(offset, sizeof(ulong)));

    // The plain accesses below are ordered only by the acquire or release of head or tail around them.

    public void StorePlain8(long offset, byte value) => *At(offset, sizeof(byte)) = value;

    public void StorePlain16(long offset, ushort value) => *(ushort*)At(offset, sizeof(ushort)) = value;

    public void StorePlain32(long offset, uint value) => *(uint*)At(offset, sizeof(uint)) = value;

    public void StorePlain64(long offset, ulong value) => *(ulong*)At(offset, sizeof(ulong)) = value;

    public void CopyInPlain(long offset, ReadOnlySpan<byte> from) => from.CopyTo(new Span<byte>(At(offset, from.Length), from.Length));

    public void CopyOutPlain(long offset, Span<byte> into) => new ReadOnlySpan<byte>(At(offset, into.Length), into.Length).CopyTo(into);

    public void ZeroPlain(long offset, int length) => new Span<byte>(At(offset, length), length).Clear();

    // SAFETY: the range is checked against the length that whoever mapped the region vouched for, so the pointer never leaves it.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
#if SCUSE_TRACE_ACCESS
    byte* At(long offset, int length, [CallerMemberName] string access = "")
    {
        BeforeAccess?.Invoke(access, offset, length);
#else
    byte* At(long offset, int length)
    {
#endif
        if ((ulong)offset > (ulong)_length || (ulong)length > (ulong)(_length - offset))
            ThrowOutside(offset, length, _length);
        return _start + offset;
    }

    static void ThrowOutside(long offset, int length, long regionLength) =>
        throw new InvalidOperationException($"{length} bytes at {offset} are not inside a region of {regionLength} bytes");
}
