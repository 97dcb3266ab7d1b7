using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Scuse.Linux;

/// <summary>A place in the file system where other processes of the same user connect. unix(7), SOCK_SEQPACKET.</summary>
public sealed unsafe class SeqPacketListener : IDisposable
{
    const int Backlog = 128;
    const uint OwnerOnly = 0x180; // 0600
    const int LockTries = 200;
    const int LockRetryMs = 10;

    readonly SafeFileHandle _handle;
    readonly ulong _inode;
    int _fd;

    SeqPacketListener(SafeFileHandle handle, string path, ulong inode)
    {
        _handle = handle;
        _fd = (int)handle.DangerousGetHandle();
        _inode = inode;
        Path = path;
    }

    /// <summary>The descriptor's number, for <see cref="Epoll"/>: readable when someone waits to be accepted; -1 once disposed.</summary>
    public int Descriptor => _fd;

    /// <summary>The socket's file.</summary>
    public string Path { get; }

    /// <summary>
    /// Listens at <paramref name="path"/>, for this user only (mode 0600). A socket file that a dead owner left is replaced.
    /// </summary>
    /// <exception cref="LinuxException">A living process listens there (EADDRINUSE), something else is there (EADDRINUSE), or the folder does not allow it.</exception>
    public static SeqPacketListener Listen(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        Native.UnixAddress address = Native.UnixAddress.From(path, "bind");
        int fd = Native.socket(Native.AF_UNIX, Native.SOCK_SEQPACKET | Native.SOCK_CLOEXEC | Native.SOCK_NONBLOCK, 0);
        if (fd < 0)
        {
            throw Native.Failed("socket");
        }

        SafeFileHandle handle = new(fd, ownsHandle: true);
        try
        {
            // Two that start at once and find the same stale file must not remove each other's: the folder is locked until one listens.
            using SafeFileHandle? folder = LockFolder(path);

            // The file is created with the socket's own mode, so nobody else can connect even for a moment.
            if (Native.fchmod(fd, OwnerOnly) < 0)
            {
                throw Native.Failed("fchmod", path);
            }

            if (Native.bind(fd, &address, (uint)sizeof(Native.UnixAddress)) < 0)
            {
                int errno = Native.LastError;
                if (errno != Errno.EADDRINUSE || !IsStale(&address))
                {
                    throw new LinuxException("bind", errno, path);
                }

                _ = Native.unlink(address.Path);
                if (Native.bind(fd, &address, (uint)sizeof(Native.UnixAddress)) < 0)
                {
                    throw Native.Failed("bind", path);
                }
            }

            if (Native.listen(fd, Backlog) < 0)
            {
                throw Native.Failed("listen", path);
            }

            return new SeqPacketListener(handle, path, InodeOf(path));
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    /// <summary>Accepts one who waits; null when nobody does. It never blocks.</summary>
    /// <exception cref="LinuxException">No descriptor is left (EMFILE), or the listener is closed.</exception>
    public SeqPacketSocket? Accept()
    {
        while (true)
        {
            int fd = Native.accept4(_fd, null, null, Native.SOCK_CLOEXEC);
            if (fd >= 0)
            {
                return new SeqPacketSocket(new SafeFileHandle(fd, ownsHandle: true));
            }

            int errno = Native.LastError;
            switch (errno)
            {
                case Errno.EINTR or Errno.ECONNABORTED:
                    continue;
                case Errno.EAGAIN:
                    return null;
                default:
                    throw new LinuxException("accept4", errno, Path);
            }
        }
    }

    /// <summary>Stops listening and removes the file, if it is still this listener's own.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _fd, -1) < 0)
        {
            return;
        }

        if (_inode != 0 && InodeOf(Path) == _inode)
        {
            byte[] text = Encoding.UTF8.GetBytes(Path + "\0");
            fixed (byte* pointer = text)
            {
                _ = Native.unlink(pointer);
            }
        }

        _handle.Dispose();
    }

    /// <summary>Whether the path is a socket that nobody listens to any more.</summary>
    static bool IsStale(Native.UnixAddress* address)
    {
        int fd = Native.socket(Native.AF_UNIX, Native.SOCK_SEQPACKET | Native.SOCK_CLOEXEC | Native.SOCK_NONBLOCK, 0);
        if (fd < 0)
        {
            return false;
        }

        // A plain file refuses as well, but is never ours to remove.
        bool refused = Native.connect(fd, address, (uint)sizeof(Native.UnixAddress)) < 0 && Native.LastError == Errno.ECONNREFUSED;
        _ = Native.close(fd);
        Native.Statx status;
        return refused
            && Native.statx(Native.AT_FDCWD, address->Path, 0, Native.STATX_BASIC_STATS, &status) == 0
            && (status.Mode & Native.S_IFMT) == Native.S_IFSOCK;
    }

    static SafeFileHandle? LockFolder(string path)
    {
        string folder = System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path)) ?? "/";
        byte[] text = Encoding.UTF8.GetBytes(folder + "\0");
        int fd;
        fixed (byte* pointer = text)
        {
            fd = Native.open(pointer, Native.O_CLOEXEC, 0);
        }

        if (fd < 0)
        {
            return null; // bind says what is wrong with the folder, if anything is
        }

        SafeFileHandle handle = new(fd, ownsHandle: true);
        for (int i = 0; i < LockTries; i++)
        {
            if (FileRange.TryLock(handle, exclusive: true))
            {
                return handle;
            }

            Thread.Sleep(LockRetryMs);
        }

        return handle; // someone else's long lock on a shared folder must not keep us from starting
    }

    static ulong InodeOf(string path)
    {
        byte[] text = Encoding.UTF8.GetBytes(path + "\0");
        Native.Statx status;
        fixed (byte* pointer = text)
        {
            return Native.statx(Native.AT_FDCWD, pointer, 0, Native.STATX_BASIC_STATS, &status) == 0 ? status.Inode : 0;
        }
    }
}
