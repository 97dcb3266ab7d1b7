using Scuse.Linux;

namespace Scuse.Tcmu;

/// <summary>The connection by which the kernel tells of user backstores, and is answered.</summary>
/// <remarks>SET_FEATURES is never sent: it says for the whole kernel, and for longer than this process lives, that somebody will answer.</remarks>
sealed class TcmuNotices : IDisposable
{
    const uint FamilySequence = 1;
    const int AnswerTimeoutMs = 5000;

    readonly GenericNetlinkSocket _socket;
    readonly ushort _family;
    readonly Lock _sending = new();
    readonly byte[] _received = new byte[NetlinkMessages.MaxBytes];

    TcmuNotices(GenericNetlinkSocket socket, ushort family)
    {
        _socket = socket;
        _family = family;
    }

    internal int Descriptor => _socket.Descriptor;

    /// <summary>Listens from now on.</summary>
    /// <exception cref="IOException">There is nothing to listen to; the message is one line for a person.</exception>
    internal static TcmuNotices Open()
    {
        GenericNetlinkSocket socket = GenericNetlinkSocket.Open();
        try
        {
            (ushort family, uint group) = FindFamily(socket);
            socket.Join(group);
            return new TcmuNotices(socket, family);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Passes on what the kernel has told, without waiting. False when something was lost, so that everything has to be looked at.</summary>
    internal bool Receive(Action<TcmuNotice> take)
    {
        bool isComplete = true;
        int length;
        while ((length = _socket.Receive(_received)) != -Errno.EAGAIN)
        {
            if (length is -Errno.ENOBUFS or -Errno.EMSGSIZE)
            {
                isComplete = false; // told once
                continue;
            }

            if (length < 0)
            {
                throw new LinuxException("recvmsg", -length, "generic netlink");
            }

            ReadOnlySpan<byte> rest = _received.AsSpan(0, length);
            while (NetlinkMessages.TryTake(ref rest, out ushort type, out _, out ReadOnlySpan<byte> body))
            {
                // An error says that an answer found nobody waiting for it.
                if (type == _family && TcmuNotice.Read(body) is { } notice)
                {
                    take(notice);
                }
            }
        }

        return isComplete;
    }

    /// <summary>Answers a notice, from any thread.</summary>
    internal void Answer(TcmuCommand command, uint deviceId, int status)
    {
        lock (_sending)
        {
            _socket.Send(TcmuNotice.Answer(_family, command, deviceId, status));
        }
    }

    public void Dispose() => _socket.Dispose();

    static (ushort Family, uint Group) FindFamily(GenericNetlinkSocket socket)
    {
        socket.Send(NetlinkMessages.FamilyRequest(TcmuNotice.Family, FamilySequence));
        byte[] answer = new byte[NetlinkMessages.MaxBytes];
        if (!socket.WaitReadable(AnswerTimeoutMs) || socket.Receive(answer) is not (> 0 and int length))
        {
            throw new IOException("the kernel does not say what generic netlink families it has");
        }

        ReadOnlySpan<byte> rest = answer.AsSpan(0, length);
        while (NetlinkMessages.TryTake(ref rest, out ushort type, out uint sequence, out ReadOnlySpan<byte> body))
        {
            if (type == NetlinkMessages.TypeError && sequence == FamilySequence && NetlinkMessages.ReadError(body) == -Errno.ENOENT)
            {
                throw new IOException($"the kernel has no netlink family {TcmuNotice.Family}; load its module: modprobe target_core_user");
            }

            if (type == NetlinkMessages.TypeControl && sequence == FamilySequence && NetlinkMessages.TryReadFamily(body, TcmuNotice.Group, out ushort family, out uint group))
            {
                return (family, group);
            }
        }

        throw new IOException($"the kernel's answer about the netlink family {TcmuNotice.Family} makes no sense");
    }
}
