using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using Scuse.Device;
using Scuse.Engine.Backstores;
using Scuse.Engine.Reactors;
using Scuse.Engine.Targets;
using Scuse.Ring.Attach;
using Scuse.Target;

namespace Scuse.Engine.Supervision;

/// <summary>A device that a handler can attach to: joins the attach server, the backstore and the supervisor of one logical unit.</summary>
/// <remarks>Touched by the supervision thread; what concerns commands is handed on to the reactor.</remarks>
sealed class DeviceSlot
{
    readonly UserBackstore _backstore;
    readonly Reactor _reactor;
    bool _isDrained;
    long _drainedAt; // the reactor's until it has said that the drain has begun
    int _replacements;
    string? _lastEnding;
    DateTimeOffset? _lastEndingAt;

    public DeviceSlot(LunOptions options, string targetName, UserBackstore backstore, Reactor reactor, int keepSeconds = 0, int rings = 1)
    {
        Options = options;
        TargetName = targetName;
        KeepSeconds = keepSeconds;
        Rings = rings;
        _backstore = backstore;
        _reactor = reactor;
        Serial = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{targetName}/{options.Number}")).AsSpan(0, 8));
        Identity = IdentityOf(options, targetName);
    }

    public LunOptions Options { get; }

    /// <summary>What lines for people call the logical unit.</summary>
    public LunName Name => _backstore.Name;

    /// <summary>What lines for people call the devices that one process serves: a logical unit, or a pool.</summary>
    public static string NameOf(IReadOnlyList<DeviceSlot> slots) => slots is [var only] ? only.Name.ToString() : slots[0].Name.OfPool(slots[0].Options.Pool!);

    /// <summary>Its target.</summary>
    public string TargetName { get; }

    /// <summary>
    /// The unit serial number: made of the target's name and the logical unit number, so that it survives restarts and differs between engines.
    /// </summary>
    public string Serial { get; }

    /// <summary>Names the device as it is configured: a handler that an engine left running is taken over only by one that wants the same of it.</summary>
    public string Identity { get; }

    /// <summary>How long a handler stays when the engine is gone.</summary>
    public int KeepSeconds { get; }

    /// <summary>How many regions, each with a ring of its own, a handler is given; fewer if it takes fewer.</summary>
    public int Rings { get; }

    /// <summary>How many rings its handlers have had; commands may wait for each of them, so the next one may not have fewer.</summary>
    public int RingsInUse { get; private set; } = 1;

    /// <summary>The server that its handlers come through.</summary>
    public AttachServer? Server { get; set; }

    /// <summary>The handler's connection; null while there is none.</summary>
    public AttachSession? Session { get; private set; }

    /// <summary>The connection of the one who is to take its place; while there is one, nobody else is let in.</summary>
    public AttachSession? Successor { get; private set; }

    /// <summary>The block size that initiators have seen; it cannot change under them.</summary>
    public int? BlockSize { get; set; }

    /// <summary>The one who starts the handler; null when somebody else does.</summary>
    public HandlerSupervisor? Supervisor { get; set; }

    /// <summary>Whether commands are under way that a handler will answer; those that wait for one to attach would wait too long. For the reactor's thread.</summary>
    public bool IsBusy => _backstore.IsAttached && _backstore.LogicalUnit.TaskCount > 0;

    static string IdentityOf(LunOptions options, string targetName)
    {
        string[] parts =
        [
            targetName, $"{options.Number}", options.DeviceName, options.Pool is { } pool ? $"pool {pool}" : "", options.Config,
            .. options.Launch is { } launch ? [launch.Program, .. launch.Arguments] : Array.Empty<string>(),
        ];
        string text = string.Concat(parts.Select(static part => $"{part.Length}:{part},")); // no two lists give the same text
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)).AsSpan(0, 12));
    }

    // ---- a handler's connection ----

    /// <summary>A handler says hello. Returns why it is refused, or null.</summary>
    public string? Greet(AttachSession session, HelloMessage hello)
    {
        if (hello.Identity.Length > 0 && hello.Identity != Identity)
        {
            return $"device '{Options.DeviceName}' is configured otherwise now";
        }

        if (Successor is { } successor)
        {
            return $"device '{Options.DeviceName}' is being taken over by process {successor.Pid}";
        }

        if (Session is { } other && !hello.Replace)
        {
            return $"device '{Options.DeviceName}' has a handler already, process {other.Pid}";
        }

        if (Supervisor?.Claim(this, session, hello) is { } refusal)
        {
            return refusal;
        }

        return Session is null ? Admit(session) : Park(session);
    }

    string? Admit(AttachSession session)
    {
        Session = session;
        session.Admit(this);
        session.Process?.OnGreeted(Supervisor!.DeviceCount);
        return null;
    }

    string? Park(AttachSession session)
    {
        if (Supervisor is null && Session!.IsVolatile)
        {
            return $"what was written to device '{Options.DeviceName}' would be gone with its handler, process {Session.Pid}";
        }

        Successor = session;
        session.Park(this);
        if (session.Process is { } process)
        {
            process.OnGreeted(Supervisor!.DeviceCount);
        }
        else
        {
            Server!.Loop.Forget(HandOver.RunAsync(Server, [this])); // somebody else started it: it does the same by itself
        }

        return null;
    }

    /// <summary>The handler has its regions.</summary>
    public void OnAttached(AttachSession session, IReadOnlyList<HandlerLink> links, BlockDeviceInfo info, PassLevel level)
    {
        bool wasDrained = _isDrained && Successor is null; // one that was slow to come, and is to go already, gets nothing more
        _isDrained &= !wasDrained;
        RingsInUse = links.Count;
        _reactor.Post(() =>
        {
            _backstore.Attach(links, info, level); // which ends a drain
            TimeSpan pause = wasDrained ? Stopwatch.GetElapsedTime(_drainedAt) : default;
            Server!.Loop.Post(() =>
            {
                if (wasDrained)
                {
                    Pause = pause;
                }

                session.OnServed();
                Supervisor?.OnAttached(session);
            });
        });
    }

    /// <summary>The handler gives back what it kept of one region. The answers that told of it are in the ring, but perhaps nobody has looked yet.</summary>
    public void FreeKept(IReadOnlyList<HandlerLink> links, int region, ushort[] ids) => _reactor.Post(() =>
    {
        _backstore.LookAtAnswers(links[region]);
        _backstore.FreeKept(links[region], ids);
    });

    /// <summary>The device has another size now.</summary>
    public void Resize(HandlerLink link, long sizeBytes) => _reactor.Post(() => _backstore.Resize(link, sizeBytes));

    /// <summary>A connection has ended.</summary>
    public void OnClosed(AttachSession session, string reason, bool byPeer)
    {
        if (session == Successor)
        {
            Successor = null;
        }

        if (session == Session)
        {
            Session = null;
            bool isPlanned = session.Phase == AttachPhase.Leaving;
            if (session.Link is { } link)
            {
                _reactor.Post(() => _backstore.Detach(link, reason, isPlanned));
                _lastEnding = isPlanned ? "was told to go" : reason;
                _lastEndingAt = DateTimeOffset.UtcNow;
            }
        }

        if (session.IsReleased && byPeer)
        {
            session.Process?.OnReleased();
        }

        Supervisor?.OnClosed(session, reason);
    }

    // ---- taking over ----

    /// <summary>How long commands waited the last time that a handler took over.</summary>
    public TimeSpan Pause { get; private set; }

    /// <summary>
    /// Posts nothing more to the handler that it may take long for, and waits until it has none of that; not for ever, since the drain that follows has a limit of its own.
    /// </summary>
    public async Task SettleAsync(int deadlineMs)
    {
        var settled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _isDrained = true;
        _reactor.Post(() => _backstore.Settle(() => settled.TrySetResult()));
        await Task.WhenAny(settled.Task, Task.Delay(deadlineMs));
    }

    /// <summary>Posts nothing more to the handler; true when it has nothing left, false when it took too long and goes on.</summary>
    public async Task<bool> DrainAsync(int deadlineMs)
    {
        var drained = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _isDrained = true;
        _reactor.Post(() =>
        {
            _drainedAt = Stopwatch.GetTimestamp();
            _backstore.Drain(() => drained.TrySetResult());
        });
        bool inTime = await Task.WhenAny(drained.Task, Task.Delay(deadlineMs)) == drained.Task;
        if (!inTime)
        {
            Resume();
        }

        return inTime;
    }

    /// <summary>Ends a drain: to the handler there is, or as the logical unit's policy says when there is none.</summary>
    public void Resume()
    {
        if (_isDrained)
        {
            _isDrained = false;
            _reactor.Post(_backstore.Resume);
        }
    }

    /// <summary>The successor, having waited, gets the device. The one before it is gone.</summary>
    public void AdmitSuccessor()
    {
        AttachSession session = Successor!;
        Successor = null;
        Session = session;
        _replacements++;
        session.Admit(this);
    }

    /// <summary>Who serves it now.</summary>
    public HandlerState ToState() => new()
    {
        Lun = Options.Number,
        Device = Options.DeviceName,
        Pool = Options.Pool,
        IsSupervised = Supervisor is not null,
        Handler = Describe(Session),
        Successor = Describe(Successor),
        Restarts = Supervisor?.Restarts ?? 0,
        Replacements = _replacements,
        LastEnding = Supervisor?.LastEnding ?? _lastEnding,
        LastEndingAt = Supervisor?.LastEndingAt ?? _lastEndingAt,
    };

    static HandlerConnection? Describe(AttachSession? session) => session is null
        ? null
        : new(session.Pid, session.HandlerName, session.Phase, session.Process switch { null => HandlerOrigin.Other, { IsChild: true } => HandlerOrigin.Engine, _ => HandlerOrigin.Kept }, session.Since);
}
