using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Win32.SafeHandles;
using Scuse.Device;
using Scuse.Engine.Backstores;
using Scuse.Engine.Reactors;
using Scuse.Linux;
using Scuse.Ring;
using Scuse.Target;
using Scuse.Target.Tests;

namespace Scuse.Engine.Tests;

/// <summary>A logical unit over a user backstore whose handlers are the test's own, at the other end of real regions. No thread runs.</summary>
sealed class Disk : IDisposable
{
    public const int BlockSize = 512;
    public const int DataAreaBytes = 64 << 10;

    readonly List<HandlerLink> _links = [];

    public Disk(int commandRingBytes = 4096, int commandTimeoutMs = 1000, int queueFullTimeoutMs = -1, HandlerLossPolicy onLoss = HandlerLossPolicy.Hold,
        bool allowStaleDataIn = false, long globalDataAreaBytes = 1 << 30, Disk? beside = null)
    {
        Options = new LunOptions
        {
            Number = 0,
            Spec = "test",
            DeviceName = "test",
            DataAreaBytes = DataAreaBytes,
            CommandRingBytes = commandRingBytes,
            CommandTimeoutMs = commandTimeoutMs,
            QueueFullTimeoutMs = queueFullTimeoutMs,
            OnHandlerLoss = onLoss,
            AllowStaleDataIn = allowStaleDataIn,
        };
        Reactor = beside?.Reactor ?? new Reactor("test", 0, NullLogger.Instance);
        Memory = beside?.Memory ?? new DataMemory(globalDataAreaBytes, Reactor.NowMs, Reactor.Post);
        Backstore = new UserBackstore(Options, Reactor, NullLogger.Instance, (_, reason) => Dropped.Add(reason), Memory);
        Target = new ScsiTarget("iqn.2026-11.example:t", [new LogicalUnit(0, Backstore) { CommandTimeoutMs = commandTimeoutMs }]);
        Initiator = new Initiator(Target);
    }

    public LunOptions Options { get; }

    public Reactor Reactor { get; }

    public DataMemory Memory { get; }

    public UserBackstore Backstore { get; }

    public ScsiTarget Target { get; }

    public Initiator Initiator { get; }

    public List<string> Dropped { get; } = [];

    /// <summary>A handler attaches that has passed memory of its own.</summary>
    public TestHandler AttachWithMemory(MemFd memory)
    {
        SafeFileHandle passed = File.OpenHandle($"/proc/self/fd/{memory.Handle.DangerousGetHandle()}", FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        HandlerMemory own = HandlerMemory.TryTake(passed, memory.LengthBytes, out string? refusal)!;
        Assert.Null(refusal);
        return Attach(new HandlerLink("test", "test", pid: 1, RingLayout.Create(Options.CommandRingBytes, Options.DataAreaBytes), [], own), 1 << 20, PassLevel.Io);
    }

    /// <summary>A handler attaches with a fresh region.</summary>
    public TestHandler Attach(long sizeBytes = 1 << 20, PassLevel level = PassLevel.Io, params string[] abilities)
    {
        return Attach(new HandlerLink("test", "test", pid: 1, RingLayout.Create(Options.CommandRingBytes, Options.DataAreaBytes), abilities), sizeBytes, level);
    }

    /// <summary>A handler of a thin disk attaches.</summary>
    public TestHandler AttachThin() =>
        Attach(new HandlerLink("test", "test", pid: 1, RingLayout.Create(Options.CommandRingBytes, Options.DataAreaBytes), []), 1 << 20, PassLevel.Io, BlockDeviceFeatures.Flush | BlockDeviceFeatures.Unmap);

    TestHandler Attach(HandlerLink link, long sizeBytes, PassLevel level, BlockDeviceFeatures features = BlockDeviceFeatures.Flush)
    {
        _links.Add(link);
        Backstore.Attach(link, new BlockDeviceInfo { SizeBytes = sizeBytes, BlockSize = BlockSize, Serial = "0123", Features = features }, level);
        return new TestHandler(link);
    }

    public void Dispose() => Reactor.Dispose();
}

/// <summary>The handler's end of a link, worked by hand.</summary>
sealed class TestHandler(HandlerLink link)
{
    readonly HandlerRing _ring = new(link.Region.Address, link.Region.LengthBytes);

    public HandlerLink Link => link;

    /// <summary>Every command that has been published and not been taken.</summary>
    public List<HandlerCommand> TakeAll()
    {
        link.Publish();
        List<HandlerCommand> taken = [];
        for (var command = new HandlerCommand(); _ring.TryTake(command); command = new HandlerCommand())
        {
            taken.Add(command);
        }

        return taken;
    }

    /// <summary>Takes the one command there is, and allocates nothing.</summary>
    public void Take(HandlerCommand into)
    {
        link.Publish();
        Assert.True(_ring.TryTake(into));
    }

    public HandlerCommand TakeOne() => Assert.Single(TakeAll());

    /// <summary>The bytes of a command's first extent.</summary>
    public Span<byte> Data(HandlerCommand command) => link.Region.Slice(command.Data[0].Offset, (int)command.Data[0].Length).Span;

    public void Answer(HandlerCommand command, byte status = 0, byte[]? sense = null, ResponseFlags flags = ResponseFlags.None, uint readLength = 0)
    {
        AnswerWithoutReaping(command, status, sense, flags, readLength);
        link.Reap();
    }

    public void AnswerWithoutReaping(HandlerCommand command, byte status = 0, byte[]? sense = null, ResponseFlags flags = ResponseFlags.None, uint readLength = 0)
    {
        _ring.Answer(command.Id, status, sense, flags, readLength);
        _ring.Publish();
    }

    public void AnswerFromOwnMemory(HandlerCommand command, long place)
    {
        _ring.AnswerFromOwnMemory(command.Id, place);
        _ring.Publish();
        link.Reap();
    }

    /// <summary>Moves the tail to where no entry is.</summary>
    public void Lie()
    {
        Span<byte> tail = link.Region.Slice(RingAbi.CommandTailOffset, sizeof(uint)).Span;
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32LittleEndian(tail, 12345);
        link.Reap();
    }
}
