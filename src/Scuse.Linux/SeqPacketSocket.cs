using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Scuse.Linux;

/// <summary>One end of a connection between two processes of this machine that carries whole packets and open descriptors. unix(7), SOCK_SEQPACKET.</summary>
public sealed unsafe class SeqPacketSocket : IDisposable
{
    /// <summary>The most descriptors that one packet can carry.</summary>
    public const int MaxDescriptors = 48;

    /// <summary>How long <see cref="Send"/> waits for a peer that does not read, in milliseconds, where nothing else is said.</summary>
    public const int DefaultSendTimeoutMs = 5000;

    const int ControlBytes = 1280; // room for SCM_MAX_FD (253) descriptors, so that the kernel never has to cut
    const int ControlHeaderBytes = 16;

    int _fd;

    internal SeqPacketSocket(SafeFileHandle handle)
    {
        Handle = handle;
        _fd = (int)handle.DangerousGetHandle();
        Native.Credentials credentials;
        uint length = (uint)sizeof(Native.Credentials);
        if (Native.getsockopt(_fd, Native.SOL_SOCKET, Native.SO_PEERCRED, &credentials, &length) < 0)
        {
            LinuxException failure = Native.Failed("getsockopt", "the peer's credentials");
            handle.Dispose();
            throw failure;
        }

        PeerPid = credentials.Pid;
        PeerUid = credentials.Uid;
    }

    /// <summary>The descriptor's number, for <see cref="Epoll"/>; -1 once disposed.</summary>
    public int Descriptor => _fd;

    /// <summary>The process that connected or listened, as the kernel saw it then.</summary>
    public int PeerPid { get; }

    /// <summary>The user that process ran as.</summary>
    public int PeerUid { get; }

    internal SafeFileHandle Handle { get; }

    /// <summary>Connects to the listener at <paramref name="path"/>.</summary>
    /// <exception cref="LinuxException">Nobody listens there (ENOENT, ECONNREFUSED), or it is not allowed (EACCES).</exception>
    public static SeqPacketSocket Connect(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        Native.UnixAddress address = Native.UnixAddress.From(path, "connect");
        int fd = Native.socket(Native.AF_UNIX, Native.SOCK_SEQPACKET | Native.SOCK_CLOEXEC, 0);
        if (fd < 0)
        {
            throw Native.Failed("socket");
        }

        SafeFileHandle handle = new(fd, ownsHandle: true);
        while (Native.connect(fd, &address, (uint)sizeof(Native.UnixAddress)) < 0)
        {
            int errno = Native.LastError;
            if (errno != Errno.EINTR)
            {
                handle.Dispose();
                throw new LinuxException("connect", errno, path);
            }
        }

        return new SeqPacketSocket(handle);
    }

    /// <summary>Both ends of a new connection, with this process at each. socketpair(2).</summary>
    /// <exception cref="LinuxException">No descriptor is left.</exception>
    public static (SeqPacketSocket One, SeqPacketSocket Other) Pair()
    {
        int* fds = stackalloc int[2];
        if (Native.socketpair(Native.AF_UNIX, Native.SOCK_SEQPACKET | Native.SOCK_CLOEXEC, 0, fds) < 0)
        {
            throw Native.Failed("socketpair");
        }

        SafeFileHandle one = new(fds[0], ownsHandle: true), other = new(fds[1], ownsHandle: true);
        return (new SeqPacketSocket(one), new SeqPacketSocket(other));
    }

    /// <summary>
    /// Sends one packet, and with it duplicates of <paramref name="descriptors"/>, which stay the caller's. Waits up to
    /// <paramref name="timeoutMs"/> milliseconds while the peer has no room.
    /// </summary>
    /// <exception cref="LinuxException">The peer is gone (EPIPE, ECONNRESET), does not read (ETIMEDOUT), or the packet is too long (EMSGSIZE).</exception>
    public void Send(ReadOnlySpan<byte> packet, ReadOnlySpan<SafeFileHandle> descriptors = default, int timeoutMs = DefaultSendTimeoutMs)
    {
        ArgumentOutOfRangeException.ThrowIfZero(packet.Length, nameof(packet)); // an empty packet looks like the end
        ArgumentOutOfRangeException.ThrowIfGreaterThan(descriptors.Length, MaxDescriptors, nameof(descriptors));
        byte* control = stackalloc byte[ControlHeaderBytes + (MaxDescriptors * sizeof(int))];
        Native.MessageHeader message = default;
        if (descriptors.Length > 0)
        {
            Native.ControlHeader* header = (Native.ControlHeader*)control;
            header->Length = (ulong)(ControlHeaderBytes + (descriptors.Length * sizeof(int)));
            header->Level = Native.SOL_SOCKET;
            header->Type = Native.SCM_RIGHTS;
            for (int i = 0; i < descriptors.Length; i++)
            {
                ((int*)(control + ControlHeaderBytes))[i] = (int)descriptors[i].DangerousGetHandle();
            }

            message.Control = control;
            message.ControlLength = (header->Length + 7) & ~7ul;
        }

        fixed (byte* bytes = packet)
        {
            IoVector vector = new() { Base = (nint)bytes, Length = (nuint)packet.Length };
            message.Vectors = &vector;
            message.VectorCount = 1;
            while (Native.sendmsg(_fd, &message, Native.MSG_NOSIGNAL | Native.MSG_DONTWAIT) < 0)
            {
                int errno = Native.LastError;
                if (errno == Errno.EAGAIN)
                {
                    errno = Waiting.ForEvents(_fd, Native.POLLOUT, timeoutMs) switch { > 0 => Errno.EINTR, 0 => Errno.ETIMEDOUT, int negative => -negative };
                }

                if (errno != Errno.EINTR)
                {
                    throw new LinuxException("sendmsg", errno);
                }
            }
        }

        for (int i = 0; i < descriptors.Length; i++)
        {
            GC.KeepAlive(descriptors[i]);
        }
    }

    /// <summary>
    /// Receives one packet. Returns its length; 0 when the peer has closed; -<see cref="Errno.EAGAIN"/> when nothing came within
    /// <paramref name="timeoutMs"/> milliseconds (-1: wait for ever, 0: do not wait).
    /// </summary>
    /// <param name="packet">Room for the packet.</param>
    /// <param name="descriptors">Takes the descriptors that came with it, which are the caller's from then on; null, or more than <see cref="MaxDescriptors"/>: they are closed.</param>
    /// <param name="timeoutMs">How long to wait.</param>
    /// <exception cref="LinuxException">The packet is longer than the room for it (EMSGSIZE), or the socket is broken.</exception>
    public int Receive(Span<byte> packet, List<SafeFileHandle>? descriptors, int timeoutMs = -1)
    {
        byte* control = stackalloc byte[ControlBytes];
        bool wasReset = false;
        fixed (byte* bytes = packet)
        {
            IoVector vector = new() { Base = (nint)bytes, Length = (nuint)packet.Length };
            while (true)
            {
                Native.MessageHeader message = new() { Vectors = &vector, VectorCount = 1, Control = control, ControlLength = ControlBytes };
                nint length = Native.recvmsg(_fd, &message, Native.MSG_DONTWAIT | Native.MSG_CMSG_CLOEXEC);
                if (length >= 0)
                {
                    int flags = (int)message.Flags;
                    bool cut = (flags & (Native.MSG_TRUNC | Native.MSG_CTRUNC)) != 0;
                    TakeDescriptors(&message, cut ? null : descriptors);
                    return cut ? throw new LinuxException("recvmsg", Errno.EMSGSIZE, $"a packet of more than {packet.Length} bytes") : (int)length;
                }

                int errno = Native.LastError;
                if (errno == Errno.ECONNRESET)
                {
                    if (wasReset)
                    {
                        return 0;
                    }

                    wasReset = true; // the peer closed without having read everything; what it said before is still to be read
                    continue;
                }

                if (errno == Errno.EAGAIN)
                {
                    switch (Waiting.ForEvents(_fd, Native.POLLIN, timeoutMs))
                    {
                        case 0:
                            return -Errno.EAGAIN;
                        case int failure and < 0:
                            errno = -failure;
                            break;
                        default:
                            continue;
                    }
                }

                if (errno != Errno.EINTR)
                {
                    throw new LinuxException("recvmsg", errno);
                }
            }
        }
    }

    /// <summary>Closes the connection; the peer sees its end.</summary>
    public void Dispose()
    {
        _fd = -1;
        Handle.Dispose();
    }

    static void TakeDescriptors(Native.MessageHeader* message, List<SafeFileHandle>? into)
    {
        int taken = 0;
        ulong at = 0;
        while (at + ControlHeaderBytes <= message->ControlLength)
        {
            Native.ControlHeader* header = (Native.ControlHeader*)((byte*)message->Control + at);
            if (header->Length < ControlHeaderBytes || header->Length > message->ControlLength - at)
            {
                break;
            }

            if (header->Level == Native.SOL_SOCKET && header->Type == Native.SCM_RIGHTS)
            {
                int* fds = (int*)((byte*)header + ControlHeaderBytes);
                int count = (int)(header->Length - ControlHeaderBytes) / sizeof(int);
                for (int i = 0; i < count; i++)
                {
                    if (into is not null && taken < MaxDescriptors)
                    {
                        into.Add(new SafeFileHandle(fds[i], ownsHandle: true));
                        taken++;
                    }
                    else
                    {
                        _ = Native.close(fds[i]);
                    }
                }
            }

            at += (header->Length + 7) & ~7ul;
        }
    }
}
