using System.Buffers;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using Scuse.Linux;
using Scuse.Ring.Attach;
using Scuse.Serving;

namespace Scuse.Attach;

/// <summary>The handler's end of an attach session. docs/attach-protocol.md.</summary>
sealed class AttachSession : IDisposable
{
    /// <summary>How long the target may take for an answer.</summary>
    internal const int AnswerTimeoutMs = 30_000;

    /// <summary>How long it may take to get the handler before us to let the device go, which is as long as that one's slowest command.</summary>
    internal const int ReplaceTimeoutMs = 60_000;

    readonly SeqPacketSocket _socket;
    readonly string _path;
    readonly Watcher _watcher;
    readonly CancellationToken _stop;

    /// <param name="socket">The connection; the session's from now on.</param>
    /// <param name="path">Where it leads, for messages to people.</param>
    /// <param name="watcher">Who waits for answers.</param>
    /// <param name="stop">Set when this process is to end: then no answer is waited for any more.</param>
    internal AttachSession(SeqPacketSocket socket, string path, Watcher watcher, CancellationToken stop)
    {
        _socket = socket;
        _path = path;
        _watcher = watcher;
        _stop = stop;
    }

    internal int Descriptor => _socket.Descriptor;

    /// <summary>The target's process.</summary>
    internal int TargetPid => _socket.PeerPid;

    /// <exception cref="AttachException">Nobody is there.</exception>
    internal static AttachSession Connect(string path, Watcher watcher, CancellationToken stop)
    {
        try
        {
            return new AttachSession(SeqPacketSocket.Connect(path), path, watcher, stop);
        }
        catch (LinuxException failure)
        {
            string hint = failure.Errno is Errno.ENOENT or Errno.ECONNREFUSED ? "; is `scuse serve` running?" : "";
            throw new AttachException(AttachProblem.NoTarget, $"cannot attach to {path}: {LinuxException.Text(failure.Errno)}{hint}", failure);
        }
    }

    /// <summary>Says who we are; returns what the device is to be.</summary>
    internal async Task<DeviceMessage> GreetAsync(HelloMessage hello)
    {
        Send(hello);
        return await ReceiveAsync(null, hello.Replace ? ReplaceTimeoutMs : AnswerTimeoutMs).ConfigureAwait(false) as DeviceMessage ?? throw Unexpected("device");
    }

    /// <summary>
    /// Says that the device is open; returns the regions with their descriptors, as many as the target wants and <paramref name="ready"/> offers, or null when the target does not want the
    /// device any more: <see cref="WasReleased"/> tells whether for now only.
    /// </summary>
    /// <param name="ready">What the device is.</param>
    /// <param name="memory">The handler's own memory, where the message offers it.</param>
    internal async Task<RegionGrant?> ReportReadyAsync(ReadyMessage ready, SafeFileHandle? memory)
    {
        Send(ready, memory is null ? default : new ReadOnlySpan<SafeFileHandle>(in memory));
        List<SafeFileHandle> descriptors = [];
        AttachMessage answer = await ReceiveAsync(descriptors, AnswerTimeoutMs).ConfigureAwait(false);
        if (answer is RegionMessage message && message.Regions >= 1 && message.Regions <= ready.Rings
            && descriptors.Count == message.Regions * RegionMessage.DescriptorsPerRegion)
        {
            return new RegionGrant(message, [.. descriptors.Chunk(RegionMessage.DescriptorsPerRegion).Select(static three => new GrantedRegion(three[0], three[1], three[2]))]);
        }

        descriptors.ForEach(static descriptor => descriptor.Dispose());
        WasReleased = answer is ReleaseMessage;
        return answer switch
        {
            RemoveMessage or ReleaseMessage => null,
            RegionMessage { Regions: int regions } when regions < 1 || regions > ready.Rings => throw new AttachException(
                AttachProblem.Broken, $"the target passed {regions} regions; 1 to {ready.Rings} are possible"),
            RegionMessage { Regions: int regions } => throw new AttachException(
                AttachProblem.Broken, $"the target passed {descriptors.Count} descriptors with {(regions == 1 ? "the region" : $"{regions} regions")}; {regions * RegionMessage.DescriptorsPerRegion} are needed"),
            _ => throw Unexpected("region"),
        };
    }

    /// <summary>Whether the target sent <c>release</c> in place of a region.</summary>
    internal bool WasReleased { get; private set; }

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

    /// <summary>Reads one message if there is one, while the rings are served. It never waits. Called on one thread.</summary>
    internal ControlNews Read(Span<byte> scratch)
    {
        try
        {
            int length = _socket.Receive(scratch, null, timeoutMs: 0);
            return length switch
            {
                0 => ControlNews.Closed,
                < 0 => ControlNews.None,
                _ => AttachMessage.Parse(scratch[..length]) switch
                {
                    RemoveMessage => ControlNews.Remove,
                    ReleaseMessage => ControlNews.Release,
                    _ => ControlNews.Other,
                },
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

    /// <summary>Says which kept commands of a region are free; false when the target has no room for the message now. It never waits. Called on any thread.</summary>
    internal bool TryFreeKept(int region, ReadOnlySpan<ushort> ids)
    {
        try
        {
            _socket.Send(new FreeKeptMessage { Region = region, Ids = ids.ToArray() }.ToBytes(), default, timeoutMs: 0);
            return true;
        }
        catch (LinuxException failure)
        {
            return failure.Errno != Errno.ETIMEDOUT; // a target that is gone has nothing to free
        }
    }

    /// <summary>Says that the device has another size; a target that is gone need not know.</summary>
    internal void TellSize(long sizeBytes)
    {
        try
        {
            Send(new SizeMessage { SizeBytes = sizeBytes });
        }
        catch (AttachException)
        {
        }
    }

    public void Dispose() => _socket.Dispose();

    void Send(AttachMessage message, ReadOnlySpan<SafeFileHandle> descriptors = default)
    {
        try
        {
            _socket.Send(message.ToBytes(), descriptors);
        }
        catch (LinuxException failure)
        {
            throw new AttachException(AttachProblem.NoTarget, $"the target at {_path} is gone: {LinuxException.Text(failure.Errno)}", failure);
        }
    }

    async Task<AttachMessage> ReceiveAsync(List<SafeFileHandle>? descriptors, int timeoutMs)
    {
        byte[] packet = ArrayPool<byte>.Shared.Rent(AttachMessage.MaxBytes);
        long deadline = Environment.TickCount64 + timeoutMs;
        try
        {
            while (true)
            {
                int length = _socket.Receive(packet.AsSpan(0, AttachMessage.MaxBytes), descriptors, timeoutMs: 0);
                if (length < 0)
                {
                    int left = (int)Math.Max(0, deadline - Environment.TickCount64);
                    if (!await _watcher.ReadableAsync(_socket.Descriptor, left, _stop).ConfigureAwait(false))
                    {
                        throw new AttachException(AttachProblem.NoTarget, $"the target at {_path} did not answer within {timeoutMs / 1000} seconds");
                    }

                    continue;
                }

                AttachMessage message = length > 0
                    ? AttachMessage.Parse(packet.AsSpan(0, length))
                    : throw new AttachException(AttachProblem.NoTarget, $"the target at {_path} closed the connection");
                if (message is RefusedMessage refused)
                {
                    throw new AttachException(AttachProblem.Refused, $"the target refused: {ErrorLog.OneLine(refused.Message)}");
                }

                if (message.GetType() != typeof(AttachMessage))
                {
                    return message; // one of an unknown type is passed over
                }
            }
        }
        catch (JsonException failure)
        {
            throw new AttachException(AttachProblem.Broken, $"the target at {_path} sent what is not a message: {ErrorLog.OneLine(failure.Message)}", failure);
        }
        catch (LinuxException failure)
        {
            throw new AttachException(AttachProblem.NoTarget, $"the connection to {_path} broke: {LinuxException.Text(failure.Errno)}", failure);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(packet);
        }
    }

    AttachException Unexpected(string wanted) =>
        new(AttachProblem.Broken, $"the target at {_path} did not send the '{wanted}' message when it was due");
}

/// <summary>What the target passed for a device: its regions, which are alike.</summary>
sealed record RegionGrant(RegionMessage Message, IReadOnlyList<GrantedRegion> Regions);

/// <summary>One region and its doorbells; the descriptors are the owner's to close.</summary>
sealed record GrantedRegion(SafeFileHandle Memory, SafeFileHandle Doorbell, SafeFileHandle TargetDoorbell) : IDisposable
{
    public void Dispose()
    {
        Memory.Dispose();
        Doorbell.Dispose();
        TargetDoorbell.Dispose();
    }
}

/// <summary>The connection as one of a device's rings has it: what the target says is read by the first ring, for all.</summary>
/// <param name="session">The connection.</param>
/// <param name="region">Which ring it is, counted from 0.</param>
sealed class RegionChannel(AttachSession session, int region) : IControlChannel
{
    public int Descriptor => region == 0 ? session.Descriptor : -1;

    public ControlNews Read(Span<byte> scratch) => session.Read(scratch);

    public bool TryFreeKept(ReadOnlySpan<ushort> ids) => session.TryFreeKept(region, ids);
}
