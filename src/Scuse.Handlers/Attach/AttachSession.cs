using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using Scuse.Linux;
using Scuse.Ring.Attach;
using Scuse.Serving;

namespace Scuse.Attach;

/// <summary>The handler's end of an attach session. docs/attach-protocol.md.</summary>
sealed class AttachSession : IControlChannel, IDisposable
{
    /// <summary>The ring ability of saying when one sleeps. docs/ring-abi.md.</summary>

    const int RegionDescriptors = 3;
    const int AnswerTimeoutMs = 30_000;

    readonly SeqPacketSocket _socket;
    readonly string _path;
    readonly byte[] _packet = new byte[AttachMessage.MaxBytes];

    AttachSession(SeqPacketSocket socket, string path)
    {
        _socket = socket;
        _path = path;
    }

    public int Descriptor => _socket.Descriptor;

    /// <summary>The target's process.</summary>
    internal int TargetPid => _socket.PeerPid;

    internal static AttachSession Connect(string path)
    {
        try
        {
            return new AttachSession(SeqPacketSocket.Connect(path), path);
        }
        catch (LinuxException failure)
        {
            string hint = failure.Errno is Errno.ENOENT or Errno.ECONNREFUSED ? "; is `scuse serve` running?" : "";
            throw new AttachException($"cannot attach to {path}: {LinuxException.Text(failure.Errno)}{hint}", failure);
        }
    }

    /// <summary>Says who we are; returns what the device is to be.</summary>
    internal DeviceMessage Greet(string device, string handlerName)
    {
        Send(new HelloMessage { Device = device, Handler = handlerName });
        return Receive(null) as DeviceMessage ?? throw Unexpected("device");
    }

    /// <summary>Says that the device is open; returns the region with its three descriptors, or null when the device has been removed meanwhile.</summary>
    internal RegionGrant? ReportReady(ReadyMessage ready)
    {
        Send(ready);
        List<SafeFileHandle> descriptors = [];
        AttachMessage answer = Receive(descriptors);
        if (answer is RegionMessage region && descriptors.Count == RegionDescriptors)
        {
            return new RegionGrant(region, descriptors[0], descriptors[1], descriptors[2]);
        }

        foreach (SafeFileHandle descriptor in descriptors)
        {
            descriptor.Dispose();
        }

        return answer switch
        {
            RemoveMessage => null,
            RegionMessage => throw new AttachException($"the target passed {descriptors.Count} descriptors with the region; {RegionDescriptors} are needed"),
            _ => throw Unexpected("region"),
        };
    }

    /// <summary>Says that the device cannot be opened; what goes wrong with that does not matter any more.</summary>
    internal void ReportFailure(string message)
    {
        try
        {
            Send(new FailedMessage { Message = message });
        }
        catch (AttachException)
        {
        }
    }

    public ControlNews Read()
    {
        try
        {
            int length = _socket.Receive(_packet, null, timeoutMs: 0);
            return length switch
            {
                0 => ControlNews.Closed,
                < 0 => ControlNews.None,
                _ => AttachMessage.Parse(_packet.AsSpan(0, length)) is RemoveMessage ? ControlNews.Remove : ControlNews.Other,
            };
        }
        catch (JsonException)
        {
            return ControlNews.Other; // a message of a later version, as far as we are concerned
        }
        catch (LinuxException failure)
        {
            return failure.Errno == Errno.EMSGSIZE ? ControlNews.Other : ControlNews.Closed;
        }
    }

    public void Dispose() => _socket.Dispose();

    void Send(AttachMessage message)
    {
        try
        {
            _socket.Send(message.ToBytes());
        }
        catch (LinuxException failure)
        {
            throw new AttachException($"the target at {_path} is gone: {LinuxException.Text(failure.Errno)}", failure);
        }
    }

    AttachMessage Receive(List<SafeFileHandle>? descriptors)
    {
        try
        {
            while (true)
            {
                int length = _socket.Receive(_packet, descriptors, AnswerTimeoutMs);
                AttachMessage message = length switch
                {
                    0 => throw new AttachException($"the target at {_path} closed the connection"),
                    < 0 => throw new AttachException($"the target at {_path} did not answer within {AnswerTimeoutMs / 1000} seconds"),
                    _ => AttachMessage.Parse(_packet.AsSpan(0, length)),
                };
                if (message is RefusedMessage refused)
                {
                    throw new AttachException($"the target refused: {ErrorLog.OneLine(refused.Message)}");
                }

                if (message.GetType() != typeof(AttachMessage))
                {
                    return message; // one of an unknown type is passed over
                }
            }
        }
        catch (JsonException failure)
        {
            throw new AttachException($"the target at {_path} sent what is not a message: {ErrorLog.OneLine(failure.Message)}", failure);
        }
        catch (LinuxException failure)
        {
            throw new AttachException($"the connection to {_path} broke: {LinuxException.Text(failure.Errno)}", failure);
        }
    }

    AttachException Unexpected(string wanted) => new($"the target at {_path} did not send the '{wanted}' message when it was due");
}

/// <summary>What comes with the region message; the descriptors are the owner's to close.</summary>
sealed record RegionGrant(RegionMessage Message, SafeFileHandle Memory, SafeFileHandle Doorbell, SafeFileHandle TargetDoorbell);
