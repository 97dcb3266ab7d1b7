using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using Scuse.Device;
using Scuse.Engine.Backstores;
using Scuse.Linux;
using Scuse.Ring;
using Scuse.Ring.Attach;
using Scuse.Target;

namespace Scuse.Engine.Supervision;

/// <summary>One handler's connection to the attach socket: hello, device, ready, region; then it is watched, and may give back what it kept.</summary>
/// <remarks>Touched only by the supervision thread.</remarks>
sealed class AttachSession(SeqPacketSocket socket, SupervisionLimits limits)
{
    const int Sigkill = 9;

    static readonly byte[] s_remove = new RemoveMessage().ToBytes(), s_release = new ReleaseMessage().ToBytes();

    readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    readonly TaskCompletionSource<string?> _served = new(TaskCreationOptions.RunContinuationsAsynchronously);
    readonly List<SafeFileHandle> _descriptors = [];
    TokenBucket _messages = new(limits.MessagesPerSecond, limits.MessageBurst);
    SafeFileHandle? _offered; // while the message that it came with is handled
    int _foreignDescriptors;
    PidFd? _watched;
    ulong _processWatch;
    ulong _socketWatch;

    public SeqPacketSocket Socket => socket;

    public int Pid => socket.PeerPid;

    /// <summary>What it calls itself.</summary>
    public string HandlerName { get; private set; } = "handler";

    public AttachPhase Phase { get; private set; }

    /// <summary>When it connected, and when it came into service.</summary>
    public DateTimeOffset Since { get; private set; } = DateTimeOffset.UtcNow;

    /// <summary>By when it must have come on, on the loop's clock.</summary>
    public long DueMs { get; private set; } = SupervisionLoop.NowMs + limits.HelloMs;

    /// <summary>Its place among those that have not said hello, for the server.</summary>
    public LinkedListNode<AttachSession>? PlaceInGreeting { get; set; }

    /// <summary>Its device, once it has said hello.</summary>
    public DeviceSlot? Slot { get; private set; }

    /// <summary>The supervised process it belongs to; null for one that somebody else has started.</summary>
    public HandlerProcess? Process { get; set; }

    /// <summary>The handler's regions, once it has them; none before.</summary>
    public IReadOnlyList<HandlerLink> Links { get; private set; } = [];

    /// <summary>The first of <see cref="Links"/>, by which the logical unit knows the handler; null before there are any.</summary>
    public HandlerLink? Link => Links.Count > 0 ? Links[0] : null;

    /// <summary>Why the memory of its own that it passed is not used; null when it is, or when there was none.</summary>
    public string? MemoryRefusal { get; private set; }

    /// <summary>Whether what was written to it is gone when it ends.</summary>
    public bool IsVolatile { get; private set; }

    /// <summary>Whether it has said that it cannot open its device.</summary>
    public bool HasFailed { get; private set; }

    /// <summary>Whether it was asked to let go and come back.</summary>
    public bool IsReleased { get; private set; }

    /// <summary>Completed when the connection has ended.</summary>
    public Task Closed => _closed.Task;

    /// <summary>Completed with null when it is in service, or with the reason why it never will be.</summary>
    public Task<string?> Served => _served.Task;

    public void Watch(SupervisionLoop loop, Action readable) => _socketWatch = loop.Watch(socket.Descriptor, readable);

    /// <summary>A process can pass its socket on and die: the process itself is watched too, where it can be seen from here.</summary>
    public void WatchProcess(SupervisionLoop loop, Action ended)
    {
        if (_watched is not null || Pid <= 0)
        {
            return;
        }

        PidFd? process = null;
        try
        {
            process = PidFd.Open(Pid);
            _processWatch = loop.Watch(process.Descriptor, ended);
            _watched = process;
        }
        catch (LinuxException)
        {
            process?.Dispose(); // it has ended already, or cannot be seen: the socket tells
        }
    }

    // ---- what it says ----

    /// <summary>Takes one packet, if there is one. Returns why the handler is refused, or null; no length at all is the end.</summary>
    /// <exception cref="LinuxException">The connection is broken.</exception>
    public string? Receive(byte[] packet, IReadOnlyDictionary<string, DeviceSlot> slots, out bool isEnd)
    {
        int length = socket.Receive(packet, _descriptors, timeoutMs: 0);
        if (Phase == AttachPhase.Opening && _descriptors is [var only])
        {
            _offered = only; // its memory perhaps
            _descriptors.Clear();
        }

        try
        {
            return Handle(packet, length, slots, out isEnd);
        }
        finally
        {
            if (_offered is { } unasked)
            {
                _offered = null;
                _descriptors.Add(unasked);
            }

            DropDescriptors();
        }
    }

    string? Handle(byte[] packet, int length, IReadOnlyDictionary<string, DeviceSlot> slots, out bool isEnd)
    {
        isEnd = length == 0;
        if (length <= 0)
        {
            return null;
        }

        if (_foreignDescriptors + _descriptors.Count > limits.ForeignDescriptors)
        {
            return $"more than {limits.ForeignDescriptors} descriptors that nobody asked for";
        }

        return _messages.TryTake(SupervisionLoop.NowMs)
            ? Handle(packet.AsSpan(0, length), slots)
            : $"more than {limits.MessagesPerSecond} messages a second";
    }

    void DropDescriptors()
    {
        _foreignDescriptors += _descriptors.Count;
        foreach (SafeFileHandle descriptor in _descriptors)
        {
            descriptor.Dispose();
        }

        _descriptors.Clear();
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

        switch (message)
        {
            case HelloMessage hello when Phase == AttachPhase.Greeting:
                return OnHello(hello, slots);
            case ReadyMessage ready when Phase == AttachPhase.Opening:
                return OnReady(ready);
            case FailedMessage failed when Phase == AttachPhase.Opening:
                HasFailed = true;
                Process?.OnFailed(failed.Message);
                _served.TrySetResult(failed.Message);
                return null;
            case FreeKeptMessage kept when Link is not null:
                if (kept.Region < 0 || kept.Region >= Links.Count)
                {
                    return $"freed ids of region {kept.Region}; its regions are 0 to {Links.Count - 1}";
                }

                Slot!.FreeKept(Links, kept.Region, kept.Ids);
                return null;
            case SizeMessage size when Link is { } link:
                if (size.SizeBytes <= 0 || size.SizeBytes % Slot!.BlockSize != 0)
                {
                    return $"a size of {size.SizeBytes} bytes, which is not a positive multiple of the block size of {Slot!.BlockSize}";
                }

                Slot.Resize(link, size.SizeBytes);
                return null;
            case ReadyMessage or FailedMessage when Phase == AttachPhase.Leaving && Link is null:
                return null; // it was under way when the handler was told to go
            case HelloMessage or ReadyMessage or FailedMessage or FreeKeptMessage or SizeMessage:
                return "a message out of its order";
            default:
                return null; // types of later versions are ignored
        }
    }

    string? OnHello(HelloMessage hello, IReadOnlyDictionary<string, DeviceSlot> slots)
    {
        if (hello.Version != AttachMessage.ProtocolVersion)
        {
            return $"version {hello.Version} of the attach protocol; this engine speaks version {AttachMessage.ProtocolVersion}";
        }

        if (string.IsNullOrEmpty(hello.Device) || !slots.TryGetValue(hello.Device, out DeviceSlot? slot))
        {
            const int Shown = 16;
            string others = slots.Count > Shown ? $" and {slots.Count - Shown} more" : "";
            return $"there is no device '{hello.Device}'; there are: {string.Join(", ", slots.Keys.Take(Shown))}{others}";
        }

        HandlerName = hello.Handler;
        return slot.Greet(this, hello);
    }

    /// <summary>It waits for the device to be free, for as long as that takes.</summary>
    public void Park(DeviceSlot slot)
    {
        Slot = slot;
        Phase = AttachPhase.Waiting;
        DueMs = long.MaxValue;
    }

    /// <summary>The device is its own to open.</summary>
    /// <exception cref="LinuxException">It is gone, or does not read.</exception>
    public void Admit(DeviceSlot slot)
    {
        Slot = slot;
        Phase = AttachPhase.Opening;
        DueMs = SupervisionLoop.NowMs + limits.ReadyMs;
        Send(new DeviceMessage
        {
            Device = slot.Options.DeviceName,
            Serial = slot.Serial,
            Config = slot.Options.Config,
            Level = slot.Options.Level switch { PassLevel.Io => ReadyMessage.LevelIo, PassLevel.All => ReadyMessage.LevelAll, _ => "" },
            Identity = slot.Identity,
            KeepSeconds = slot.KeepSeconds,
        }.ToBytes());
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

        if (Slot!.BlockSize is { } known && known != ready.BlockSize)
        {
            return $"block size {ready.BlockSize}; initiators know this device by {known}";
        }

        if (ready.Rings < 1)
        {
            return $"{ready.Rings} rings; one is the least";
        }

        int rings = Math.Min(ready.Rings, Math.Clamp(Slot.Rings, 1, RegionMessage.MaxRegions));
        if (rings < Slot.RingsInUse)
        {
            return $"{ready.Rings} rings; commands come to this device by {Slot.RingsInUse}, as to the handler before";
        }

        LunOptions options = Slot.Options;
        PassLevel level = options.Level ?? (ready.Level == ReadyMessage.LevelAll ? PassLevel.All : PassLevel.Io);
        HandlerMemory? ownMemory = TakeMemory(ready, level);
        string[] abilities = [.. HandlerLink.Abilities.Intersect(ready.Ring).Where(ability => ability != ReadyMessage.RingOwnMemory || ownMemory is not null)];
        List<HandlerLink> links = [];
        try
        {
            MakeLinks(links, rings, abilities, ownMemory);
            var regions = new RegionMessage { Regions = links.Count, MapBytes = links[0].Region.LengthBytes, Ring = abilities };
            socket.Send(regions.ToBytes(), [.. links.SelectMany(static link => link.Descriptors)], timeoutMs: 0);
        }
        catch (LinuxException)
        {
            links.ForEach(static link => link.Dispose());
            throw;
        }
        finally
        {
            ownMemory?.Dispose(); // each link has a share
        }

        Links = links;
        Phase = AttachPhase.Attached;
        DueMs = long.MaxValue;
        Since = DateTimeOffset.UtcNow;
        IsVolatile = ready.Features.Contains(ReadyMessage.FeatureVolatile);
        Slot.BlockSize = ready.BlockSize;
        Slot.OnAttached(this, links, Describe(ready), level);
        return null;
    }

    void MakeLinks(List<HandlerLink> links, int count, string[] abilities, HandlerMemory? ownMemory)
    {
        LunOptions options = Slot!.Options;
        while (links.Count < count)
        {
            HandlerMemory? share = ownMemory?.Share();
            try
            {
                links.Add(new HandlerLink(options.DeviceName, HandlerName, Pid, RingLayout.Create(options.CommandRingBytes, options.DataAreaBytes), abilities, share, links.Count));
            }
            catch (LinuxException)
            {
                share?.Dispose();
                throw;
            }
        }
    }

    /// <summary>Takes the memory that came with the message, if it may be used. At level all a handler answers more than reads, so there is no such thing.</summary>
    HandlerMemory? TakeMemory(ReadyMessage ready, PassLevel level)
    {
        if (!ready.Ring.Contains(ReadyMessage.RingOwnMemory))
        {
            return null;
        }

        SafeFileHandle? passed = _offered;
        _offered = null;
        HandlerMemory? taken = null;
        if (level == PassLevel.Io)
        {
            taken = HandlerMemory.TryTake(passed, ready.MemoryBytes, out string? refusal);
            MemoryRefusal = refusal;
        }

        if (taken is null)
        {
            passed?.Dispose();
        }

        return taken;
    }

    BlockDeviceInfo Describe(ReadyMessage ready)
    {
        var info = new BlockDeviceInfo
        {
            SizeBytes = ready.SizeBytes,
            BlockSize = ready.BlockSize,
            Features = FeaturesOf(ready.Features),
            Serial = Slot!.Serial,
            AtomicWriteBytes = Math.Max(0, ready.AtomicWriteBytes),
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
                ReadyMessage.FeatureFlush => BlockDeviceFeatures.Flush,
                ReadyMessage.FeatureUnmap => BlockDeviceFeatures.Unmap,
                ReadyMessage.FeatureWriteZeroes => BlockDeviceFeatures.WriteZeroes,
                ReadyMessage.FeatureExtents => BlockDeviceFeatures.Extents,
                ReadyMessage.FeatureResources => BlockDeviceFeatures.Resources,
                ReadyMessage.FeatureReadOnly => BlockDeviceFeatures.ReadOnly,
                _ => BlockDeviceFeatures.None,
            };
        }

        return features;
    }

    // ---- what it is told ----

    /// <summary>The reactor has taken it into service.</summary>
    public void OnServed() => _served.TrySetResult(null);

    /// <summary>The device goes away: the handler is to answer what it has and close.</summary>
    public void Remove()
    {
        Phase = AttachPhase.Leaving;
        TrySend(s_remove);
    }

    /// <summary>The engine stops for now: the handler is to answer what it has, let go, and attach again to the next engine.</summary>
    public void Release()
    {
        Phase = AttachPhase.Leaving;
        IsReleased = true;
        TrySend(s_release);
    }

    /// <summary>Tells the handler why it has to go.</summary>
    public void Refuse(string reason) => TrySend(new RefusedMessage { Message = reason }.ToBytes());

    /// <summary>Sends if the handler listens; one that does not is about to be closed anyway.</summary>
    void TrySend(byte[] message)
    {
        try
        {
            Send(message);
        }
        catch (LinuxException)
        {
            // It is gone, or does not read.
        }
    }

    /// <summary>Never waits: a handler that does not read what little it is sent has only itself to blame.</summary>
    void Send(byte[] message) => socket.Send(message, default, timeoutMs: 0);

    /// <summary>Ends its process at once, where it can be reached and is not this one.</summary>
    public void Kill()
    {
        try
        {
            if (Pid != Environment.ProcessId)
            {
                _watched?.Kill(Sigkill);
            }
        }
        catch (LinuxException)
        {
            // Not ours to kill: it loses its connection all the same.
        }
    }

    /// <summary>Closes the connection and tells everybody.</summary>
    public void Close(SupervisionLoop loop, string reason, bool byPeer)
    {
        loop.Unwatch(_socketWatch, socket.Descriptor);
        socket.Dispose();
        if (_watched is not null)
        {
            loop.Unwatch(_processWatch, _watched.Descriptor);
            _watched.Dispose();
        }

        _served.TrySetResult(reason);
        _closed.TrySetResult();
        Slot?.OnClosed(this, reason, byPeer);
    }
}
