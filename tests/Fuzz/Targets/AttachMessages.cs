using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Win32.SafeHandles;
using Scuse.Engine;
using Scuse.Engine.Backstores;
using Scuse.Engine.Reactors;
using Scuse.Engine.Supervision;
using Scuse.Fuzz.Running;
using Scuse.Linux;
using Scuse.Ring.Attach;
using Scuse.Target;

namespace Scuse.Fuzz.Targets;

/// <summary>A handler that sends what it likes to the attach socket: each packet is taken, ignored, or refused with a word, and what was promised for it is there.</summary>
/// <remarks>An input is the packets of one connection, one to a line.</remarks>
sealed class AttachMessages : FuzzTarget
{
    const string Device = "lun0";

    readonly Reactor _reactor = new("fuzz", 0, NullLogger.Instance);
    readonly AttachServer _server;
    readonly UserBackstore _backstore;
    readonly DeviceSlot _slot;
    readonly Dictionary<string, DeviceSlot> _slots;
    readonly byte[] _reply = new byte[AttachMessage.MaxBytes];
    readonly List<SafeFileHandle> _received = [];
    readonly SupervisionLimits _limits = new();
    string? _dropped;
    long _messages, _refusals, _attached, _noMessages;

    public AttachMessages()
    {
        var options = new LunOptions { Number = 0, Spec = "fuzz", DeviceName = Device, DataAreaBytes = 64 << 10, CommandRingBytes = 4096 };
        var memory = new DataMemory(1 << 30, _reactor.NowMs, _reactor.Post);
        _backstore = new UserBackstore(options, _reactor, NullLogger.Instance, (_, reason) => _dropped = reason, memory);
        _ = new UserBackstore(options, _reactor, NullLogger.Instance, (_, reason) => _dropped = reason, memory, first: _backstore);
        _ = new ScsiTarget("iqn.2026-11.example:fuzz", [new LogicalUnit(0, _backstore)]);
        _slot = new DeviceSlot(options, "iqn.2026-11.example:fuzz", _backstore, _reactor, rings: _backstore.All.Count);
        _slots = new Dictionary<string, DeviceSlot> { [Device] = _slot };
        _server = new AttachServer(Path.Combine(Path.GetTempPath(), $"scuse-fuzz-{Environment.ProcessId}.sock"), [_slot], NullLogger.Instance);
    }

    public override string Name => "attach-messages";

    public override int MaxInputBytes => 2048;

    public override IReadOnlyList<byte[]> Dictionary { get; } =
    [
        .. new[]
        {
            "\"type\":", "\"hello\"", "\"ready\"", "\"failed\"", "\"device\"", "\"region\"", "\"remove\"", "\"release\"", "\"freeKept\"", "\"refused\"", "\"version\":1", "\"device\":\"lun0\"",
            "\"handler\":", "\"replace\":true", "\"identity\":\"", "\"keepSeconds\":", "\"sizeBytes\":", "\"blockSize\":4096", "\"blockSize\":512", "\"level\":\"all\"", "\"features\":[", "\"ring\":[",
            "\"waitFlags\"", "\"tmr\"", "\"keepBuf\"", "\"flush\"", "\"unmap\"", "\"volatile\"", "\"readOnly\"", "\"product\":\"", "\"maxTransferBytes\":", "\"message\":\"", "\"ids\":[1,2]", "\"rings\":1", "\"rings\":2", "\"region\":0", "\"region\":1", "null", "true", "{}", "[]", "{",
            "}", "[", "]", ",", ":", "\"", "\\u0000", "\\ud800", "\\", "-1", "0", "1e400", "9223372036854775807", "9223372036854775808", "2147483647", "2147483648", "0.5", "\n", "\u00e9", "\ufeff", "/*", "//",
            "{\"type\":\"hello\",\"version\":1,\"device\":\"lun0\"}\n", "{\"type\":\"ready\",\"sizeBytes\":1048576}\n", "{\"type\":\"failed\",\"message\":\"no\"}\n",
            new string('[', 70), new string('x', 200),
        }.Select(System.Text.Encoding.UTF8.GetBytes),
        [0x00], [0xFF], [0xC3], [0xED, 0xA0, 0x80],
    ];

    public override void Reset()
    {
        // Each input is a connection of its own.
    }

    public override void Count()
    {
        Tally["messages"] = _messages;
        Tally["no messages"] = _noMessages;
        Tally["refused"] = _refusals;
        Tally["attached"] = _attached;
    }

    public override ulong Execute(ReadOnlySpan<byte> input)
    {
        (int first, int second) = Memory.SocketPair();
        using var handler = new SeqPacketSocket(new SafeFileHandle(first, ownsHandle: true));
        var socket = new SeqPacketSocket(new SafeFileHandle(second, ownsHandle: true));
        var session = new AttachSession(socket, _limits);
        session.Watch(_server.Loop, static () => { });
        _slot.BlockSize = null; // for this connection the device is a new one
        ulong reached = 0;
        string? refusal = null;
        while (!input.IsEmpty && refusal is null)
        {
            int end = input.IndexOf((byte)'\n');
            ReadOnlySpan<byte> packet = end < 0 ? input : input[..end];
            input = end < 0 ? default : input[(end + 1)..];
            if (packet.IsEmpty)
            {
                continue; // an empty packet is the connection's end
            }

            bool hadRegion = session.Link is not null;
            refusal = session.Handle(packet, _slots);
            Check(refusal is null || refusal.Length > 0, "refused without a word");
            reached |= refusal?.StartsWith("not a message", StringComparison.Ordinal) == true ? CountNoMessage() : ParseAlone(packet);
            Check(_slot.Session is null || _slot.Session == session, "the device has a session that was never there");
            reached |= CheckReplies(handler, expectRegion: session.Link is not null && !hadRegion);
            RunPosted();
            if (_dropped is { Length: > 0 })
            {
                break; // it broke a rule of the ring: nothing was kept that it gave back
            }

            Check(_backstore.IsAttached == session.Link is not null, "the logical unit has another handler than the connection");
        }

        Check(_dropped is null || (_dropped.Length > 0 && session.Link is not null && !_backstore.IsAttached), "a handler was given up that was not there, or without a word");
        reached |= _dropped is null ? 0 : 1ul << 61;
        _dropped = null;
        if (refusal is not null)
        {
            _refusals++;
            reached |= 1ul << 60;
            session.Refuse(refusal);
            Check(handler.Receive(_reply, descriptors: null, timeoutMs: 0) > 0, "the refusal cannot be sent");
        }

        session.Close(_server.Loop, "the input's end", byPeer: true);
        RunPosted();
        Check(session.Closed.IsCompleted && session.Served.IsCompleted, "somebody waits for a connection that is closed");
        Check(_slot.Session is null && !_backstore.IsAttached, "something is left of a connection that is closed");
        return reached;
    }

    // What the supervision and the reactor hand each other; neither has a thread here.
    void RunPosted()
    {
        _reactor.RunPosted();
        _server.Loop.RunPosted();
        _reactor.RunPosted();
    }

    ulong CountNoMessage()
    {
        _noMessages++;
        return 1;
    }

    // What parses also comes out as it went in.
    ulong ParseAlone(ReadOnlySpan<byte> packet)
    {
        AttachMessage message = AttachMessage.Parse(packet);
        _messages++;
        byte[] bytes = message.ToBytes();
        Check(AttachMessage.Parse(bytes).ToBytes().AsSpan().SequenceEqual(bytes), "a message is another one after writing and reading it");
        return message switch
        {
            HelloMessage hello => hello.Replace ? 1ul << 2 : 1ul << 3,
            ReadyMessage ready => 1ul << 4 | (ready.Ring.Length > 0 ? 1ul << 5 : 0) | (ready.Features.Length > 0 ? 1ul << 6 : 0),
            FailedMessage => 1ul << 7,
            DeviceMessage => 1ul << 8,
            RegionMessage => 1ul << 9,
            RemoveMessage => 1ul << 10,
            RefusedMessage => 1ul << 11,
            _ => 1ul << 12,
        };
    }

    ulong CheckReplies(SeqPacketSocket handler, bool expectRegion)
    {
        ulong reached = 0;
        bool sawRegion = false;
        for (int length; (length = handler.Receive(_reply, _received, timeoutMs: 0)) > 0;)
        {
            switch (AttachMessage.Parse(_reply.AsSpan(0, length)))
            {
                case DeviceMessage:
                    reached |= 1ul << 20;
                    break;
                case RegionMessage region:
                    Check(region.Regions is 1 or 2, "more regions than the device wants");
                    Check(_received.Count == region.Regions * RegionMessage.DescriptorsPerRegion, "a region without its three descriptors");
                    Check(region.MapBytes == FileRange.GetLength(_received[0]), "a region of another length than is told");
                    sawRegion = true;
                    _attached++;
                    reached |= 1ul << 21;
                    break;
                case var other:
                    Check(false, $"the target said {other}");
                    break;
            }

            foreach (SafeFileHandle descriptor in _received)
            {
                descriptor.Dispose();
            }

            _received.Clear();
        }

        Check(sawRegion == expectRegion, expectRegion ? "a region that the handler was not told of" : "a region that is not there");
        return reached;
    }

    public override void Dispose()
    {
        _server.Dispose();
        _reactor.Dispose();
        base.Dispose();
    }
}
