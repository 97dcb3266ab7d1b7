using Microsoft.Win32.SafeHandles;
using Scuse.Linux;

namespace Scuse.Handlers.File;

/// <summary>The open file of a disk: whole buffers to and from it, all pieces of a buffer with one system call.</summary>
/// <remarks>May be used on several threads at once. Buffers that do not lie as direct access wants them go through memory that does. Everything else about alignment is settled when the file is opened.</remarks>
sealed class DiskFile : IDisposable
{
    const int DetourBytes = 256 << 10;
    const int MaxSkip = 32;

    [ThreadStatic] static PinnedVectors? t_vectors;
    [ThreadStatic] static Memory<byte> t_detour;

    readonly int _memoryAlignment;
    readonly int _lengthAlignment;

    // False once the file system has said that it cannot tell what is cached.
    volatile bool _knowsCached;

    // After a read that was not cached so many are not tried, and after the next one twice as many. Threads may get in each other's way here: it is an estimate.
    int _skip;
    int _untried;

    internal DiskFile(SafeFileHandle handle)
        : this(handle, 1, 1)
    {
    }

    /// <summary>A file opened for direct access, which wants addresses and the lengths of pieces to be multiples of these.</summary>
    internal DiskFile(SafeFileHandle handle, int memoryAlignment, int lengthAlignment)
    {
        Handle = handle;
        _memoryAlignment = memoryAlignment;
        _lengthAlignment = lengthAlignment;
        IsDirect = memoryAlignment > 1 || lengthAlignment > 1;
        IsInMemory = !IsDirect && FileRange.IsInMemory(handle);
        _knowsCached = !IsDirect && !IsInMemory;
    }

    internal SafeFileHandle Handle { get; }

    /// <summary>Whether the page cache is passed by.</summary>
    internal bool IsDirect { get; }

    /// <summary>Whether nothing ever waits for a disk.</summary>
    internal bool IsInMemory { get; }

    /// <summary>
    /// Reads what memory holds, without waiting for the disk. Returns how many bytes from the beginning of <paramref name="into"/> that is; why it is not more is found out by <see cref="ReadAll"/>. Where the
    /// reads before were not in memory, most are not even tried: trying has the kernel begin to read from the disk, one by one, in the time of this thread.
    /// </summary>
    internal int ReadCached(long offset, DataBuffer into)
    {
        if (!IsInMemory && (!_knowsCached || IsLeftUntried()))
        {
            return 0;
        }

        PinnedVectors vectors = t_vectors ??= new PinnedVectors();
        int done = 0;
        while (done < into.Length)
        {
            int length = Fill(vectors, done == 0 ? into : into.Slice(done));
            int result = IsInMemory ? FileRange.Read(Handle, offset + done, vectors.Vectors) : FileRange.ReadCached(Handle, offset + done, vectors.Vectors);
            vectors.Release();
            if (result is -Errno.EOPNOTSUPP or -Errno.ENOSYS)
            {
                _knowsCached = false;
            }

            done += Math.Max(0, result);
            if (result != length)
            {
                _skip = Math.Clamp(_skip * 2, 1, MaxSkip);
                _untried = _skip;
                return done;
            }
        }

        // Not written where it would change nothing: other threads look at it with every read.
        if (_skip != 0)
        {
            _skip = 0;
            _untried = 0;
        }

        return done;
    }

    bool IsLeftUntried()
    {
        int untried = _untried;
        if (untried <= 0)
        {
            return false;
        }

        _untried = untried - 1;
        return true;
    }

    /// <summary>Reads all of a buffer. Returns its length, or where it ends before that how many bytes were read, and in <paramref name="errno"/> why: 0 says that the file ends there.</summary>
    internal int ReadAll(long offset, DataBuffer into, out int errno) => Transfer(offset, into, isWrite: false, out errno);

    /// <summary>Writes all of a buffer. Returns its length, or where it ends before that how many bytes were written, and in <paramref name="errno"/> why.</summary>
    internal int WriteAll(long offset, DataBuffer from, out int errno) => Transfer(offset, from, isWrite: true, out errno);

    public void Dispose() => Handle.Dispose();

    int Transfer(long offset, DataBuffer buffer, bool isWrite, out int errno)
    {
        errno = 0;
        PinnedVectors vectors = t_vectors ??= new PinnedVectors();
        int done = 0;
        while (done < buffer.Length)
        {
            DataBuffer rest = done == 0 ? buffer : buffer.Slice(done);
            Fill(vectors, rest);
            int result = !IsAligned(vectors.Vectors) ? TakeDetour(offset + done, rest, isWrite)
                : isWrite ? FileRange.Write(Handle, offset + done, vectors.Vectors)
                : FileRange.Read(Handle, offset + done, vectors.Vectors);
            vectors.Release();
            if (result <= 0)
            {
                errno = -result;
                break;
            }

            done += result;
        }

        return done;
    }

    bool IsAligned(ReadOnlySpan<IoVector> vectors)
    {
        if (!IsDirect)
        {
            return true;
        }

        foreach (IoVector vector in vectors)
        {
            if (vector.Base % _memoryAlignment != 0 || vector.Length % (nuint)_lengthAlignment != 0)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Moves the beginning of a buffer by way of memory that is aligned. Returns how many bytes that was, or a negative error number.</summary>
    int TakeDetour(long offset, DataBuffer buffer, bool isWrite)
    {
        Span<byte> memory = Detour().Span[..Math.Min(buffer.Length, DetourBytes)];
        if (isWrite)
        {
            buffer.CopyTo(memory);
            return FileRange.Write(Handle, offset, memory);
        }

        int result = FileRange.Read(Handle, offset, memory);
        if (result > 0)
        {
            buffer.CopyFrom(memory[..result]);
        }

        return result;
    }

    static int Fill(PinnedVectors vectors, DataBuffer buffer)
    {
        int length = 0;
        foreach (Memory<byte> piece in buffer)
        {
            if (!vectors.TryAdd(piece))
            {
                break;
            }

            length += piece.Length;
        }

        return length;
    }

    /// <summary>Memory of this thread that begins at a page.</summary>
    static Memory<byte> Detour()
    {
        if (t_detour.IsEmpty)
        {
            int page = Environment.SystemPageSize;
            byte[] memory = GC.AllocateUninitializedArray<byte>(DetourBytes + page, pinned: true);
            int skip = (int)(-PinnedMemory.ToVector(memory).Base & (page - 1));
            t_detour = memory.AsMemory(skip, DetourBytes);
        }

        return t_detour;
    }
}
