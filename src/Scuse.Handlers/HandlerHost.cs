using System.Runtime.InteropServices;
using Scuse.Attach;
using Scuse.Linux;
using Scuse.Ring.Attach;
using Scuse.Serving;
using Scuse.Tcmu;

namespace Scuse;

/// <summary>Opens a device: given what was asked for and the pass level, makes the server of its commands.</summary>
delegate ValueTask<CommandServer> OpenDevice(DeviceInfo device, string askedLevel, ErrorLog log);

/// <summary>One run of a handler: its devices, each with a life of its own, and the threads that serve them.</summary>
sealed class HandlerHost : IDisposable
{
    internal const int ExitOrderly = 0, ExitFailed = 1, ExitUsage = 2;

    // More would only take turns on the processors that the target and its initiators need as well.
    const int MaxServingThreads = 4;

    // When one device hangs and the process has to go, the others get so long to answer what they have.
    internal const int HungGraceMs = 5000;

    readonly OpenDevice _open;
    readonly TextWriter _errors;
    readonly ErrorLog _log;
    readonly CancellationTokenSource _stopping = new();
    readonly Watcher _watcher = new();
    readonly Lock _lock = new();

    // Guarded by _lock.
    readonly List<ServingThread> _threads = [];
    string? _lastAttachFailure;

    internal HandlerHost(HandlerOptions options, OpenDevice open, TextWriter errors)
    {
        Options = options;
        _open = open;
        _errors = TextWriter.Synchronized(errors);
        _log = new ErrorLog(_errors);
        Door = new TargetDoor(options.Socket, _watcher, _stopping.Token);
        Watch = new TargetWatch(_watcher, _errors);
    }

    internal HandlerOptions Options { get; }

    /// <summary>Opens the stand-in for a rehearsal; null: a successor goes without one.</summary>
    internal OpenDevice? Rehearsal { get; init; }

    internal TargetDoor Door { get; }

    internal TargetWatch Watch { get; }

    internal Watcher Watcher => _watcher;

    /// <summary>Whether the process is asked to end.</summary>
    internal bool IsStopping => _stopping.IsCancellationRequested;

    /// <summary>Runs to the end and returns the process exit code.</summary>
    internal async Task<int> RunAsync()
    {
        if (Options.Kernel)
        {
            using KernelDevices kernel = new(this, _open, _errors);
            return await kernel.RunAsync(_stopping.Token).ConfigureAwait(false) ? ExitOrderly : ExitFailed;
        }

        if (Options.Devices.Count == 0)
        {
            _log.Line($"which device? give --device NAME, or set {AttachMessage.DeviceVariable}; --serve starts a target around this program");
            return ExitUsage;
        }

        if (Options.Replace && Rehearsal is { } standIn)
        {
            await RehearseAsync(standIn).ConfigureAwait(false);
        }

        bool several = Options.Devices.Count > 1;
        List<DeviceRun> devices = [.. Options.Devices.Select(
            name => new DeviceRun(this, name, Options.Replace, several ? new ErrorLog(_errors, name) : _log, _open))];
        using CancellationTokenRegistration stop = _stopping.Token.Register(() => devices.ForEach(static device => device.RequestStop()));
        List<Task<DeviceEnd>> running = [.. devices.Select(device => device.RunAsync(Door.Connect))];
        bool allOrderly = true;
        while (running.Count > 0)
        {
            Task<DeviceEnd> ended = await Task.WhenAny(running).ConfigureAwait(false);
            running.Remove(ended);
            DeviceEnd how = await ended.ConfigureAwait(false);
            allOrderly &= how == DeviceEnd.Orderly;
            if (how == DeviceEnd.Hung)
            {
                RequestStop();
                await Task.WhenAny(Task.WhenAll(running), Task.Delay(HungGraceMs)).ConfigureAwait(false);
                break;
            }
        }

        return allOrderly ? ExitOrderly : ExitFailed;
    }

    /// <summary>Asks from any thread to answer what has been taken and to end.</summary>
    internal void RequestStop() => _stopping.Cancel();

    /// <summary>The serving thread with the fewest rings, or a new one while that helps.</summary>
    internal ServingThread ThreadForOneMore() => ThreadsFor(1, together: false)[0];

    /// <summary>A serving thread for each of a device's rings: those with the fewest rings, and new ones while that helps; or one for all of them.</summary>
    internal ServingThread[] ThreadsFor(int rings, bool together)
    {
        var chosen = new ServingThread[rings];
        lock (_lock)
        {
            for (int i = 0; i < rings; i++)
            {
                chosen[i] = i > 0 && together ? chosen[0] : ThreadForOneMoreThan(chosen.AsSpan(0, i));
            }
        }

        return chosen;
    }

    // Under the lock.
    ServingThread ThreadForOneMoreThan(ReadOnlySpan<ServingThread> chosen)
    {
        (ServingThread? least, int leastLoad) = (null, int.MaxValue);
        foreach (ServingThread thread in _threads)
        {
            int load = thread.Load + chosen.Count(thread);
            if (load < leastLoad)
            {
                (least, leastLoad) = (thread, load);
            }
        }

        if (least is null || (leastLoad > 0 && _threads.Count < Math.Min(MaxServingThreads, Processor.Count)))
        {
            least = new ServingThread(Options.SpinMicroseconds);
            _threads.Add(least);
        }

        return least;
    }

    /// <summary>Says why a device could not be attached; once, where many devices have the same to say.</summary>
    internal void TellAttachFailure(ErrorLog log, AttachException failure)
    {
        lock (_lock)
        {
            if (failure.Problem == AttachProblem.NoTarget)
            {
                if (failure.Message == _lastAttachFailure)
                {
                    return;
                }

                _lastAttachFailure = failure.Message;
                log = _log;
            }
        }

        log.Line(failure.Message);
    }

    /// <summary>
    /// Runs a device's whole life once with a stand-in: from the first message to the last everything has been compiled then. Initiators wait while one handler
    /// takes over from another, and compiling would take most of that time.
    /// </summary>
    async Task RehearseAsync(OpenDevice standIn)
    {
        try
        {
            (SeqPacketSocket handlerEnd, SeqPacketSocket targetEnd) = SeqPacketSocket.Pair();
            DeviceRun device = new(this, RehearsalTarget.Device, replace: false, new ErrorLog(TextWriter.Null), standIn);
            Task target = Task.Run(() => RehearsalTarget.Run(targetEnd));
            await device.RunAsync(() => new AttachSession(handlerEnd, "the rehearsal", _watcher, _stopping.Token)).ConfigureAwait(false);
            await target.ConfigureAwait(false);
        }
        catch (Exception failure)
        {
            _log.Line($"the rehearsal failed, and the first commands will be slow: {ErrorLog.OneLine(failure.Message)}");
        }
    }

    public void Dispose()
    {
        foreach (ServingThread thread in _threads)
        {
            thread.Dispose();
        }

        Door.Dispose();
        _watcher.Dispose();
        _stopping.Dispose();
    }
}

/// <summary>Signals while a handler runs: SIGTERM ends it in order, and so does SIGINT, unless the target is to be interrupted by the same key.</summary>
sealed class SignalStop : IDisposable
{
    readonly PosixSignalRegistration _terminate;
    readonly PosixSignalRegistration _interrupt;

    internal SignalStop(HandlerHost host, bool targetIsInterruptedToo)
    {
        _terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context =>
        {
            context.Cancel = true;
            host.RequestStop();
        });
        _interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, context =>
        {
            context.Cancel = true;

            // Ctrl+C reaches the target as well, which still needs us to finish what it has; it closes the connection when it is done.
            if (!targetIsInterruptedToo)
            {
                host.RequestStop();
            }
        });
    }

    public void Dispose()
    {
        _terminate.Dispose();
        _interrupt.Dispose();
    }
}
