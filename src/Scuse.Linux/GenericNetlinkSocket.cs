using System.Runtime.InteropServices;

namespace Scuse.Linux;

/// <summary>A socket to the kernel's generic netlink: whole messages, as bytes. netlink(7).</summary>
/// <remarks>Used by one thread at a time.</remarks>
public sealed unsafe class GenericNetlinkSocket : IDisposable
{
    // Notices that find no room are lost: there is room for a few thousand.
    const int ReceiveBytes = 1 << 20;

    int _fd;

    GenericNetlinkSocket(int fd) => _fd = fd;

    /// <summary>The descriptor's number, for <see cref="Epoll"/>; -1 once disposed.</summary>
    public int Descriptor => _fd;

    /// <summary>Opens a socket with an address that the kernel chooses.</summary>
    /// <exception cref="LinuxException">There is none to be had.</exception>
    public static GenericNetlinkSocket Open()
    {
        int fd = Native.socket(Native.AF_NETLINK, Native.SOCK_RAW | Native.SOCK_CLOEXEC, Native.NETLINK_GENERIC);
        if (fd < 0)
        {
            throw Native.Failed("socket", "generic netlink");
        }

        Address address = new() { Family = Native.AF_NETLINK };
        if (Native.bind(fd, &address, (uint)sizeof(Address)) < 0)
        {
            LinuxException failure = Native.Failed("bind", "generic netlink");
            _ = Native.close(fd);
            throw failure;
        }

        int bytes = ReceiveBytes;
        _ = Native.setsockopt(fd, Native.SOL_SOCKET, Native.SO_RCVBUFFORCE, &bytes, sizeof(int)); // who may not has less room
        return new GenericNetlinkSocket(fd);
    }

    /// <summary>Receives a multicast group's messages from now on.</summary>
    /// <exception cref="LinuxException">There is no such group, or it is not for this user.</exception>
    public void Join(uint group)
    {
        if (Native.setsockopt(_fd, Native.SOL_NETLINK, Native.NETLINK_ADD_MEMBERSHIP, &group, sizeof(uint)) < 0)
        {
            throw Native.Failed("setsockopt", $"netlink group {group}");
        }
    }

    /// <summary>Sends a message to the kernel.</summary>
    /// <exception cref="LinuxException">It does not take it.</exception>
    public void Send(ReadOnlySpan<byte> message)
    {
        fixed (byte* bytes = message)
        {
            // A socket that is not connected sends to the kernel.
            while (Native.send(_fd, bytes, (nuint)message.Length, 0) < 0)
            {
                int errno = Native.LastError;
                if (errno != Errno.EINTR)
                {
                    throw new LinuxException("send", errno, "generic netlink");
                }
            }
        }
    }

    /// <summary>
    /// Takes what came, without waiting: one message or several, up to the returned number of bytes. -<see cref="Errno.EAGAIN"/> when nothing is there; -<see cref="Errno.ENOBUFS"/> when messages
    /// were lost, once; -<see cref="Errno.EMSGSIZE"/> when the buffer was too short; or another negative error number. What others than the kernel send is passed over.
    /// </summary>
    public int Receive(Span<byte> into)
    {
        fixed (byte* bytes = into)
        {
            IoVector vector = new() { Base = (nint)bytes, Length = (nuint)into.Length };
            while (true)
            {
                Address sender;
                Native.MessageHeader message = new() { Name = &sender, NameLength = (ulong)sizeof(Address), Vectors = &vector, VectorCount = 1 };
                nint received = Native.recvmsg(_fd, &message, Native.MSG_DONTWAIT);
                if (received < 0)
                {
                    int errno = Native.LastError;
                    if (errno != Errno.EINTR)
                    {
                        return -errno;
                    }

                    continue;
                }

                if (sender.Port == 0)
                {
                    return ((int)message.Flags & Native.MSG_TRUNC) != 0 ? -Errno.EMSGSIZE : (int)received;
                }
            }
        }
    }

    /// <summary>Waits until there is something to receive; false when time is up.</summary>
    public bool WaitReadable(int timeoutMs) => Waiting.ForEvents(_fd, Native.POLLIN, timeoutMs) != 0;

    /// <summary>Closes the socket.</summary>
    public void Dispose()
    {
        int fd = Interlocked.Exchange(ref _fd, -1);
        if (fd >= 0)
        {
            _ = Native.close(fd);
        }
    }

    /// <summary>struct sockaddr_nl; port 0 is the kernel.</summary>
    [StructLayout(LayoutKind.Sequential)]
    struct Address
    {
        internal ushort Family;
        internal ushort Pad;
        internal uint Port;
        internal uint Groups;
    }
}
