using Microsoft.Extensions.Logging;
using Scuse.Ring.Attach;

namespace Scuse.Engine.Supervision;

/// <summary>
/// Sees to it that a process serves a logical unit, or all those of a pool: starts it, starts it again when it ends (at once the first time, then ever less
/// often), replaces it in order, and takes over one that an engine before has left running.
/// </summary>
/// <remarks>Touched only by the supervision thread, but for <see cref="StartAsync"/>, <see cref="ReplaceAsync"/>,
/// <see cref="PrepareToStop"/> and <see cref="StopAsync"/>.</remarks>
sealed partial class HandlerSupervisor
{
    /// <summary>How often a handler that never attached is started before the engine gives up.</summary>
    const int StartAttempts = 3;

    const int FirstDelayMs = 100;
    const int LongestDelayMs = 5_000;

    /// <summary>One that serves and ends, over and over, is started again at once only so often in so long.</summary>
    const int QuickRestarts = 10, QuickRestartsMs = 10_000, QuickRestartDelayMs = 1_000;

    /// <summary>What Linux lets one environment variable hold (MAX_ARG_STRLEN), less its name.</summary>
    const int MostDeviceCharacters = (128 << 10) - 64;

    readonly IReadOnlyList<DeviceSlot> _slots;
    readonly AttachServer _server;
    readonly ILogger _logger;
    readonly string _devices;
    readonly int _keepSeconds;
    readonly TaskCompletionSource _started = new(TaskCreationOptions.RunContinuationsAsynchronously);
    readonly TaskCompletionSource _keptCame = new(TaskCreationOptions.RunContinuationsAsynchronously);
    readonly HashSet<HandlerProcess> _processes = []; // all that have not ended
    readonly Queue<long> _recentEndings = new();
    HandlerLaunch _launch;
    HandlerProcess? _current;
    ChildProcess? _next; // about to take the place of the current one
    bool _isReplacing;
    bool _isStopping;
    int _failures;

    /// <param name="slots">The devices that one process serves.</param>
    /// <param name="server">Where it attaches.</param>
    /// <exception cref="EngineException">So many devices cannot be one process's.</exception>
    public HandlerSupervisor(IReadOnlyList<DeviceSlot> slots, AttachServer server)
    {
        _slots = slots;
        _server = server;
        _logger = server.Logger;
        _launch = slots[0].Options.Launch!;
        _keepSeconds = slots[0].KeepSeconds;
        _devices = string.Join(',', slots.Select(static slot => slot.Options.DeviceName));
        if (_devices.Length > MostDeviceCharacters)
        {
            throw new EngineException($"{Name}: {slots.Count} logical units are too many for one process");
        }

        foreach (DeviceSlot slot in slots)
        {
            slot.Supervisor = this;
        }
    }

    /// <summary>Whom it supervises, for messages.</summary>
    public string Name => DeviceSlot.NameOf(_slots);

    /// <summary>How many devices its process serves.</summary>
    public int DeviceCount => _slots.Count;

    /// <summary>How often a process had to be started again.</summary>
    public int Restarts { get; private set; }

    /// <summary>How the last process that ended by itself did.</summary>
    public string? LastEnding { get; private set; }

    /// <summary>When that was.</summary>
    public DateTimeOffset? LastEndingAt { get; private set; }

    SupervisionLoop Loop => _server.Loop;

    // ---- start ----

    /// <summary>Ends when every device is served for the first time; fails with an <see cref="EngineException"/> when one will not be.</summary>
    public Task StartAsync()
    {
        Loop.Post(() => Loop.Forget(BeginAsync()));
        return _started.Task;
    }

    async Task BeginAsync()
    {
        if (_keepSeconds > 0)
        {
            await Task.WhenAny(_keptCame.Task, Task.Delay(_server.Limits.KeptMs));
        }

        Launch();
    }

    /// <summary>Starts a process, unless there is one or is none to be.</summary>
    void Launch()
    {
        if (_current is null && !_isReplacing && !_isStopping)
        {
            ChildProcess process = NewProcess(_launch, replaces: false);
            _current = process;
            Loop.Forget(LiveAsync(process));
        }
    }

    ChildProcess NewProcess(HandlerLaunch launch, bool replaces)
    {
        ChildProcess process = new(Loop, launch, _server.SocketPath, _devices, replaces, outlives: _keepSeconds > 0, Relay);
        _processes.Add(process);
        return process;
    }

    /// <summary>A process from its start to its end.</summary>
    async Task LiveAsync(ChildProcess process)
    {
        await process.StartAsync();
        Loop.Forget(KillUnlessServingAsync(process, _server.Limits.ReadyMs));
        await process.Ended;
        await OnEndedAsync(process);
    }

    /// <summary>The first time every device has to be served; later, those that are make up for those that are not.</summary>
    async Task KillUnlessServingAsync(HandlerProcess process, int deadlineMs)
    {
        await Task.WhenAny(process.Ended, Task.Delay(deadlineMs));
        bool isServing = process.Attached == _slots.Count || (process.Attached > 0 && _started.Task.IsCompleted && process.IsChild);
        if (!process.Ended.IsCompleted && !isServing)
        {
            process.OnFailed($"did not attach within {SupervisionLimits.Seconds(deadlineMs)} s");
            await EndAsync(process);
        }
    }

    void Relay(string line)
    {
        if (_started.Task.IsCompleted)
        {
            LogLine(_logger, Name, line);
        }
    }

    // ---- connections ----

    /// <summary>A handler says hello for one of the devices. Returns why it cannot be its handler, or null.</summary>
    public string? Claim(DeviceSlot slot, AttachSession session, HelloMessage hello)
    {
        if (hello.Replace)
        {
            session.Process = _next;
            return _next is null ? $"the handler of device '{slot.Options.DeviceName}' is the engine's to replace" : null;
        }

        if (hello.Identity.Length == 0 || (_current is { IsChild: true } child && child.Pid == session.Pid))
        {
            session.Process = _current; // or one that it has started
            return _current is null ? $"the handler of device '{slot.Options.DeviceName}' is the engine's to start" : null;
        }

        return ClaimKept(slot, session);
    }

    /// <summary>A handler that was there before this engine comes back.</summary>
    string? ClaimKept(DeviceSlot slot, AttachSession session)
    {
        if (_current is KeptProcess known && known.Pid == session.Pid)
        {
            session.Process = known;
        }
        else if (_current is { } other && _slots.Any(member => member.Session?.Process == other))
        {
            return $"device '{slot.Options.DeviceName}' has process {other.Pid} by now";
        }
        else
        {
            _current?.Kill(); // it has not come far, and the one that comes back has the device open
            KeptProcess kept = new(Loop, session.Pid);
            _processes.Add(kept);
            _current = kept;
            session.Process = kept;
            Loop.Forget(TakeOverAsync(kept));
        }

        return null;
    }

    async Task TakeOverAsync(KeptProcess kept)
    {
        LogKept(_logger, Name, kept.Pid);
        Loop.Forget(KillUnlessServingAsync(kept, _server.Limits.AllKeptMs));
        await Task.WhenAny(kept.Greeted, kept.Ended);
        _keptCame.TrySetResult();
        await kept.Ended;
        await OnEndedAsync(kept);
    }

    /// <summary>A device of ours is in service.</summary>
    public void OnAttached(AttachSession session)
    {
        if (session.Process is { } process)
        {
            process.Attached++;
        }

        if (!_started.Task.IsCompleted && _slots.All(static slot => slot.Session?.Served is { IsCompletedSuccessfully: true, Result: null }))
        {
            _started.TrySetResult();
        }
    }

    /// <summary>A connection for a device of ours has ended.</summary>
    public void OnClosed(AttachSession session, string reason)
    {
        if (session.Process is not { } process || _isStopping || session.Phase == AttachPhase.Leaving)
        {
            return;
        }

        if (session.Link is not null)
        {
            process.Kill(); // whatever is left of it is ended, so that a new one can be started: this costs its whole pool
        }
        else if (!session.HasFailed)
        {
            process.OnFailed(reason);
        }

        if (process is KeptProcess kept && _slots.All(slot => slot.Session?.Process != process))
        {
            kept.Kill();
            kept.OnUnreachable();
        }
    }

    // ---- ends ----

    async Task OnEndedAsync(HandlerProcess process)
    {
        _processes.Remove(process);
        await EndAsync(process); // a command that starts the handler and does not become it may leave it behind, with the device in its hands
        if (process != _current)
        {
            return; // it had to go
        }

        _current = null;
        LastEnding = process.Ending;
        LastEndingAt = DateTimeOffset.UtcNow;
        if (_isReplacing || _isStopping)
        {
            return; // what comes next is decided there
        }

        _failures = process.Attached > 0 ? 0 : _failures + 1;
        if (!_started.Task.IsCompleted && !MayTryAgain(process))
        {
            string times = _failures > 1 ? $" ({_failures} times)" : "";
            string specs = _slots is [var only] ? $"{Name} ({only.Options.Spec})" : Name;
            _started.TrySetException(new EngineException($"{specs}: {process.Ending}{times}"));
            return;
        }

        if (process.Attached == 0)
        {
            foreach (DeviceSlot slot in _slots)
            {
                slot.Resume(); // commands that wait since a replacement went wrong have waited long enough, if that is the policy
            }
        }

        if (_started.Task.IsCompleted)
        {
            LogEnded(_logger, Name, process.Ending);
        }

        await Task.Delay(RestartDelayMs(process));
        Restarts++;
        Launch();
    }

    bool MayTryAgain(HandlerProcess process) =>
        // One that was left running may still hold what this one could not open.
        _failures < StartAttempts && (process is not ChildProcess { MayBeTriedAgain: false } || (_keepSeconds > 0 && process.Failure is not null));

    int RestartDelayMs(HandlerProcess process)
    {
        if (process.Attached == 0)
        {
            return (int)Math.Min((long)FirstDelayMs << Math.Clamp(_failures - 1, 0, 10), LongestDelayMs);
        }

        long now = SupervisionLoop.NowMs;
        _recentEndings.Enqueue(now);
        while (now - _recentEndings.Peek() > QuickRestartsMs)
        {
            _recentEndings.Dequeue();
        }

        return _recentEndings.Count > QuickRestarts ? QuickRestartDelayMs : 0;
    }

    /// <summary>Ends a process and every one that serves a device in its name, and their connections.</summary>
    async Task EndAsync(HandlerProcess process)
    {
        process.Kill();
        AttachSession[] left = [.. _slots.SelectMany(static slot => new[] { slot.Session, slot.Successor }).OfType<AttachSession>().Where(session => session.Process == process)];
        if (left.Length == 0)
        {
            return;
        }

        foreach (AttachSession session in left)
        {
            session.Kill();
        }

        await Task.WhenAny(Task.WhenAll(left.Select(static session => session.Closed)), Task.Delay(_server.Limits.KillMs));
        foreach (AttachSession session in left)
        {
            _server.End(session, "its process ended");
        }
    }

    // ---- replacement ----

    /// <summary>
    /// Starts a new process, and has it take over when it is there. When that fails before the old one has gone, the old one goes on as if nothing had been;
    /// after that, the old launch is started again, and commands wait for it.
    /// </summary>
    /// <param name="launch">What to start from now on; null: the same as before.</param>
    /// <param name="force">Even if what was written is lost.</param>
    /// <param name="cancellation">Gives up, for as long as the old process serves.</param>
    /// <exception cref="EngineException">It was not replaced; the message says why and what is now.</exception>
    public Task<ReplacementResult> ReplaceAsync(HandlerLaunch? launch, bool force, CancellationToken cancellation) => Loop.InvokeAsync(async () =>
    {
        if (_isStopping || !_started.Task.IsCompletedSuccessfully)
        {
            throw new EngineException($"{Name}: the engine {(_isStopping ? "stops" : "is starting")}");
        }

        if (_isReplacing)
        {
            throw new EngineException($"{Name}: its handler is being replaced already");
        }

        if (!force && _slots.FirstOrDefault(static slot => slot.Session is { IsVolatile: true }) is { } risk)
        {
            throw new EngineException($"{risk.Name}: what was written to it would be gone with its handler {risk.Session!.HandlerName}, process {risk.Session.Pid}; it can be forced");
        }

        _isReplacing = true;
        try
        {
            return await ReplaceOnceAsync(launch ?? _launch, cancellation);
        }
        finally
        {
            _next = null;
            _isReplacing = false;
            Launch(); // if nobody is there now
        }
    });

    async Task<ReplacementResult> ReplaceOnceAsync(HandlerLaunch launch, CancellationToken cancellation)
    {
        ChildProcess next = NewProcess(launch, replaces: true);
        _next = next;
        int? oldPid = _current?.Pid;
        Loop.Forget(LiveAsync(next));
        if (await ComesUpAsync(next, cancellation) is { } obstacle)
        {
            next.Kill();
            throw new EngineException($"{Name}: its handler was not replaced: {obstacle}");
        }

        HandOverOutcome outcome = await HandOver.RunAsync(_server, _slots);
        if (outcome.End == HandOverEnd.Untouched)
        {
            next.Kill();
            throw new EngineException($"{Name}: its handler was not replaced: {outcome.Reason}");
        }

        string? failure = outcome.End == HandOverEnd.Lost ? outcome.Reason : await ServesAllAsync(next);
        if (failure is not null)
        {
            next.Kill();
            _current?.Kill(); // of a pool, it may still have some devices
            await Task.WhenAny(Task.WhenAll(next.Ended, _current?.Ended ?? Task.CompletedTask), Task.Delay(_server.Limits.KillMs, CancellationToken.None));
            throw new EngineException($"{Name}: the new handler did not take over: {failure}; the one before is started again");
        }

        HandlerProcess? old = _current;
        _launch = launch;
        _current = next;
        if (old is not null)
        {
            Loop.Forget(RetireAsync(old));
        }

        return new ReplacementResult(_slots[0].TargetName, [.. _slots.Select(static slot => slot.Options.Number)], oldPid, next.Pid, _slots.Max(static slot => slot.Pause).TotalMilliseconds);
    }

    /// <summary>Waits until the new process has said hello for every device. Returns why it did not, or null.</summary>
    async Task<string?> ComesUpAsync(ChildProcess next, CancellationToken cancellation)
    {
        await Task.WhenAny(next.Greeted, Task.Delay(_server.Limits.HelloMs, cancellation));
        return cancellation.IsCancellationRequested ? "it was called off"
            : !next.Greeted.IsCompleted ? $"the new one did not attach within {SupervisionLimits.Seconds(_server.Limits.HelloMs)} s"
            : await next.Greeted is { } failure ? $"the new one {failure}"
            : _slots.Any(slot => (slot.Successor ?? slot.Session)?.Process != next) ? $"the new one {next.Failure ?? "has ended"}"
            : null;
    }

    /// <summary>Devices that nobody served went to the new process at once. Returns why one does not serve, or null.</summary>
    async Task<string?> ServesAllAsync(ChildProcess next)
    {
        foreach (DeviceSlot slot in _slots)
        {
            string? failure = slot.Session?.Process == next ? await slot.Session.Served : "it has lost its connection";
            if (failure is not null)
            {
                return failure;
            }
        }

        return null;
    }

    /// <summary>The process before has let all its devices go, and has nothing left but to end.</summary>
    async Task RetireAsync(HandlerProcess old)
    {
        await Task.WhenAny(old.Ended, Task.Delay(_server.Limits.RemoveMs));
        old.Kill();
    }

    // ---- stop ----

    /// <summary>
    /// No process is started any more. Those there are may take until the deadline to end by themselves; one that was told to stay for the next engine, and
    /// has let go, is left alone.
    /// </summary>
    public Task StopAsync(int deadlineMs) => Loop.InvokeAsync(async () =>
    {
        _isStopping = true;
        _started.TrySetCanceled();
        HandlerProcess[] ending = [.. _processes.Where(static process => !process.IsLeftRunning)];
        Task ended = Task.WhenAll(ending.Select(static process => process.Ended));
        await Task.WhenAny(ended, Task.Delay(deadlineMs));
        foreach (HandlerProcess process in ending)
        {
            process.Kill();
        }

        await Task.WhenAny(ended, Task.Delay(_server.Limits.KillMs));
        foreach (HandlerProcess process in ending)
        {
            process.KillAtOnce();
        }

        foreach (HandlerProcess process in _processes)
        {
            process.Dispose();
        }

        return true;
    });

    /// <summary>From now on an end is no reason for a new start.</summary>
    public void PrepareToStop() => Loop.Post(() => _isStopping = true);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Name}: the handler {Ending}; starting it again")]
    static partial void LogEnded(ILogger logger, string name, string ending);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Name}: {Line}")]
    static partial void LogLine(ILogger logger, string name, string line);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Name}: process {Pid}, which an engine before has left running, comes back")]
    static partial void LogKept(ILogger logger, string name, int pid);
}
