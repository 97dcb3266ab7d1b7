using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Scuse.Linux;

/// <summary>Addresses of memory that does not move.</summary>
public static unsafe class PinnedMemory
{
    /// <summary>
    /// The piece as a vector for the socket. The memory must be native or an array allocated pinned, and must outlive the call it is used in:
    /// nothing here keeps it in place.
    /// </summary>
    public static IoVector ToVector(Memory<byte> memory)
    {
        Span<byte> span = memory.Span;
        return new IoVector { Base = (nint)Unsafe.AsPointer(ref MemoryMarshal.GetReference(span)), Length = (nuint)span.Length };
    }

    /// <summary>The piece as a vector, and kept where it is until <paramref name="hold"/> is disposed.</summary>
    public static IoVector Pin(Memory<byte> memory, out MemoryHandle hold)
    {
        hold = memory.Pin();
        return new IoVector { Base = (nint)hold.Pointer, Length = (nuint)memory.Length };
    }
}
