using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Scuse.Linux;

/// <summary>Reading, writing and shaping ranges of an open file; each call returns a negative error number where it fails.</summary>
/// <remarks>All of them may block for as long as the disk takes. Offsets and lengths are in bytes.</remarks>
public static unsafe class FileRange
{
    const int StatBlockBytes = 512; // st_blocks counts in these, whatever the file system uses
    const uint CreateMode = 0x180; // 0600

    /// <summary>
    /// Opens a file, taking no lock on it (the runtime's own way of opening takes one). With <paramref name="create"/> it must not
    /// exist yet and is made for its owner only.
    /// </summary>
    /// <exception cref="LinuxException">It cannot be opened (ENOENT, EACCES, EEXIST ...).</exception>
    public static SafeFileHandle Open(string path, bool readOnly = false, bool create = false)
    {
        ArgumentNullException.ThrowIfNull(path);
        return Open(path, (readOnly ? Native.O_RDONLY : Native.O_RDWR) | (create ? Native.O_CREAT | Native.O_EXCL : 0));
    }

    /// <summary>Opens a character device for reading and writing, whose calls do not wait.</summary>
    internal static SafeFileHandle OpenDevice(string path) => Open(path, Native.O_RDWR | Native.O_NONBLOCK);

    static SafeFileHandle Open(string path, int flags)
    {
        flags |= Native.O_CLOEXEC;
        byte[] text = Encoding.UTF8.GetBytes(path + "\0");
        fixed (byte* pointer = text)
        {
            int fd;
            while ((fd = Native.open(pointer, flags, CreateMode)) < 0 && Native.LastError == Errno.EINTR)
            {
            }

            return fd < 0 ? throw Native.Failed("open", path) : new SafeFileHandle(fd, ownsHandle: true);
        }
    }

    /// <summary>Gives the range back to the file system: it reads as zeros and takes up no room. The file's length stays. Returns 0 or a negative error number.</summary>
    public static int PunchHole(SafeFileHandle file, long offset, long length) => Change(file, Native.FALLOC_FL_PUNCH_HOLE | Native.FALLOC_FL_KEEP_SIZE, offset, length);

    /// <summary>Makes the range read as zeros without writing them; its room stays reserved. Returns 0 or a negative error number (EOPNOTSUPP on some file systems).</summary>
    public static int ZeroRange(SafeFileHandle file, long offset, long length) => Change(file, Native.FALLOC_FL_ZERO_RANGE | Native.FALLOC_FL_KEEP_SIZE, offset, length);

    /// <summary>Where data begins at or after <paramref name="offset"/>; -<see cref="Errno.ENXIO"/> where there is none, or another negative error number. lseek(2).</summary>
    public static long FindData(SafeFileHandle file, long offset) => Find(file, offset, Native.SEEK_DATA);

    /// <summary>Where a hole begins at or after <paramref name="offset"/>; the file's end counts as one. Or a negative error number. lseek(2).</summary>
    public static long FindHole(SafeFileHandle file, long offset) => Find(file, offset, Native.SEEK_HOLE);

    /// <summary>Reserves room for the range, and extends the file where it is shorter. Returns 0 or a negative error number.</summary>
    public static int Allocate(SafeFileHandle file, long offset, long length) => Change(file, 0, offset, length);

    /// <summary>Sets the file's length. Returns 0 or a negative error number.</summary>
    public static int SetLength(SafeFileHandle file, long length)
    {
        using Hold hold = new(file);
        int result;
        while ((result = Native.ftruncate(hold.Fd, length)) < 0 && Native.LastError == Errno.EINTR)
        {
        }

        return result < 0 ? -Native.LastError : 0;
    }

    /// <summary>Makes the file's data durable. Returns 0 or a negative error number. fdatasync(2).</summary>
    public static int Sync(SafeFileHandle file)
    {
        using Hold hold = new(file);
        return Native.fdatasync(hold.Fd) < 0 ? -Native.LastError : 0;
    }

    /// <summary>Has the page cache forget what it holds of the file, but for what is not yet on the disk. Returns 0 or a negative error number. posix_fadvise(2).</summary>
    public static int DropCache(SafeFileHandle file)
    {
        using Hold hold = new(file);
        return -Native.posix_fadvise(hold.Fd, 0, 0, Native.POSIX_FADV_DONTNEED); // which returns the number itself
    }

    /// <summary>Reads from <paramref name="offset"/> on. Returns the number of bytes, which may be fewer than asked for; 0 past the end; or a negative error number.</summary>
    public static int Read(SafeFileHandle file, long offset, ReadOnlySpan<IoVector> into)
    {
        using Hold hold = new(file);
        fixed (IoVector* vectors = into)
        {
            nint done;
            while ((done = Native.preadv(hold.Fd, vectors, Math.Min(into.Length, SocketIo.MaxVectors), offset)) < 0 && Native.LastError == Errno.EINTR)
            {
            }

            return done < 0 ? -Native.LastError : (int)done;
        }
    }

    /// <summary>Reads from <paramref name="offset"/> on into one piece of memory. Returns the number of bytes, 0 past the end, or a negative error number.</summary>
    public static int Read(SafeFileHandle file, long offset, Span<byte> into)
    {
        fixed (byte* bytes = into)
        {
            IoVector vector = new() { Base = (nint)bytes, Length = (nuint)into.Length };
            return Read(file, offset, new ReadOnlySpan<IoVector>(ref vector));
        }
    }

    /// <summary>
    /// Reads what memory already holds of the file, without waiting for the disk. Returns the number of bytes (fewer where only a part is
    /// there), -<see cref="Errno.EAGAIN"/> when the disk would be needed, or another negative error number (EOPNOTSUPP: the file system
    /// cannot tell).
    /// </summary>
    public static int ReadCached(SafeFileHandle file, long offset, ReadOnlySpan<IoVector> into)
    {
        using Hold hold = new(file);
        fixed (IoVector* vectors = into)
        {
            nint done = Native.preadv2(hold.Fd, vectors, Math.Min(into.Length, SocketIo.MaxVectors), offset, Native.RWF_NOWAIT);
            return done < 0 ? -Native.LastError : (int)done;
        }
    }

    /// <summary>The same into one piece of memory.</summary>
    public static int ReadCached(SafeFileHandle file, long offset, Span<byte> into)
    {
        fixed (byte* bytes = into)
        {
            IoVector vector = new() { Base = (nint)bytes, Length = (nuint)into.Length };
            return ReadCached(file, offset, new ReadOnlySpan<IoVector>(ref vector));
        }
    }

    /// <summary>Writes from <paramref name="offset"/> on. Returns the number of bytes, which may be fewer than given, or a negative error number.</summary>
    public static int Write(SafeFileHandle file, long offset, ReadOnlySpan<IoVector> from)
    {
        using Hold hold = new(file);
        fixed (IoVector* vectors = from)
        {
            nint done;
            while ((done = Native.pwritev(hold.Fd, vectors, Math.Min(from.Length, SocketIo.MaxVectors), offset)) < 0 && Native.LastError == Errno.EINTR)
            {
            }

            return done < 0 ? -Native.LastError : (int)done;
        }
    }

    /// <summary>Writes one piece of memory from <paramref name="offset"/> on. Returns the number of bytes or a negative error number.</summary>
    public static int Write(SafeFileHandle file, long offset, ReadOnlySpan<byte> from)
    {
        fixed (byte* bytes = from)
        {
            IoVector vector = new() { Base = (nint)bytes, Length = (nuint)from.Length };
            return Write(file, offset, new ReadOnlySpan<IoVector>(ref vector));
        }
    }

    /// <summary>
    /// Takes the file's advisory lock, alone or together with other readers, without waiting. Returns false when somebody else holds it.
    /// It is let go with the last copy of the descriptor, so with the process at the latest. flock(2).
    /// </summary>
    /// <exception cref="LinuxException">The file system has no locks.</exception>
    public static bool TryLock(SafeFileHandle file, bool exclusive)
    {
        using Hold hold = new(file);
        while (Native.flock(hold.Fd, (exclusive ? Native.LOCK_EX : Native.LOCK_SH) | Native.LOCK_NB) < 0)
        {
            switch (Native.LastError)
            {
                case Errno.EINTR:
                    continue;
                case Errno.EAGAIN:
                    return false;
                case int errno:
                    throw new LinuxException("flock", errno);
            }
        }

        return true;
    }

    /// <summary>The file's length in bytes.</summary>
    /// <exception cref="LinuxException">The descriptor is not open.</exception>
    public static long GetLength(SafeFileHandle file) => (long)Status(file).Size;

    /// <summary>Whether it is a regular file, and not a folder, a device or a pipe.</summary>
    /// <exception cref="LinuxException">The descriptor is not open.</exception>
    public static bool IsRegularFile(SafeFileHandle file) => (Status(file).Mode & Native.S_IFMT) == Native.S_IFREG;

    /// <summary>Whether the file lies in memory alone (tmpfs, ramfs, a memfd), so that no read waits for a disk, but for what was swapped out.</summary>
    /// <exception cref="LinuxException">The descriptor is not open.</exception>
    public static bool IsInMemory(SafeFileHandle file)
    {
        using Hold hold = new(file);
        Native.StatFs status;
        return Native.fstatfs(hold.Fd, &status) < 0 ? throw Native.Failed("fstatfs") : status.Type is Native.TMPFS_MAGIC or Native.RAMFS_MAGIC;
    }

    /// <summary>
    /// From now on the page cache is passed by (O_DIRECT), and memory, offsets and lengths must be aligned as <see cref="GetDirectAlignment"/> tells. Returns 0 or a negative error number
    /// (EINVAL: the file system has no direct access).
    /// </summary>
    public static int SetDirect(SafeFileHandle file)
    {
        using Hold hold = new(file);
        int flags = Native.fcntl(hold.Fd, Native.F_GETFL, 0);
        return flags < 0 || Native.fcntl(hold.Fd, Native.F_SETFL, flags | Native.O_DIRECT) < 0 ? -Native.LastError : 0;
    }

    /// <summary>
    /// What direct access wants: addresses that are multiples of <c>Memory</c>, and lengths of pieces and offsets in the file that are multiples of <c>Offset</c>.
    /// Zeros: the file has no direct access. Null: the kernel does not tell (before Linux 6.1, or for this file system).
    /// </summary>
    /// <exception cref="LinuxException">The descriptor is not open.</exception>
    public static (int Memory, int Offset)? GetDirectAlignment(SafeFileHandle file)
    {
        Native.Statx status = Status(file, Native.STATX_BASIC_STATS | Native.STATX_DIOALIGN);
        return (status.Mask & Native.STATX_DIOALIGN) == 0 ? null : ((int)status.DirectMemoryAlignment, (int)status.DirectOffsetAlignment);
    }

    /// <summary>How many bytes of room the file takes up, which is less than its length where it has holes.</summary>
    /// <exception cref="LinuxException">The descriptor is not open.</exception>
    public static long GetAllocatedBytes(SafeFileHandle file) => (long)Status(file).Blocks * StatBlockBytes;

    static Native.Statx Status(SafeFileHandle file, uint mask = Native.STATX_BASIC_STATS)
    {
        using Hold hold = new(file);
        Native.Statx status;
        byte empty = 0;
        return Native.statx(hold.Fd, &empty, Native.AT_EMPTY_PATH, mask, &status) < 0 ? throw Native.Failed("statx") : status;
    }

    static long Find(SafeFileHandle file, long offset, int whence)
    {
        using Hold hold = new(file);
        long result = Native.lseek(hold.Fd, offset, whence);
        return result < 0 ? -Native.LastError : result;
    }

    static int Change(SafeFileHandle file, int mode, long offset, long length)
    {
        using Hold hold = new(file);
        int result;
        while ((result = Native.fallocate(hold.Fd, mode, offset, length)) < 0 && Native.LastError == Errno.EINTR)
        {
        }

        return result < 0 ? -Native.LastError : 0;
    }

    /// <summary>Keeps the descriptor from being closed, and its number from meaning another file, during a call.</summary>
    readonly ref struct Hold
    {
        readonly SafeFileHandle _file;

        internal Hold(SafeFileHandle file)
        {
            ArgumentNullException.ThrowIfNull(file);
            bool held = false;
            file.DangerousAddRef(ref held);
            _file = file;
        }

        internal int Fd => (int)_file.DangerousGetHandle();

        // errno was read before this runs where it matters: the result expression is evaluated first.
        public void Dispose() => _file.DangerousRelease();
    }
}
