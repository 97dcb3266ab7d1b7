using System.Diagnostics;
using Scuse.Linux;
using Scuse.Ring;
using Scuse.Ring.Attach;
using Scuse.Scsi;
using Scuse.Serving;

namespace Scuse.Handlers.Tests;

/// <summary>A target's end of everything, in the test's own hands: attach socket, region, ring.</summary>
sealed class FakeTarget : IDisposable
{
    const int TimeoutMs = 10_000;
    const long OwnMemoryLimit = 1L << 30; // what a handler passes here
    const MailboxFlags Offered = MailboxFlags.OutOfOrder | MailboxFlags.ReadLength | MailboxFlags.TaskManagement;

    TempFolder? _folder;
    SeqPacketListener? _ownListener;
    readonly SeqPacketListener _listener;
    readonly MailboxFlags _flags;
    readonly RingLayout _layout = RingLayout.Create(64 * 1024 - RingAbi.MailboxBytes, 4 << 20);
    readonly MemFd _memory;
    readonly MappedRegion _region;
    readonly EventFd _toHandler = EventFd.Create();
    readonly EventFd _toTarget = EventFd.Create();
    readonly DataArea _data;
    readonly TargetRing _ring;
    readonly ExtentList _extents = new();
    readonly Dictionary<ushort, RingAnswer> _early = [];
    readonly Dictionary<ushort, byte[]> _senses = [];
    readonly List<Microsoft.Win32.SafeHandles.SafeFileHandle> _passed = [];
    MappedRegion? _ownMemory;
    bool _waitFlags;

    /// <param name="flags">What its mailbox offers.</param>
    /// <param name="path">Where it listens; null: in a folder of its own.</param>
    /// <param name="listener">Another's, where several devices are attached; then it has none of its own.</param>
    public FakeTarget(MailboxFlags flags = Offered, string? path = null, SeqPacketListener? listener = null)
    {
        _flags = flags;
        if (listener is null)
        {
            _folder = path is null ? new TempFolder() : null;
            _ownListener = listener = SeqPacketListener.Listen(path ?? _folder!["attach"]);
        }

        _listener = listener;
        _memory = MemFd.Create("fake target", _layout.RegionBytes);
        _region = MappedRegion.Map(_memory.Handle, _layout.RegionBytes);
        TargetRing.Format(_region.Address, _layout, flags);
        _ring = new TargetRing(_region.Address, _layout, flags) { OwnMemoryBytes = OwnMemoryLimit };
        _data = new DataArea(_layout);
    }

    /// <summary>Whether it uses the memory that a handler passes.</summary>
    public bool UsesOwnMemory { get; init; }

    /// <summary>The ends of the device's other regions: what is posted to one of them comes by its ring. The connection and all else is this one's.</summary>
    public IReadOnlyList<FakeTarget> Others { get; init; } = [];

    /// <summary>The memory that the handler has passed, mapped here; null when it has not.</summary>
    public MappedRegion? OwnMemory => _ownMemory;

    /// <summary>How much room that takes up.</summary>
    public long OwnMemoryAllocatedBytes => FileRange.GetAllocatedBytes(_passed[^1]);

    public string SocketPath => _listener.Path;

    public SeqPacketListener Listener => _listener;

    public StringWriter HandlerErrors { get; } = new();

    public SeqPacketSocket Socket { get; private set; } = null!;

    public HandlerHost Host { get; private set; } = null!;

    public HelloMessage? Hello { get; private set; }

    public ReadyMessage? Ready { get; private set; }

    /// <summary>The handler's run; its result is the exit code.</summary>
    public Task<int> Run { get; private set; } = Task.FromResult(-1);

    /// <summary>What a handler that is started with --replace rehearses with.</summary>
    public OpenDevice? Rehearsal { get; init; }

    /// <summary>One that passes so many regions, all listening at the same place.</summary>
    public static FakeTarget WithRegions(int count, MailboxFlags flags = Offered, string? path = null)
    {
        TempFolder? folder = path is null ? new TempFolder() : null;
        SeqPacketListener listener = SeqPacketListener.Listen(path ?? folder!["attach"]);
        return new FakeTarget(flags, listener: listener)
        {
            _ownListener = listener,
            _folder = folder,
            Others = [.. Enumerable.Range(1, count - 1).Select(_ => new FakeTarget(flags, listener: listener))],
        };
    }

    public void Start(Func<DeviceInfo, BlockHandler> open, params string[] args) =>
        Start((device, level, log) => new ValueTask<CommandServer>(Handler.Serve(open(device), device, level, log)), args);

    public void Start(Func<DeviceInfo, CommandHandler> open, params string[] args) =>
        Start((device, _, log) => new ValueTask<CommandServer>(Handler.Serve(open(device), device, log)), args);

    /// <summary>Starts a handler and goes through the handshake with it up to its ring.</summary>
    public FakeTarget Serve(Func<DeviceInfo, BlockHandler> open, DeviceMessage? device = null, bool waitFlags = true, params string[] args)
    {
        Start(open, args);
        Handshake(device, waitFlags);
        return this;
    }

    public FakeTarget Serve(Func<DeviceInfo, CommandHandler> open, params string[] args)
    {
        Start(open, args);
        Handshake(null, waitFlags: true);
        return this;
    }

    public void Handshake(DeviceMessage? device, bool waitFlags)
    {
        AcceptHello();
        Introduce(device, waitFlags);
    }

    /// <summary>Goes on with a handler that has said hello.</summary>
    public void Introduce(DeviceMessage? device = null, bool waitFlags = true)
    {
        Send(device ?? new DeviceMessage { Device = Hello!.Device, SizeBytes = 1 << 20, Serial = "TEST0001" });
        Ready = (ReadyMessage)Receive()!;
        if (_passed is [.., var passed])
        {
            Assert.True(MemFd.IsSealedAgainstShrinking(passed));
            _ownMemory = MappedRegion.MapReadOnly(passed, Ready.MemoryBytes);
        }

        GiveRegion(waitFlags);
    }

    /// <summary>Whether the handler has sent something, or closed.</summary>
    public bool CanReceive() => Socket.Receive(new byte[AttachMessage.MaxBytes], null, 0) >= 0;

    public void AcceptHello()
    {
        Socket = Wait(_listener.Accept);
        Hello = (HelloMessage)Receive()!;
    }

    /// <summary>Takes over a connection whose <c>hello</c> another target has read.</summary>
    public void Adopt(FakeTarget accepted)
    {
        (Socket, Hello) = (accepted.Socket, accepted.Hello);
        accepted.Socket = null!;
    }

    /// <summary>Whether somebody waits to be accepted; that one is turned away without a word.</summary>
    public bool TurnAway()
    {
        using SeqPacketSocket? socket = _listener.Accept();
        return socket is not null;
    }

    /// <summary>Is gone, as far as the handler can see: the connection and the listener are closed.</summary>
    public void Die()
    {
        _ownListener?.Dispose();
        Socket.Dispose();
    }

    /// <summary>Passes the region, and those of the others.</summary>
    public void GiveRegion(bool waitFlags, long? mapBytes = null, int? regions = null)
    {
        FakeTarget[] all = [this, .. Others];
        foreach (FakeTarget one in all)
        {
            (one._waitFlags, one._ownMemory) = (waitFlags, _ownMemory);
        }

        Socket.Send(
            new RegionMessage { MapBytes = mapBytes ?? _layout.RegionBytes, Ring = Abilities(), Regions = regions ?? all.Length }.ToBytes(),
            [.. all.SelectMany(static one => new[] { one._memory.Handle, one._toHandler.Handle, one._toTarget.Handle })]);
    }


    public void Send(AttachMessage message) => Socket.Send(message.ToBytes());

    /// <summary>The handler's next message; null when it has closed.</summary>
    public AttachMessage? Receive()
    {
        byte[] packet = new byte[AttachMessage.MaxBytes];
        int length = Socket.Receive(packet, _passed, TimeoutMs);
        return length switch
        {
            0 => null,
            < 0 => throw new TimeoutException("the handler sent nothing"),
            _ => AttachMessage.Parse(packet.AsSpan(0, length)),
        };
    }

    /// <summary>Posts a command; its data and answer are taken later.</summary>
    public PostedCommand Post(ReadOnlySpan<byte> cdb, ReadOnlySpan<byte> dataOut = default, int dataInLength = 0)
    {
        _extents.Clear();
        int length = dataOut.Length + dataInLength;
        Assert.True(_data.TryAllocate(length, _extents));
        DataExtent[] extents = _extents.AsSpan().ToArray();
        if (dataInLength > 0)
        {
            foreach (DataExtent extent in extents)
            {
                _region.Slice(extent.Offset, (int)extent.Length).Span.Fill(0xCC);
            }
        }
        else if (length > 0)
        {
            Copy(extents).CopyFrom(dataOut);
        }

        PostResult result = dataInLength > 0 ? _ring.TryPost(cdb, [], extents, out ushort id) : _ring.TryPost(cdb, extents, [], out id);
        Assert.Equal(PostResult.Posted, result);
        Show();
        return new PostedCommand(id, extents);
    }

    public void PostTaskManagement(byte type, params ushort[] ids)
    {
        Assert.True(_ring.TryPostTaskManagement(type, ids));
        Show();
    }

    /// <summary>Whether one command has been answered by now.</summary>
    public bool HasAnswerTo(PostedCommand posted)
    {
        while (_ring.TryReap(out RingAnswer answer))
        {
            _early[answer.Id] = answer;
            _senses[answer.Id] = new byte[RingAbi.SenseBytes];
            _ring.CopySense(_senses[answer.Id]);
        }

        return _early.ContainsKey(posted.Id);
    }

    /// <summary>Waits for the answer to one command; its memory is free then, unless it is said to be kept.</summary>
    public Answer Take(PostedCommand posted, bool free = true)
    {
        RingAnswer answer;
        while (!_early.Remove(posted.Id, out answer))
        {
            (RingAnswer next, byte[] sense) = TakeNext();
            _early[next.Id] = next;
            _senses[next.Id] = sense;
        }

        byte[] data = posted.Extents.Length == 0 ? [] : Copy(posted.Extents).ToArray();
        if (answer.Flags.HasFlag(ResponseFlags.OwnMemory))
        {
            Assert.True(UsesOwnMemory && !data.AsSpan().ContainsAnyExcept((byte)0xCC), "a place in memory that is not used, or data beside it");
            data = _ownMemory!.Slice(answer.Place, data.Length).ToArray();
        }

        if (free)
        {
            _data.Free(posted.Extents);
        }

        return new Answer((ScsiStatus)answer.Status, answer.Flags, answer.ReadLength, _senses[posted.Id], data);
    }

    public Answer Execute(ReadOnlySpan<byte> cdb, ReadOnlySpan<byte> dataOut = default, int dataInLength = 0) => Take(Post(cdb, dataOut, dataInLength));

    string[] Abilities() =>
        [.. (_waitFlags ? new[] { "waitFlags" } : []), .. (_flags.HasFlag(MailboxFlags.KeepBuffer) ? new[] { "keepBuf" } : []), .. (UsesOwnMemory && _ownMemory is not null ? new[] { "ownMemory" } : [])];

    /// <summary>How many answered commands are kept.</summary>
    public int Kept => _ring.Kept;

    /// <summary>The size that the handler says next.</summary>
    public long ReceiveSize() => ((SizeMessage)Receive()!).SizeBytes;

    /// <summary>Frees what the handler's next message names.</summary>
    public ushort[] FreeKept() => FreeKept(out _);

    public ushort[] FreeKept(out int region)
    {
        var message = (FreeKeptMessage)Receive()!;
        region = message.Region;
        foreach (ushort id in message.Ids)
        {
            (region == 0 ? this : Others[region - 1])._ring.ReleaseKept(id);
        }

        return message.Ids;
    }

    /// <summary>Whether an answer is there by now.</summary>
    public bool HasAnswer => _ring.HasAnswers;

    public string? Violation => _ring.Violation;

    /// <summary>Reads from the device, block by block of 512, in one READ(16).</summary>
    public Answer Read(long lba, int blocks)
    {
        byte[] cdb = new byte[16];
        int length = Cdb.WriteRead16(cdb, (ulong)lba, (uint)blocks);
        return Execute(cdb.AsSpan(0, length), dataInLength: blocks * 512);
    }

    public Answer Write(long lba, byte[] data, bool fua = false)
    {
        byte[] cdb = new byte[16];
        cdb[0] = OperationCode.Write16;
        cdb[1] = (byte)(fua ? 0x08 : 0);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt64BigEndian(cdb.AsSpan(2), (ulong)lba);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(cdb.AsSpan(10), (uint)(data.Length / 512));
        return Execute(cdb, data);
    }

    /// <summary>Runs many READ(16) of 8 blocks with 16 under way, without allocating; returns how many were GOOD.</summary>
    public int ReadMany(int count)
    {
        const int depth = 16, blocks = 8;
        Span<byte> cdb = stackalloc byte[16];
        int length = Cdb.WriteRead16(cdb, 0, blocks);
        cdb = cdb[..length];
        Span<DataExtent> extents = stackalloc DataExtent[1];
        int posted = 0, good = 0, underWay = 0;
        long lastAnswer = Environment.TickCount64;
        while (posted < count || underWay > 0)
        {
            Assert.True(Environment.TickCount64 - lastAnswer < TimeoutMs, $"no answer any more after {posted - underWay}");
            while (posted < count && underWay < depth)
            {
                extents[0] = new DataExtent(_layout.DataOffset + (posted % depth * 4096L), blocks * 512);
                Assert.Equal(PostResult.Posted, _ring.TryPost(cdb, [], extents, out _));
                posted++;
                underWay++;
            }

            Show();
            while (_ring.TryReap(out RingAnswer answer))
            {
                underWay--;
                lastAnswer = Environment.TickCount64;
                good += answer.Status == 0 ? 1 : 0;
            }

            Processor.Yield();
        }

        return good;
    }

    /// <summary>Makes its region one without a ring.</summary>
    public void EraseMailbox() => _region.Slice(0, RingAbi.MailboxBytes).Span.Clear();

    /// <summary>Writes a command head that lies outside the ring.</summary>
    public void BreakRing()
    {
        BitConverter.TryWriteBytes(_region.Slice(RingAbi.CommandHeadOffset, 4).Span, 0x7FFF_FFF8);
        _toHandler.Signal();
    }

    public void RemoveDevice() => Send(new RemoveMessage());

    public void ReleaseDevice() => Send(new ReleaseMessage());

    /// <summary>Goes on with the handler that another target started.</summary>
    public FakeTarget InheritFrom(FakeTarget other)
    {
        (Run, Host) = (other.Run, other.Host);
        return this;
    }

    public async Task<int> ExitCode() => await Run.WaitAsync(TimeSpan.FromMilliseconds(TimeoutMs));

    public void Dispose()
    {
        Socket?.Dispose();
        Run.Wait(TimeoutMs);
        foreach (FakeTarget other in Others)
        {
            other.Dispose();
        }

        _ownListener?.Dispose();
        _region.Dispose();
        _memory.Dispose();
        _toHandler.Dispose();
        _toTarget.Dispose();
        _folder?.Dispose();
        _ownMemory?.Dispose();
        _passed.ForEach(static passed => passed.Dispose());
    }

    void Start(OpenDevice open, string[] args)
    {
        string[] device = args.Contains("--device") ? [] : ["--device", "disk"];
        HandlerOptions options = HandlerOptions.Parse(["--socket", SocketPath, .. device, .. args], _ => null);
        Host = new HandlerHost(options, open, HandlerErrors) { Rehearsal = Rehearsal };
        Run = Task.Run(async () =>
        {
            using (Host)
            {
                return await Host.RunAsync();
            }
        });
    }

    void Show()
    {
        if (_ring.Publish() && _ring.HandlerWantsDoorbell(_waitFlags))
        {
            _toHandler.Signal();
        }
    }

    (RingAnswer Answer, byte[] Sense) TakeNext()
    {
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            if (_ring.TryReap(out RingAnswer answer))
            {
                byte[] sense = new byte[RingAbi.SenseBytes];
                _ring.CopySense(sense);
                return (answer, sense);
            }

            Assert.Null(_ring.Violation);
            if (Stopwatch.GetElapsedTime(start).TotalMilliseconds > TimeoutMs)
            {
                throw new TimeoutException($"no answer; the handler said: {HandlerErrors}");
            }

            Processor.Yield();
        }
    }

    DataBuffer Copy(DataExtent[] extents)
    {
        Memory<byte>[] pieces = [.. extents.Select(extent => _region.Slice(extent.Offset, (int)extent.Length))];
        return new DataBuffer(pieces, pieces.Length, pieces.Sum(piece => piece.Length));
    }

    static T Wait<T>(Func<T?> poll)
        where T : class
    {
        long start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start).TotalMilliseconds < TimeoutMs)
        {
            if (poll() is { } result)
            {
                return result;
            }

            Thread.Sleep(1);
        }

        throw new TimeoutException("nothing came");
    }
}

sealed record PostedCommand(ushort Id, DataExtent[] Extents);

sealed record Answer(ScsiStatus Status, ResponseFlags Flags, uint ReadLength, byte[] Sense, byte[] Data)
{
    /// <summary>Key, ASC and ASCQ as <c>03/11/00</c>.</summary>
    public string SenseText => $"{Sense[2] & 0xF:X2}/{Sense[12]:X2}/{Sense[13]:X2}";
}
