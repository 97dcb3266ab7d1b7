using System.ComponentModel;
using System.Diagnostics;
using Scuse.Linux;
using Scuse.Ring.Attach;

namespace Scuse.Engine.Supervision;

/// <summary>A process that serves the devices of one supervisor.</summary>
/// <remarks>Touched only by the supervision thread, where nothing else is said.</remarks>
abstract class HandlerProcess : IDisposable
{
    readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    readonly TaskCompletionSource<string?> _greeted = new(TaskCreationOptions.RunContinuationsAsynchronously);
    int _devices;
    int _released;

    public abstract int Pid { get; }

    /// <summary>Whether this engine has started it.</summary>
    public abstract bool IsChild { get; }

    /// <summary>Completed once the process is gone.</summary>
    public Task Ended => _ended.Task;

    /// <summary>Completed with null once it has said hello for every device it is to serve, or with the reason why it will not.</summary>
    public Task<string?> Greeted => _greeted.Task;

    /// <summary>What kept it from serving, in its own words or as seen from here; null while nothing did.</summary>
    public string? Failure { get; private set; }

    /// <summary>How many of its devices have been in service.</summary>
    public int Attached { get; set; }

    /// <summary>Whether it was told to stay for the next engine, and let go of all its devices in order.</summary>
    public bool IsLeftRunning => _released > 0 && _released == _devices;

    /// <summary>How it ended, for the operator.</summary>
    public virtual string Ending => Failure ?? "ended";

    /// <summary>Ends it, and what it has started, if it has not ended. The call takes no time.</summary>
    public abstract void Kill();

    /// <summary>Ends the process alone, before the call returns: for when there is no time left to look for what it has started.</summary>
    public virtual void KillAtOnce() => Kill();

    /// <summary>Lets go of it; if it runs, it runs on.</summary>
    public abstract void Dispose();

    /// <summary>It has said hello for one more device, of so many.</summary>
    public void OnGreeted(int ofDevices)
    {
        if (++_devices == ofDevices)
        {
            _greeted.TrySetResult(null);
        }
    }

    /// <summary>It has let go of a device, as it was asked, to attach again later.</summary>
    public void OnReleased() => _released++;

    /// <summary>Something keeps it from serving; the first reason is the one that counts.</summary>
    public void OnFailed(string reason)
    {
        Failure ??= reason;
        _greeted.TrySetResult(reason);
    }

    protected void OnEnded()
    {
        _ended.TrySetResult();
        _greeted.TrySetResult(Ending);
    }
}

/// <summary>A process that this engine starts.</summary>
sealed class ChildProcess : HandlerProcess
{
    /// <summary>How long the last lines of a process that has ended may be under way.</summary>
    const int LastWordsMs = 200;

    /// <summary>What setsid says when it cannot start the program: not found, or not allowed.</summary>
    const int CannotStart = 126, NotFound = 127;

    const int UsageExitCode = 2;
    const string SetSid = "/usr/bin/setsid";

    readonly HandlerLaunch _launch;
    readonly Process _process;
    readonly bool _hasOwnSession;
    readonly TaskCompletionSource _startDone = new(TaskCreationOptions.RunContinuationsAsynchronously);
    volatile string? _lastLine;
    int _exitCode;
    volatile int _pid; // set beside the supervision thread
    bool _isWanted = true;
    bool _isDisposed;

    /// <param name="loop">The supervision thread.</param>
    /// <param name="launch">What to run.</param>
    /// <param name="socketPath">Where it is to attach.</param>
    /// <param name="devices">The names of its devices.</param>
    /// <param name="replaces">Whether it is to take them over from the process that serves them.</param>
    /// <param name="outlives">Whether it may outlive the engine: then a terminal's interrupt or end must not reach it.</param>
    /// <param name="line">Called with each line it writes, from any thread.</param>
    public ChildProcess(SupervisionLoop loop, HandlerLaunch launch, string socketPath, string devices, bool replaces, bool outlives, Action<string> line)
    {
        _launch = launch;
        _hasOwnSession = outlives && File.Exists(SetSid);
        ProcessStartInfo start = _hasOwnSession
            ? new(SetSid, [launch.Program, .. launch.Arguments])
            : new(launch.Program, launch.Arguments);
        start.RedirectStandardError = true;
        start.RedirectStandardOutput = true;
        start.RedirectStandardInput = true;
        start.UseShellExecute = false;
        start.Environment[AttachMessage.SocketVariable] = socketPath;
        start.Environment[AttachMessage.DeviceVariable] = devices;
        start.Environment.Remove(AttachMessage.ReplaceVariable);
        if (replaces)
        {
            start.Environment[AttachMessage.ReplaceVariable] = "1";
        }

        _process = new Process { StartInfo = start, EnableRaisingEvents = true };
        _process.Exited += (_, _) => loop.Post(() => loop.Forget(OnExitedAsync()));
        DataReceivedEventHandler relay = (_, data) =>
        {
            if (data.Data?.Trim() is { Length: > 0 } text)
            {
                _lastLine = text;
                line(text);
            }
        };
        _process.OutputDataReceived += relay;
        _process.ErrorDataReceived += relay;
    }

    public override int Pid => _pid;

    public override bool IsChild => true;

    /// <summary>Whether trying once more can help: not when the command line or the device is at fault.</summary>
    public bool MayBeTriedAgain { get; private set; } = true;

    public override string Ending => Failure ?? $"ended with exit code {_exitCode}{(_lastLine is { } line ? $": {line}" : "")}";

    /// <summary>Starts the process. When it cannot be started it has ended, with the reason as its ending.</summary>
    public async Task StartAsync()
    {
        try
        {
            await Task.Run(() =>
            {
                _process.Start();
                _pid = _process.Id;
                _process.StandardInput.Close();
                _process.BeginOutputReadLine();
                _process.BeginErrorReadLine();
            });
            _startDone.SetResult();
            if (!_isWanted)
            {
                Kill();
            }
        }
#pragma warning disable CA1031 // whatever it is, the process does not serve, and that is told where it matters
        catch (Exception exception)
#pragma warning restore CA1031
        {
            Kill();
            MayBeTriedAgain = false;
            OnFailed(exception is Win32Exception ? $"'{_launch.Program}' cannot be started: {Reason(exception)}" : exception.Message);
            OnEnded();
        }
    }

    public override void Kill()
    {
        _isWanted = false;
        if (_pid == 0 || Ended.IsCompleted)
        {
            return;
        }

        // With all that it has started; looking for them takes its time, so it is done elsewhere.
        Process process = _process;
        _ = Task.Run(() =>
        {
            try
            {
                process.Kill(entireProcessTree: true);
            }
            catch (Exception exception) when (exception is InvalidOperationException or Win32Exception or AggregateException)
            {
                // It has ended by itself.
            }
        });
    }

    public override void KillAtOnce()
    {
        try
        {
            if (_pid != 0 && !Ended.IsCompleted)
            {
                _process.Kill();
            }
        }
        catch (Exception exception) when (exception is InvalidOperationException or Win32Exception)
        {
            // It has ended by itself.
        }
    }

    async Task OnExitedAsync()
    {
        await _startDone.Task;
        if (Attached == 0 && !_isDisposed)
        {
            // Its last words, but not those of a grandchild that keeps the pipes open.
            using var patience = new CancellationTokenSource(LastWordsMs);
            await _process.WaitForExitAsync(patience.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
        }

        if (_isDisposed)
        {
            return; // nobody wants to know any more
        }

        _exitCode = _process.ExitCode;
        MayBeTriedAgain = Failure is null && _exitCode != UsageExitCode && !(_hasOwnSession && _exitCode is CannotStart or NotFound);
        OnEnded();
        Dispose();
    }

    public override void Dispose()
    {
        _isDisposed = true;
        _process.Dispose();
    }

    static string Reason(Exception exception)
    {
        // "An error occurred trying to start process 'x' with working directory 'y'. No such file or directory"
        string message = exception.Message;
        int at = message.LastIndexOf(". ", StringComparison.Ordinal);
        return at < 0 ? message : message[(at + 2)..];
    }
}

/// <summary>A process that an engine before this one started, and left running.</summary>
sealed class KeptProcess : HandlerProcess
{
    const int Sigkill = 9;

    readonly SupervisionLoop _loop;
    readonly PidFd? _process;
    readonly ulong _watch;

    public KeptProcess(SupervisionLoop loop, int pid)
    {
        _loop = loop;
        Pid = pid;
        if (pid == Environment.ProcessId)
        {
            return; // a handler inside the engine's process: its connections tell
        }

        PidFd? process = null;
        try
        {
            process = PidFd.Open(pid);
            _watch = loop.Watch(process.Descriptor, OnExited);
            _process = process;
        }
        catch (LinuxException)
        {
            process?.Dispose(); // it cannot be seen from here: its connections tell
        }
    }

    public override int Pid { get; }

    public override bool IsChild => false;

    /// <summary>It has no connection any more, and nothing else tells its end.</summary>
    public void OnUnreachable()
    {
        if (_process is null)
        {
            OnEnded();
        }
    }

    public override void Kill()
    {
        try
        {
            if (_process is { Descriptor: >= 0 })
            {
                _process.Kill(Sigkill);
            }
        }
        catch (LinuxException)
        {
            // Not ours to kill: it loses its connections all the same.
        }
    }

    void OnExited()
    {
        Dispose();
        OnEnded();
    }

    public override void Dispose()
    {
        if (_process is { Descriptor: >= 0 })
        {
            _loop.Unwatch(_watch, _process.Descriptor);
            _process.Dispose();
        }
    }
}
