namespace Scuse.Linux;

/// <summary>Error numbers of Linux, the same on x86-64 and arm64. errno(3).</summary>
public static class Errno
{
    /// <summary>Operation not permitted.</summary>
    public const int EPERM = 1;

    /// <summary>No such file or directory.</summary>
    public const int ENOENT = 2;

    /// <summary>No such process.</summary>
    public const int ESRCH = 3;

    /// <summary>A signal came in between.</summary>
    public const int EINTR = 4;

    /// <summary>Input or output error.</summary>
    public const int EIO = 5;

    /// <summary>No such device or address; of lseek(2): no data from there on.</summary>
    public const int ENXIO = 6;

    /// <summary>Bad descriptor.</summary>
    public const int EBADF = 9;

    /// <summary>It would have to wait: nothing to read, no room to write, a lock is taken.</summary>
    public const int EAGAIN = 11;

    /// <summary>Out of memory.</summary>
    public const int ENOMEM = 12;

    /// <summary>Permission denied.</summary>
    public const int EACCES = 13;

    /// <summary>Device or resource busy.</summary>
    public const int EBUSY = 16;

    /// <summary>It exists already.</summary>
    public const int EEXIST = 17;

    /// <summary>No such device.</summary>
    public const int ENODEV = 19;

    /// <summary>Invalid argument.</summary>
    public const int EINVAL = 22;

    /// <summary>Too many open files in the system.</summary>
    public const int ENFILE = 23;

    /// <summary>Too many open files in the process.</summary>
    public const int EMFILE = 24;

    /// <summary>The file would be too large.</summary>
    public const int EFBIG = 27;

    /// <summary>No space left on the device.</summary>
    public const int ENOSPC = 28;

    /// <summary>Read-only file system.</summary>
    public const int EROFS = 30;

    /// <summary>Nobody reads the other end.</summary>
    public const int EPIPE = 32;

    /// <summary>The name is too long.</summary>
    public const int ENAMETOOLONG = 36;

    /// <summary>The kernel does not have the call.</summary>
    public const int ENOSYS = 38;

    /// <summary>The packet is too long.</summary>
    public const int EMSGSIZE = 90;

    /// <summary>The socket is of another type.</summary>
    public const int EPROTOTYPE = 91;

    /// <summary>Not supported by this file or file system.</summary>
    public const int EOPNOTSUPP = 95;

    /// <summary>The address is taken.</summary>
    public const int EADDRINUSE = 98;

    /// <summary>The connection was given up before it was accepted.</summary>
    public const int ECONNABORTED = 103;

    /// <summary>The peer cut the connection.</summary>
    public const int ECONNRESET = 104;

    /// <summary>No room was left, and something was lost.</summary>
    public const int ENOBUFS = 105;

    /// <summary>Not connected.</summary>
    public const int ENOTCONN = 107;

    /// <summary>Time is up.</summary>
    public const int ETIMEDOUT = 110;

    /// <summary>Nobody listens there.</summary>
    public const int ECONNREFUSED = 111;

    /// <summary>The disk quota is used up.</summary>
    public const int EDQUOT = 122;
}
