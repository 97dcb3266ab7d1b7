using Microsoft.Extensions.Logging;
using Scuse.Engine.Backstores;
using Scuse.Engine.Targets;
using Scuse.Linux;
using Scuse.Ring.Attach;

namespace Scuse.Engine.Supervision;

/// <summary>
/// The socket where handlers attach, and all their connections. It never waits for any of them: each packet is taken as it comes.
/// docs/attach-protocol.md.
/// </summary>
/// <remarks>
/// <para>Touched only by the supervision thread, but for <see cref="Start"/>, <see cref="Drop"/>, <see cref="RemoveAll"/> and <see cref="Dispose"/>.</para>
/// <para>A connection costs nothing to make, so one that has not said hello has no right to stay: when a process has too many of them, or all together are
/// too many, the oldest is closed for the newest. A handler says hello at once, so a flood of others does not keep it out.</para>
/// </remarks>
sealed partial class AttachServer : IDisposable
{
    /// <summary>How many connections are accepted before those there are have their turn.</summary>
    const int AcceptsPerTurn = 64;

    /// <summary>How long nobody is accepted when there are no descriptors left.</summary>
    const int AcceptPauseMs = 500;

    /// <summary>How many lines a second a flood of wrong messages may bring into the log.</summary>
    const int RefusalsPerSecond = 10, RefusalBurst = 50;

    readonly Dictionary<string, DeviceSlot> _slots = [];
    readonly HashSet<AttachSession> _sessions = [];
    readonly LinkedList<AttachSession> _greeting = new(); // without a hello, oldest first
    readonly Dictionary<int, int> _greetingByProcess = [];
    readonly byte[] _packet = new byte[AttachMessage.MaxBytes];
    readonly SeqPacketListener _listener;
    TokenBucket _refusals = new(RefusalsPerSecond, RefusalBurst);
    ulong _listenerWatch;
    bool _isListening;
    bool _isClosed;
    long _acceptAgainMs;
    int _refusalsUntold;

    /// <exception cref="EngineException">The socket cannot be made, or two devices have the same name.</exception>
    public AttachServer(string path, IEnumerable<DeviceSlot> slots, ILogger logger, SupervisionLimits? limits = null)
    {
        Logger = logger;
        Limits = limits ?? new SupervisionLimits();
        Add(slots);
        try
        {
            if (Path.GetDirectoryName(path) is { Length: > 0 } folder && !Directory.Exists(folder))
            {
                Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            }

            _listener = SeqPacketListener.Listen(path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new EngineException($"attach socket {path}: {exception.Message}", exception);
        }

        Loop = new SupervisionLoop(logger);
        Loop.AddTicker(Tick);
        Listen();
    }

    /// <summary>The thread that everything here runs on.</summary>
    public SupervisionLoop Loop { get; }

    public SupervisionLimits Limits { get; }

    public ILogger Logger { get; }

    /// <summary>Where handlers connect.</summary>
    public string SocketPath => _listener.Path;

    /// <summary>Every connection there is, in no order.</summary>
    public IReadOnlyCollection<AttachSession> Sessions => _sessions;

    public void Start() => Loop.Start();

    /// <summary>How many devices handlers can attach to.</summary>
    public int DeviceCount => _slots.Count;

    /// <summary>Handlers can attach to these, too. Before <see cref="Start"/>, or on the supervision thread.</summary>
    /// <exception cref="EngineException">There is a device of the same name; then none of them was added.</exception>
    public void Add(IEnumerable<DeviceSlot> slots)
    {
        DeviceSlot[] added = [.. slots];
        HashSet<string> names = [.. _slots.Keys];
        if (added.FirstOrDefault(slot => !names.Add(slot.Options.DeviceName)) is { } twice)
        {
            throw new EngineException($"{twice.Name} ({twice.Options.Spec}): there is another device named '{twice.Options.DeviceName}'");
        }

        foreach (DeviceSlot slot in added)
        {
            _slots.Add(slot.Options.DeviceName, slot);
            slot.Server = this;
        }
    }

    // ---- from any thread ----

    /// <summary>Handlers can attach to these, too.</summary>
    /// <exception cref="EngineException">There is a device of the same name; then none of them was added.</exception>
    public Task AddAsync(IEnumerable<DeviceSlot> slots) => Loop.InvokeAsync(() =>
    {
        Add(slots);
        return Task.FromResult(true);
    });

    /// <summary>
    /// Nobody attaches to these any more; the handlers that have are told that their devices go away. Completed when those that somebody else has started have gone, or the time
    /// is up; the others are their supervisors' business.
    /// </summary>
    public Task RemoveAsync(IReadOnlyCollection<DeviceSlot> slots, int deadlineMs) => Loop.InvokeAsync(async () =>
    {
        foreach (DeviceSlot slot in slots)
        {
            if (slot.Server == this)
            {
                _slots.Remove(slot.Options.DeviceName);
            }
        }

        AttachSession[] leaving = SessionsOf(slots);
        Dismiss(leaving, static session => session.Remove(), "its target was removed");
        Task gone = Task.WhenAll(leaving.Where(static session => session.Process is null).Select(static session => session.Closed));
        await Task.WhenAny(gone, Task.Delay(deadlineMs));
        return true;
    });

    /// <summary>Closes what connections there still are for these; a handler sees its engine end.</summary>
    public Task EndAllAsync(IReadOnlyCollection<DeviceSlot> slots) => Loop.InvokeAsync(() =>
    {
        foreach (AttachSession session in SessionsOf(slots))
        {
            End(session, "its target was removed");
        }

        return Task.FromResult(true);
    });

    AttachSession[] SessionsOf(IReadOnlyCollection<DeviceSlot> slots) => [.. _sessions.Where(session => session.Slot is { } slot && slots.Contains(slot))];

    /// <summary>Gives a handler up: its connection is closed, and its process ended where it can be reached.</summary>
    public void Drop(HandlerLink link, string reason) => Loop.Post(() =>
    {
        if (_sessions.FirstOrDefault(session => session.Links.Contains(link)) is { } session)
        {
            session.Kill();
            End(session, reason);
        }
    });

    /// <summary>Tells every attached handler that its device goes away, and everybody else to go.</summary>
    public void RemoveAll() => Loop.Post(() => DismissAll(static session => session.Remove()));

    /// <summary>
    /// Tells every attached handler to let go of its device and to attach again to the next engine; completed when all have, or the time is up. Nobody is
    /// accepted any more, so that none comes back to this one.
    /// </summary>
    /// <param name="ownToo">Whether those that this engine has started stay, too; otherwise they are told to go.</param>
    /// <param name="deadlineMs">How long they have.</param>
    public Task<bool> ReleaseAllAsync(bool ownToo, int deadlineMs) => Loop.InvokeAsync(async () =>
    {
        StopListening();
        DismissAll(session =>
        {
            if (ownToo || session.Process is not { IsChild: true })
            {
                session.Release();
            }
            else
            {
                session.Remove();
            }
        });
        AttachSession[] leaving = [.. _sessions];
        await Task.WhenAny(Task.WhenAll(leaving.Select(static session => session.Closed)), Task.Delay(deadlineMs));
        bool all = _sessions.Count == 0;
        foreach (AttachSession session in _sessions.ToArray())
        {
            End(session, "the engine stopped");
        }

        return all;
    });

    void DismissAll(Action<AttachSession> dismiss) => Dismiss([.. _sessions], dismiss, "the engine stops");

    void Dismiss(AttachSession[] sessions, Action<AttachSession> dismiss, string reason)
    {
        foreach (AttachSession session in sessions)
        {
            if (session.Phase is AttachPhase.Attached or AttachPhase.Opening)
            {
                dismiss(session);
            }
            else if (session.Phase != AttachPhase.Leaving)
            {
                Refuse(session, reason);
            }
        }
    }

    // ---- connections ----

    void Listen()
    {
        _isListening = true;
        _listenerWatch = Loop.Watch(_listener.Descriptor, Accept);
    }

    void PauseListening()
    {
        if (_isListening)
        {
            _isListening = false;
            Loop.Unwatch(_listenerWatch, _listener.Descriptor);
        }
    }

    void StopListening()
    {
        PauseListening();
        _isClosed = true;
        _listener.Dispose();
    }

    void Accept()
    {
        for (int i = 0; i < AcceptsPerTurn; i++)
        {
            SeqPacketSocket? socket;
            try
            {
                socket = _listener.Accept();
            }
            catch (LinuxException exception)
            {
                LogAcceptFailed(Logger, exception.Message);
                PauseListening();
                _acceptAgainMs = SupervisionLoop.NowMs + AcceptPauseMs;
                return;
            }

            if (socket is null)
            {
                return;
            }

            var session = new AttachSession(socket, Limits);
            try
            {
                session.Watch(Loop, () => OnReadable(session));
            }
            catch (LinuxException exception)
            {
                LogAcceptFailed(Logger, exception.Message);
                socket.Dispose();
                continue;
            }

            Add(session);
        }
    }

    void Add(AttachSession session)
    {
        _sessions.Add(session);
        session.PlaceInGreeting = _greeting.AddLast(session);
        int mine = _greetingByProcess[session.Pid] = _greetingByProcess.GetValueOrDefault(session.Pid) + 1;
        int most = Limits.SpareConnections + _slots.Count;
        if (mine > most)
        {
            Evict(_greeting.First(other => other.Pid == session.Pid));
        }
        else if (_greeting.Count > most * 2)
        {
            Evict(_greeting.First!.Value);
        }

        OnReadable(session); // its hello is often there already, and then it never counts
    }

    void Evict(AttachSession session)
    {
        LogRefusal(session, "it has said no hello, and there are too many such connections");
        End(session, "too many connections");
    }

    void OnReadable(AttachSession session)
    {
        try
        {
            AttachPhase before = session.Phase;
            string? refusal = session.Receive(_packet, _slots, out bool isEnd);
            if (before != session.Phase && session.MemoryRefusal is { } why)
            {
                LogMemoryRefused(Logger, session.Slot!.Name, session.Pid, why);
            }

            if (isEnd)
            {
                End(session, "it closed its connection", byPeer: true);
            }
            else if (refusal is not null)
            {
                Refuse(session, refusal);
            }
            else if (session.Phase != AttachPhase.Greeting && LeaveGreeting(session))
            {
                session.WatchProcess(Loop, () => End(session, "its process ended", byPeer: true));
            }
        }
        catch (LinuxException exception)
        {
            LogRefusal(session, exception.Message);
            End(session, exception.Message);
        }
#pragma warning disable CA1031 // whatever a handler's message brings about costs that handler alone
        catch (Exception exception)
#pragma warning restore CA1031
        {
            LogBroken(Logger, session.Pid, exception);
            End(session, "its message could not be handled");
        }
    }

    /// <summary>False when it had left before.</summary>
    bool LeaveGreeting(AttachSession session)
    {
        if (session.PlaceInGreeting is not { } place)
        {
            return false;
        }

        _greeting.Remove(place);
        session.PlaceInGreeting = null;
        if (--_greetingByProcess[session.Pid] == 0)
        {
            _greetingByProcess.Remove(session.Pid);
        }

        return true;
    }

    /// <summary>Sends a handler away, with the reason.</summary>
    public void Refuse(AttachSession session, string reason)
    {
        if (_sessions.Contains(session))
        {
            session.Refuse(reason);
            LogRefusal(session, reason);
            End(session, reason);
        }
    }

    /// <summary>Ends a connection, if it has not ended.</summary>
    public void End(AttachSession session, string reason, bool byPeer = false)
    {
        if (_sessions.Remove(session))
        {
            LeaveGreeting(session);
            session.Close(Loop, reason, byPeer);
        }
    }

    void Tick(long nowMs)
    {
        List<AttachSession>? overdue = null;
        foreach (AttachSession session in _sessions)
        {
            if (nowMs > session.DueMs)
            {
                (overdue ??= []).Add(session);
            }
        }

        overdue?.ForEach(session => Refuse(
            session,
            session.Phase == AttachPhase.Greeting ? $"no hello within {SupervisionLimits.Seconds(Limits.HelloMs)} s" : $"not ready within {SupervisionLimits.Seconds(Limits.ReadyMs)} s"));
        if (!_isListening && !_isClosed && nowMs >= _acceptAgainMs)
        {
            Listen();
        }

        if (_refusalsUntold > 0 && _refusals.TryTake(nowMs))
        {
            LogMoreRefused(Logger, _refusalsUntold);
            _refusalsUntold = 0;
        }
    }

    /// <summary>A flood of refusals must not fill the disk with lines.</summary>
    void LogRefusal(AttachSession session, string reason)
    {
        if (_refusals.TryTake(SupervisionLoop.NowMs))
        {
            LogRefused(Logger, session.Pid, reason);
        }
        else
        {
            _refusalsUntold++;
        }
    }

    /// <summary>Stops the thread and closes every connection; a handler that still runs sees its engine end.</summary>
    public void Dispose()
    {
        Loop.Stop();
        foreach (AttachSession session in _sessions.ToArray())
        {
            End(session, "the engine stopped");
        }

        if (!_isClosed)
        {
            StopListening();
        }

        Loop.Dispose();
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "attach: process {Pid} refused: {Reason}")]
    static partial void LogRefused(ILogger logger, int pid, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Lun}: the memory that its handler, process {Pid}, passed is not used, its reads go through the ring: {Reason}")]
    static partial void LogMemoryRefused(ILogger logger, LunName lun, int pid, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "attach: {Count} more refused")]
    static partial void LogMoreRefused(ILogger logger, int count);

    [LoggerMessage(Level = LogLevel.Error, Message = "attach: a message of process {Pid} could not be handled")]
    static partial void LogBroken(ILogger logger, int pid, Exception exception);

    [LoggerMessage(Level = LogLevel.Warning, Message = "attach: a connection could not be accepted: {Reason}")]
    static partial void LogAcceptFailed(ILogger logger, string reason);
}
