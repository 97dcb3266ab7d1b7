using System.Buffers;
using Microsoft.Win32.SafeHandles;

namespace Scuse.Linux;

/// <summary>A file or memory mapped into this process, shared with whoever has it mapped too. mmap(2).</summary>
/// <remarks>
/// Whatever was handed out of it, memory or address, must not be used after <see cref="Dispose"/>. There is no finalizer on purpose: an
/// address in use elsewhere must not vanish because nobody holds this object.
/// </remarks>
public sealed unsafe class MappedRegion : IDisposable
{
    // Memory<byte> counts in int, a region may be larger: chunk i starts at i GiB and reaches as far as an int does, so that any
    // piece of up to 1 GiB lies within the chunk that its first byte selects.
    const int ChunkShift = 30;
    const int ChunkStep = 1 << ChunkShift;

    readonly Chunk[] _chunks;
    void* _address;

    MappedRegion(void* address, long lengthBytes)
    {
        _address = address;
        LengthBytes = lengthBytes;
        _chunks = new Chunk[(int)((lengthBytes + ChunkStep - 1) >> ChunkShift)];
        for (int i = 0; i < _chunks.Length; i++)
        {
            long start = (long)i << ChunkShift;
            _chunks[i] = new Chunk((byte*)address + start, (int)Math.Min(int.MaxValue, lengthBytes - start));
        }
    }

    /// <summary>Where the region starts; 0 once it is unmapped.</summary>
    public nint Address => (nint)_address;

    /// <summary>The region's size in bytes.</summary>
    public long LengthBytes { get; }

    /// <summary>Maps the first <paramref name="lengthBytes"/> bytes of a file or of shared memory; the descriptor may be closed afterwards.</summary>
    /// <exception cref="LinuxException">It cannot be mapped, or it is shorter than that (EINVAL): touching the missing part would be fatal.</exception>
    public static MappedRegion Map(SafeFileHandle fd, long lengthBytes) => Map(fd, lengthBytes, Native.PROT_READ | Native.PROT_WRITE);

    /// <summary>The same for reading only: whoever writes to what is handed out of it ends the process.</summary>
    /// <exception cref="LinuxException">It cannot be mapped, or it is shorter than that (EINVAL).</exception>
    public static MappedRegion MapReadOnly(SafeFileHandle fd, long lengthBytes) => Map(fd, lengthBytes, Native.PROT_READ);

    static MappedRegion Map(SafeFileHandle fd, long lengthBytes, int protection)
    {
        ArgumentNullException.ThrowIfNull(fd);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(lengthBytes);
        long held = FileRange.GetLength(fd);
        if (held < lengthBytes)
        {
            throw new LinuxException("mmap", Errno.EINVAL, $"{lengthBytes} bytes of a file of {held}");
        }

        return MapShared(fd, lengthBytes, protection);
    }

    /// <summary>Maps the memory of a device, which has no length of its own: what may be touched of it is the device's affair.</summary>
    internal static MappedRegion MapDevice(SafeFileHandle fd, long lengthBytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(lengthBytes);
        return MapShared(fd, lengthBytes, Native.PROT_READ | Native.PROT_WRITE);
    }

    static MappedRegion MapShared(SafeFileHandle fd, long lengthBytes, int protection)
    {
        void* address = Native.mmap(null, (nuint)lengthBytes, protection, Native.MAP_SHARED, (int)fd.DangerousGetHandle(), 0);
        return address == (void*)-1 ? throw Native.Failed("mmap", $"{lengthBytes} bytes") : new MappedRegion(address, lengthBytes);
    }

    /// <summary>A piece of the region as memory; nothing is allocated. Any piece of up to 1 GiB can be had this way.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The piece does not lie in the region, or is longer than one piece can be.</exception>
    public Memory<byte> Slice(long offset, int length)
    {
        if ((ulong)offset > (ulong)LengthBytes || (uint)length > (ulong)(LengthBytes - offset))
        {
            throw new ArgumentOutOfRangeException(nameof(offset), $"bytes {offset}..{offset + length} of a region of {LengthBytes}");
        }

        if (length == 0)
        {
            return default;
        }

        return _chunks[(int)(offset >> ChunkShift)].Memory.Slice((int)(offset & (ChunkStep - 1)), length);
    }

    /// <summary>A piece of any length, as several pieces of at most 1 GiB written to <paramref name="into"/>. Returns how many.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The piece does not lie in the region, or <paramref name="into"/> is too short.</exception>
    public int Slice(long offset, long length, Span<Memory<byte>> into)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        int count = 0;
        while (length > 0)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(count, into.Length, nameof(into));
            int piece = (int)Math.Min(length, ChunkStep);
            into[count++] = Slice(offset, piece);
            offset += piece;
            length -= piece;
        }

        return count;
    }

    /// <summary>Unmaps the region.</summary>
    public void Dispose()
    {
        if (_address is null)
        {
            return;
        }

        foreach (Chunk chunk in _chunks)
        {
            chunk.Close();
        }

        _ = Native.munmap(_address, (nuint)LengthBytes);
        _address = null;
    }

    sealed class Chunk : MemoryManager<byte>
    {
        readonly int _length;
        byte* _start;

        internal Chunk(byte* start, int length)
        {
            _start = start;
            _length = length;
            Memory = CreateMemory(length);
        }

        public override Memory<byte> Memory { get; }

        public override Span<byte> GetSpan()
        {
            ObjectDisposedException.ThrowIf(_start is null, typeof(MappedRegion));
            return new Span<byte>(_start, _length);
        }

        public override MemoryHandle Pin(int elementIndex = 0)
        {
            ObjectDisposedException.ThrowIf(_start is null, typeof(MappedRegion));
            ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)elementIndex, (uint)_length, nameof(elementIndex));
            return new MemoryHandle(_start + elementIndex, pinnable: this); // native memory does not move
        }

        public override void Unpin()
        {
        }

        internal void Close() => _start = null;

        protected override void Dispose(bool disposing)
        {
        }
    }
}
