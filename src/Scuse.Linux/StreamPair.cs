using System.Net.Sockets;

namespace Scuse.Linux;

/// <summary>Two ends of a byte stream inside this process.</summary>
public static unsafe class StreamPair
{
    /// <summary>Both ends of a new connection. The caller owns them. socketpair(2).</summary>
    /// <exception cref="LinuxException">There is none to be had.</exception>
    public static (Socket One, Socket Other) Create()
    {
        int* fds = stackalloc int[2];
        if (Native.socketpair(Native.AF_UNIX, Native.SOCK_STREAM | Native.SOCK_CLOEXEC, 0, fds) < 0)
        {
            throw Native.Failed("socketpair");
        }

        return (new Socket(new SafeSocketHandle(fds[0], ownsHandle: true)), new Socket(new SafeSocketHandle(fds[1], ownsHandle: true)));
    }
}
