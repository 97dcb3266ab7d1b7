using System.Text.Json;
using Scuse.Device;
using Scuse.Engine.Backstores;
using Scuse.Linux;
using Scuse.Ring;
using Scuse.Ring.Attach;
using Scuse.Target;

namespace Scuse.Engine.Supervision;

/// <summary>One handler's connection to the attach socket: hello, device, ready, region; then it is only watched.</summary>
/// <remarks>Touched only by the attach server's thread.</remarks>
sealed class AttachSession(ulong token, SeqPacketSocket socket, long startedMs)
{
    const int Sigkill = 9;

    PidFd? _process;
    DeviceSlot? _slot;
    string _handlerName = "handler";
    bool _hasFailed;
    bool _isLeaving;

    public ulong Token { get; } = token;

    public SeqPacketSocket Socket { get; } = socket;

    public long StartedMs { get; } = startedMs;

    /// <summary>The handler's region, once it has one.</summary>
    public HandlerLink? Link { get; private set; }

    /// <summary>A process can pass its socket on and die: the process itself is watched too, where it can be seen from here.</summary>
    public void WatchProcess(Epoll epoll, ulong processToken)
    {
        if (Socket.PeerPid <= 0)
        {
            return;
        }

        try
        {
            _process = PidFd.Open(Socket.PeerPid);
            epoll.Add(_process.Descriptor, EpollEvents.In, processToken);
        }
        catch (LinuxException)
        {
            // It has ended already, or cannot be seen: the socket tells.
        }
    }

    /// <summary>Takes one packet. Returns why the handler is refused, or null.</summary>
    public string? Handle(ReadOnlySpan<byte> packet, IReadOnlyDictionary<string, DeviceSlot> slots)
    {
        AttachMessage message;
        try
        {
            message = AttachMessage.Parse(packet);
        }
        catch (JsonException exception)
        {
            return $"not a message: {exception.Message}";
        }

        return message switch
        {
            HelloMessage hello when _slot is null => OnHello(hello, slots),
            ReadyMessage ready when _slot is not null && Link is null => OnReady(ready),
            FailedMessage failed when _slot is not null && Link is null => OnFailed(failed),
            HelloMessage or ReadyMessage or FailedMessage => "a message out of its order",
            _ => null, // types of later versions are ignored
        };
    }

    string? OnHello(HelloMessage hello, IReadOnlyDictionary<string, DeviceSlot> slots)
    {
        if (hello.Version != AttachMessage.ProtocolVersion)
        {
            return $"version {hello.Version} of the attach protocol; this engine speaks version {AttachMessage.ProtocolVersion}";
        }

        if (string.IsNullOrEmpty(hello.Device) || !slots.TryGetValue(hello.Device, out DeviceSlot? slot))
        {
            return $"there is no device '{hello.Device}'; there are: {string.Join(", ", slots.Keys)}";
        }

        if (slot.Session is { } other)
        {
            return $"device '{hello.Device}' has a handler already, process {other.Socket.PeerPid}";
        }

        _handlerName = hello.Handler;
        _slot = slot;
        slot.Session = this;
        Socket.Send(new DeviceMessage
        {
            Device = hello.Device,
            Serial = slot.Serial,
            Config = slot.Options.Config,
            Level = slot.Options.Level switch { PassLevel.Io => ReadyMessage.LevelIo, PassLevel.All => ReadyMessage.LevelAll, _ => "" },
        }.ToBytes());
        return null;
    }

    string? OnReady(ReadyMessage ready)
    {
        if (ready.BlockSize is not (512 or 4096))
        {
            return $"block size {ready.BlockSize}; 512 and 4096 are possible";
        }

        if (ready.SizeBytes < ready.BlockSize || ready.SizeBytes % ready.BlockSize != 0)
        {
            return $"size {ready.SizeBytes} is not one or more blocks of {ready.BlockSize} bytes";
        }

        if (ready.Level is not (ReadyMessage.LevelIo or ReadyMessage.LevelAll))
        {
            return $"pass level '{ready.Level}'; 'io' and 'all' are possible";
        }

        if (_slot!.BlockSize is { } known && known != ready.BlockSize)
        {
            return $"block size {ready.BlockSize}; initiators know this device by {known}";
        }

        LunOptions options = _slot.Options;
        string[] abilities = [.. HandlerLink.Abilities.Intersect(ready.Ring)];
        var link = new HandlerLink(options.DeviceName, _handlerName, Socket.PeerPid, RingLayout.Create(options.CommandRingBytes, options.DataAreaBytes), abilities);
        try
        {
            Socket.Send(new RegionMessage { MapBytes = link.Region.LengthBytes, Ring = abilities }.ToBytes(), link.Descriptors);
        }
        catch (LinuxException)
        {
            link.Dispose();
            throw;
        }

        Link = link;
        _slot.BlockSize = ready.BlockSize;
        PassLevel level = options.Level ?? (ready.Level == ReadyMessage.LevelAll ? PassLevel.All : PassLevel.Io);
        _slot.OnAttached(link, Describe(ready), level);
        return null;
    }

    BlockDeviceInfo Describe(ReadyMessage ready)
    {
        var info = new BlockDeviceInfo
        {
            SizeBytes = ready.SizeBytes,
            BlockSize = ready.BlockSize,
            Features = FeaturesOf(ready.Features),
            Serial = _slot!.Serial,
        };
        if (ready.Product.Length > 0)
        {
            info = info with { Product = ready.Product };
        }

        return ready.MaxTransferBytes > 0
            ? info with { MaxTransferBytes = Math.Clamp(ready.MaxTransferBytes - (ready.MaxTransferBytes % ready.BlockSize), ready.BlockSize, info.MaxTransferBytes) }
            : info;
    }

    static BlockDeviceFeatures FeaturesOf(string[] names)
    {
        BlockDeviceFeatures features = BlockDeviceFeatures.None;
        foreach (string name in names)
        {
            features |= name switch
            {
                "flush" => BlockDeviceFeatures.Flush,
                "unmap" => BlockDeviceFeatures.Unmap,
                "writeZeroes" => BlockDeviceFeatures.WriteZeroes,
                "readOnly" => BlockDeviceFeatures.ReadOnly,
                _ => BlockDeviceFeatures.None,
            };
        }

        return features;
    }

    string? OnFailed(FailedMessage failed)
    {
        _hasFailed = true;
        _slot!.OnFailed(failed.Message);
        return null;
    }

    /// <summary>Sends if the handler listens; one that does not is about to be closed anyway.</summary>
    public void TrySend(AttachMessage message)
    {
        try
        {
            Socket.Send(message.ToBytes(), default, timeoutMs: 0);
        }
        catch (LinuxException)
        {
            // It is gone, or does not read.
        }
    }

    /// <summary>The device goes away: the handler is to answer what it has and close.</summary>
    public void Remove()
    {
        _isLeaving = true;
        TrySend(new RemoveMessage());
    }

    public void Kill() => _process?.Kill(Sigkill);

    public void Close(Epoll epoll, string reason)
    {
        epoll.Remove(Socket.Descriptor);
        Socket.Dispose();
        if (_process is not null)
        {
            epoll.Remove(_process.Descriptor);
            _process.Dispose();
        }

        if (_slot is { } slot && slot.Session == this)
        {
            slot.Session = null;
            if (Link is not null)
            {
                slot.OnDetached(Link, reason, _isLeaving);
            }
            else if (!_hasFailed)
            {
                slot.OnNotAttached(reason);
            }
        }
    }
}
