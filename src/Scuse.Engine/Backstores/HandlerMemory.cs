using Microsoft.Win32.SafeHandles;
using Scuse.Linux;
using Scuse.Scsi;

namespace Scuse.Engine.Backstores;

/// <summary>
/// Memory of a handler's own, which it passed when it attached and answers reads from: mapped here for reading only. Each <see cref="HandlerLink"/> of the handler has a share in it, and lets that go
/// when nobody sends by way of that link any more; the last one unmaps it.
/// </summary>
/// <remarks>
/// <para>The handler writes to it whenever it likes, so nothing that is read here twice need be the same. It cannot shrink, and has ordinary pages: then no access faults for good.</para>
/// <para>Shares may be let go on any thread, and be read from on several at once.</para>
/// </remarks>
sealed class HandlerMemory : IDisposable
{
    /// <summary>The most that one handler may pass, in bytes: address space is for all.</summary>
    public const long MaxBytes = 16L << 40;

    /// <summary>The most that all may pass together: half of a process's address space where addresses have 48 bits.</summary>
    public const long MaxBytesOfAll = 64L << 40;

    static long s_bytesOfAll;

    readonly SafeFileHandle _file;
    readonly MappedRegion _mapping;
    int _shares = 1;

    HandlerMemory(SafeFileHandle file, MappedRegion mapping)
    {
        _file = file;
        _mapping = mapping;
    }

    /// <summary>Its size.</summary>
    public long Bytes => _mapping.LengthBytes;

    /// <summary>One share more, to be disposed of like the first; by somebody who has one.</summary>
    public HandlerMemory Share()
    {
        Interlocked.Increment(ref _shares);
        return this;
    }

    /// <summary>Takes what a handler passes, as one share. Null when it is of no use, with the reason; the descriptor is the memory's from now on only where there is one.</summary>
    public static HandlerMemory? TryTake(SafeFileHandle? file, long bytes, out string? refusal)
    {
        refusal = file is null ? "no descriptor came with it"
            : bytes <= 0 ? $"a size of {bytes} bytes"
            : bytes > MaxBytes ? $"{bytes} bytes are more than the {MaxBytes} that a handler may pass"
            : !MemFd.IsSealedAgainstShrinking(file) ? "its descriptor is not a memfd that is sealed against shrinking"
            : !MemFd.IsOfOrdinaryPages(file) ? "its memfd has pages of another kind than ordinary ones"
            : FileRange.GetLength(file) is long held && held < bytes ? $"its memfd has {held} bytes, not {bytes}"
            : null;
        if (refusal is not null)
        {
            return null;
        }

        if (Interlocked.Add(ref s_bytesOfAll, bytes) > MaxBytesOfAll)
        {
            Interlocked.Add(ref s_bytesOfAll, -bytes);
            refusal = $"all handlers together have passed so much that {bytes} bytes more are too many";
            return null;
        }

        try
        {
            return new HandlerMemory(file!, MappedRegion.MapReadOnly(file!, bytes));
        }
        catch (LinuxException exception)
        {
            Interlocked.Add(ref s_bytesOfAll, -bytes);
            refusal = exception.Message;
            return null;
        }
    }

    /// <summary>A piece of it. Only to be read, and to be read once: what it holds may change.</summary>
    public Memory<byte> Slice(long place, int length) => _mapping.Slice(place, length);

    /// <summary>Copies from it. By a call and not from the mapping: so what was never written is read without taking up memory, and what cannot be read is an error.</summary>
    public bool TryCopy(long place, DataBuffer into)
    {
        foreach (Memory<byte> piece in into)
        {
            for (Span<byte> left = piece.Span; !left.IsEmpty;)
            {
                int count = FileRange.Read(_file, place, left);
                if (count <= 0)
                {
                    return false;
                }

                place += count;
                left = left[count..];
            }
        }

        return true;
    }

    /// <summary>Lets a share go, once; with the last one the memory is unmapped.</summary>
    public void Dispose()
    {
        if (Interlocked.Decrement(ref _shares) == 0)
        {
            _file.Dispose();
            _mapping.Dispose();
            Interlocked.Add(ref s_bytesOfAll, -Bytes);
        }
    }
}
