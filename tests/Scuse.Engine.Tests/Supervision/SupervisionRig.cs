using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;
using Scuse.Engine.Backstores;
using Scuse.Engine.Reactors;
using Scuse.Engine.Supervision;
using Scuse.Linux;
using Scuse.Ring;
using Scuse.Ring.Attach;
using Scuse.Scsi;
using Scuse.Target;
using Scuse.Target.Tests;

namespace Scuse.Engine.Tests;

/// <summary>
/// Logical units with their attach server and, where there is something to launch, their supervisor. Handlers are the test's own, over the real socket; the
/// processes that the supervisor starts are shells that leave a mark and sleep.
/// </summary>
sealed class SupervisionRig : IAsyncDisposable
{
    public const int WaitMs = 10_000;
    const string TargetName = "iqn.2026-11.example:t";

    /// <summary>Deadlines for tests: those that a test waits for are short, those that must not pass on a busy machine are not.</summary>
    public static readonly SupervisionLimits Patient = new() { DrainMs = 20_000, RemoveMs = 20_000, KillMs = 2_000 };

    readonly string _folder = Directory.CreateTempSubdirectory("scuse-supervision-").FullName;
    readonly UserBackstore[] _backstores;
    readonly ScsiTarget _target;
    Initiator? _initiator;

    public SupervisionRig(int devices = 1, bool launches = false, string? pool = null, int keepSeconds = 0, SupervisionLimits? limits = null, string? script = null, HandlerLossPolicy onLoss = HandlerLossPolicy.Hold)
    {
        SocketPath = Path.Combine(_folder, "attach.sock");
        Launch = launches ? Shell(script ?? "mark first; exec sleep 1000") : null;
        LunOptions[] luns = [.. Enumerable.Range(0, devices).Select(number => new LunOptions
        {
            Number = number,
            Spec = "test",
            DeviceName = Name(number),
            DataAreaBytes = 1 << 20,
            Pool = pool,
            Launch = Launch,
            CommandTimeoutMs = 0,
            OnHandlerLoss = onLoss,
        })];
        var memory = new DataMemory(4L << 30, Reactor.NowMs, Reactor.Post);
        _backstores = [.. luns.Select(lun => new UserBackstore(lun, Reactor, Logger, (link, reason) => Server!.Drop(link, reason), memory))];
        _target = new ScsiTarget(TargetName, [.. _backstores.Select((backstore, number) => new LogicalUnit(number, backstore))]);
        Slots = [.. luns.Select((lun, i) => new DeviceSlot(lun, TargetName, _backstores[i], Reactor, keepSeconds))];
        Server = new AttachServer(SocketPath, Slots, Logger, limits ?? Patient);
        Supervisor = launches ? new HandlerSupervisor(Slots, Server) : null;
        Reactor.Start();
        Server.Start();
    }

    public string SocketPath { get; }

    public HandlerLaunch? Launch { get; }

    public Reactor Reactor { get; } = new("test", 0, Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance);

    public IReadOnlyList<DeviceSlot> Slots { get; }

    public AttachServer Server { get; }

    public HandlerSupervisor? Supervisor { get; }

    public TestLog Logger { get; } = new();

    public static string Name(int device) => string.Create(CultureInfo.InvariantCulture, $"lun{device}");

    /// <summary>A shell script as a handler's process; <c>mark NAME</c> writes the name and the devices it is to serve to the marks.</summary>
    public HandlerLaunch Shell(string script) => new("/bin/sh", ["-c", $"mark() {{ echo \"$1 $SCUSE_DEVICE ${{SCUSE_REPLACE:-0}}\" >> {_folder}/marks; }}; {script}"]);

    /// <summary>What processes have left: one line for each.</summary>
    public string[] Marks => File.Exists($"{_folder}/marks") ? File.ReadAllLines($"{_folder}/marks") : [];

    /// <summary>The processes that were started for this rig and have not ended.</summary>
    public int[] RunningProcesses() => RunningProcesses(SocketPath);

    /// <summary>The processes that were told this socket and have not ended.</summary>
    public static int[] RunningProcesses(string socketPath)
    {
        return [.. Directory.GetDirectories("/proc").Select(Path.GetFileName).Where(static name => name!.All(char.IsAsciiDigit)).Select(static name => int.Parse(name!, null)).Where(IsOurs)];

        bool IsOurs(int pid)
        {
            try
            {
                return File.ReadAllText($"/proc/{pid}/environ").Contains($"={socketPath}\0", StringComparison.Ordinal)
                    && !File.ReadAllText($"/proc/{pid}/stat").Contains(") Z", StringComparison.Ordinal);
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                return false;
            }
        }
    }

    /// <summary>Waits for so many processes.</summary>
    public async Task<string[]> MarksAsync(int count)
    {
        await UntilAsync(() => Marks.Length >= count, $"{count} processes");
        return Marks;
    }

    public FakeHandler Connect() => new(SocketPath);

    /// <summary>A handler that attaches to a device and is served.</summary>
    public async Task<FakeHandler> AttachAsync(int device = 0, string hello = "", string ready = "")
    {
        FakeHandler handler = Connect();
        handler.Hello(Name(device), hello);
        handler.ExpectDevice();
        handler.Ready(ready);
        handler.ExpectRegion();
        await UntilAsync(() => State(device).Handler is { Phase: AttachPhase.Attached } && IsAttached(device), $"device {device} attached");
        return handler;
    }

    public bool IsAttached(int device = 0) => OnReactor(() => _backstores[device].IsAttached);

    public HandlerState State(int device = 0) => OnSupervision(Slots[device].ToState);

    /// <summary>An initiator's read of one block of device 0; it goes to the handler, once there is one.</summary>
    public ScsiTask Read(uint lba) => OnReactor(() => (_initiator ??= new Initiator(_target)).Send(Cdbs.Read10(lba, 1), dataIn: 512));

    /// <summary>How the commands that are over have ended.</summary>
    public string[] Outcomes => _initiator is null ? [] : OnReactor(() => _initiator.Completed.Select(Initiator.OutcomeOf).ToArray());

    public Task WaitForOutcomesAsync(int count) => UntilAsync(() => Outcomes.Length >= count, $"{count} commands ended");

    public T OnReactor<T>(Func<T> ask)
    {
        T answer = default!;
        Assert.True(Reactor.InvokeAsync(() => answer = ask()).Wait(WaitMs), "the reactor does not answer");
        return answer;
    }

    public T OnSupervision<T>(Func<T> ask)
    {
        Task<T> answer = Server.Loop.InvokeAsync(() => Task.FromResult(ask()));
        Assert.True(answer.Wait(WaitMs), "supervision does not answer");
        return answer.Result;
    }

    public static async Task UntilAsync(Func<bool> condition, string what)
    {
        for (long deadline = Environment.TickCount64 + WaitMs; !condition(); await Task.Delay(5))
        {
            Assert.True(Environment.TickCount64 < deadline, $"waited in vain for: {what}");
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (Supervisor is not null)
        {
            await Supervisor.StopAsync(deadlineMs: 0);
        }

        Server.Dispose();
        Reactor.Stop();
        Reactor.Dispose();
        Directory.Delete(_folder, recursive: true);
    }
}

/// <summary>What was logged.</summary>
sealed class TestLog : ILogger
{
    readonly ConcurrentQueue<string> _lines = new();

    public IReadOnlyCollection<string> Lines => _lines;

    public bool Has(string text) => _lines.Any(line => line.Contains(text, StringComparison.Ordinal));

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        _lines.Enqueue($"{formatter(state, exception)}{exception}");
}

/// <summary>A handler's end of one connection, worked by hand.</summary>
sealed class FakeHandler(string path) : IDisposable
{
    readonly SeqPacketSocket _socket = SeqPacketSocket.Connect(path);
    readonly byte[] _packet = new byte[AttachMessage.MaxBytes];
    MappedRegion? _region;
    HandlerRing? _ring;
    EventFd? _doorbell;

    public DeviceMessage? Device { get; private set; }

    public void Send(string message) => _socket.Send(Encoding.UTF8.GetBytes(message));

    public void Hello(string device, string more = "") => Send($$"""{"type":"hello","device":"{{device}}"{{more}}}""");

    public void Ready(string more = "") => Send($$"""{"type":"ready","sizeBytes":1048576{{more}}}""");

    public AttachMessage? Receive(int timeoutMs = SupervisionRig.WaitMs, List<SafeFileHandle>? descriptors = null)
    {
        int length = _socket.Receive(_packet, descriptors, timeoutMs);
        return length > 0 ? AttachMessage.Parse(_packet.AsSpan(0, length)) : null;
    }

    public void ExpectDevice() => Device = Expect<DeviceMessage>();

    public void ExpectRegion()
    {
        List<SafeFileHandle> descriptors = [];
        var message = Assert.IsType<RegionMessage>(Receive(descriptors: descriptors));
        _region = MappedRegion.Map(descriptors[0], message.MapBytes);
        _ring = new HandlerRing(_region.Address, _region.LengthBytes);
        _doorbell = EventFd.FromHandle(descriptors[2]);
        descriptors[0].Dispose();
        descriptors[1].Dispose();
    }

    public T Expect<T>()
        where T : AttachMessage
    {
        AttachMessage? message = Receive();
        return message as T ?? throw new InvalidOperationException($"not {typeof(T).Name} but {message?.ToString() ?? "the end, or nothing"}");
    }

    public void ExpectRefusal(string reason)
    {
        Assert.Contains(reason, Expect<RefusedMessage>().Message, StringComparison.Ordinal);
        ExpectEnd();
    }

    public void ExpectEnd() => Assert.Equal(0, _socket.Receive(_packet, null, SupervisionRig.WaitMs));

    /// <summary>Nothing has come, and nothing comes for a while.</summary>
    public void ExpectNothing(int forMs = 100) => Assert.Equal(-Errno.EAGAIN, _socket.Receive(_packet, null, forMs));

    /// <summary>Waits for commands, and takes them.</summary>
    public async Task<List<HandlerCommand>> TakeAsync(int count)
    {
        List<HandlerCommand> taken = [];
        await SupervisionRig.UntilAsync(() =>
        {
            taken.AddRange(TakeAll());
            return taken.Count >= count;
        }, $"{count} commands");
        return taken;
    }

    public List<HandlerCommand> TakeAll()
    {
        List<HandlerCommand> taken = [];
        for (var command = new HandlerCommand(); _ring!.TryTake(command); command = new HandlerCommand())
        {
            taken.Add(command);
        }

        return taken;
    }

    public void Answer(params IEnumerable<HandlerCommand> commands)
    {
        foreach (HandlerCommand command in commands)
        {
            _ring!.Answer(command.Id, (byte)ScsiStatus.Good, sense: default);
        }

        _ring!.Publish();
        _doorbell!.Signal();
    }

    /// <summary>Answers what comes until it is told to go, as a handler does.</summary>
    public void AnswerUntilRemoved(Action<HandlerCommand>? seen = null)
    {
        for (long deadline = Environment.TickCount64 + SupervisionRig.WaitMs; ;)
        {
            AttachMessage? message = Receive(timeoutMs: 5);
            List<HandlerCommand> taken = TakeAll();
            taken.ForEach(command => seen?.Invoke(command));
            Answer(taken);
            if (message is RemoveMessage)
            {
                return;
            }

            Assert.True(message is null && Environment.TickCount64 < deadline, $"not told to go, but {message?.ToString() ?? "nothing"}");
        }
    }

    /// <summary>Moves the tail to where no entry is.</summary>
    public void Lie()
    {
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32LittleEndian(_region!.Slice(RingAbi.CommandTailOffset, sizeof(uint)).Span, 12345);
        _doorbell!.Signal();
    }

    public void Dispose()
    {
        _socket.Dispose();
        _region?.Dispose();
        _doorbell?.Dispose();
    }
}
