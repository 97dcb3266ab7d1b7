using System.ComponentModel;
using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Scuse.Ring.Attach;

namespace Scuse.Engine.Supervision;

/// <summary>Starts a logical unit's handler as a child process and starts it again when it ends, at once the first time and then ever less often.</summary>
sealed partial class HandlerSupervisor : IDisposable
{
    /// <summary>How often a handler that never attached is started before the engine gives up.</summary>
    const int StartAttempts = 3;

    /// <summary>How long a handler may take to attach for the first time.</summary>
    const int AttachMs = AttachServer.HandshakeMs;

    const int UsageExitCode = 2;
    const int FirstDelayMs = 100;
    const int LongestDelayMs = 5_000;

    readonly LunOptions _options;
    readonly string _socketPath;
    readonly ILogger _logger;
    readonly CancellationTokenSource _stopping = new();
    readonly TaskCompletionSource _started = new(TaskCreationOptions.RunContinuationsAsynchronously);
    readonly Lock _lock = new();
    Task _running = Task.CompletedTask;
    Process? _process; // under the lock
    bool _hasAttached; // under the lock: since its last start
    string? _lastLine;
    string? _failure;

    public HandlerSupervisor(LunOptions options, string socketPath, ILogger logger)
    {
        _options = options;
        _socketPath = socketPath;
        _logger = logger;
    }

    /// <summary>Ends when the handler has attached for the first time; fails with an <see cref="EngineException"/> when it does not.</summary>
    public Task StartAsync()
    {
        _running = Task.Run(RunAsync);
        return _started.Task;
    }

    public void OnAttached()
    {
        lock (_lock)
        {
            _hasAttached = true;
        }

        _started.TrySetResult();
    }

    /// <summary>The handler has let go of its connection: whatever is left of its process is ended, so that a new one can be started.</summary>
    public void OnDetached()
    {
        if (!_stopping.IsCancellationRequested)
        {
            Kill();
        }
    }

    public void OnFailed(string message) => _failure = message;

    public void OnNotAttached(string reason) => _failure ??= reason;

    async Task RunAsync()
    {
        int failures = 0;
        while (!_stopping.IsCancellationRequested)
        {
            string ending;
            bool mayRetry = true;
            try
            {
                int exitCode = await RunOnceAsync();
                ending = _failure ?? $"ended with exit code {exitCode}{(_lastLine is { } line ? $": {line}" : "")}";
                mayRetry = exitCode != UsageExitCode && _failure is null;
            }
            catch (Exception exception) when (exception is Win32Exception or InvalidOperationException or IOException)
            {
                ending = exception is Win32Exception ? $"'{_options.Launch!.Program}' cannot be started: {Reason(exception)}" : exception.Message;
                mayRetry = false;
            }

            if (_stopping.IsCancellationRequested)
            {
                break;
            }

            failures = HadAttached ? 0 : failures + 1;
            if (!_started.Task.IsCompleted && (!mayRetry || failures >= StartAttempts))
            {
                string times = failures > 1 ? $" ({failures} times)" : "";
                _started.TrySetException(new EngineException($"LUN {_options.Number} ({_options.Spec}): {ending}{times}"));
                break;
            }

            if (_started.Task.IsCompleted)
            {
                LogEnded(_logger, _options.Number, ending);
            }

            if (failures > 0)
            {
                int delayMs = (int)Math.Min((long)FirstDelayMs << Math.Min(failures - 1, 10), LongestDelayMs);
                await Task.Delay(delayMs, _stopping.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    bool HadAttached
    {
        get
        {
            lock (_lock)
            {
                return _hasAttached;
            }
        }
    }

    /// <summary>Runs the handler's process from start to end; returns its exit code.</summary>
    async Task<int> RunOnceAsync()
    {
        var start = new ProcessStartInfo(_options.Launch!.Program, _options.Launch.Arguments)
        {
            RedirectStandardError = true,
            RedirectStandardOutput = true,
            RedirectStandardInput = true,
            UseShellExecute = false,
        };
        start.Environment[AttachMessage.SocketVariable] = _socketPath;
        start.Environment[AttachMessage.DeviceVariable] = _options.DeviceName;
        using var process = new Process { StartInfo = start };
        process.OutputDataReceived += Relay;
        process.ErrorDataReceived += Relay;
        lock (_lock)
        {
            _hasAttached = false;
            _failure = null;
            _lastLine = null;
            process.Start();
            _process = process;
        }

        process.StandardInput.Close();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        try
        {
            if (!_started.Task.IsCompleted)
            {
                await WaitForFirstAttachAsync(process);
            }

            // Only for the process itself: a grandchild that keeps the pipes open must not delay the restart.
            while (!process.HasExited)
            {
                await WaitForExitAsync(process);
            }

            if (!_started.Task.IsCompleted)
            {
                await process.WaitForExitAsync(new CancellationTokenSource(200).Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing); // its last words
            }

            return process.ExitCode;
        }
        finally
        {
            lock (_lock)
            {
                _process = null;
            }
        }
    }

    async Task WaitForFirstAttachAsync(Process process)
    {
        Task exited = WaitForExitAsync(process);
        Task first = await Task.WhenAny(_started.Task, exited, Task.Delay(AttachMs, _stopping.Token));
        if (first != _started.Task && first != exited && !_stopping.IsCancellationRequested)
        {
            _failure ??= $"did not attach within {AttachMs / 1000} s";
            Kill();
        }
    }

    static Task WaitForExitAsync(Process process)
    {
        var exited = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        process.EnableRaisingEvents = true;
        process.Exited += (_, _) => exited.TrySetResult();
        if (process.HasExited)
        {
            exited.TrySetResult();
        }

        return exited.Task;
    }

    void Relay(object sender, DataReceivedEventArgs line)
    {
        if (!string.IsNullOrWhiteSpace(line.Data))
        {
            _lastLine = line.Data.Trim();
            if (_started.Task.IsCompleted)
            {
                LogLine(_logger, _options.Number, _lastLine);
            }
        }
    }

    void Kill()
    {
        lock (_lock)
        {
            try
            {
                _process?.Kill(entireProcessTree: true);
            }
            catch (Exception exception) when (exception is InvalidOperationException or Win32Exception or AggregateException)
            {
                // It has ended by itself.
            }
        }
    }

    /// <summary>The process is not started again; it may take until the deadline to end by itself.</summary>
    public async Task StopAsync(int deadlineMs)
    {
        await _stopping.CancelAsync();
        Process? process;
        lock (_lock)
        {
            process = _process;
        }

        if (process is not null)
        {
            await Task.WhenAny(_running, Task.Delay(deadlineMs));
            Kill();
        }

        await _running;
    }

    static string Reason(Exception exception)
    {
        // "An error occurred trying to start process 'x' with working directory 'y'. No such file or directory"
        string message = exception.Message;
        int at = message.LastIndexOf(". ", StringComparison.Ordinal);
        return at < 0 ? message : message[(at + 2)..];
    }

    public void Dispose() => _stopping.Dispose();

    [LoggerMessage(Level = LogLevel.Warning, Message = "LUN {Lun}: the handler {Ending}; starting it again")]
    static partial void LogEnded(ILogger logger, int lun, string ending);

    [LoggerMessage(Level = LogLevel.Information, Message = "LUN {Lun}: {Line}")]
    static partial void LogLine(ILogger logger, int lun, string line);
}
