using System.Runtime.InteropServices;
using Scuse.Attach;
using Scuse.Linux;
using Scuse.Ring;
using Scuse.Ring.Attach;
using Scuse.Serving;

namespace Scuse;

/// <summary>Opens a device: given what was asked for and the pass level, makes the server of its commands.</summary>
delegate ValueTask<CommandServer> OpenDevice(DeviceInfo device, string askedLevel, ErrorLog log);

/// <summary>One run of a handler: attaches, opens, serves until it is over, closes.</summary>
sealed class HandlerHost(HandlerOptions options, OpenDevice open, TextWriter errors)
{
    internal const int ExitOrderly = 0, ExitFailed = 1, ExitUsage = 2;

    readonly ErrorLog _log = new(errors);
    readonly Lock _stopLock = new();

    // Guarded by _stopLock: the loop to stop, once there is one; whether it should not even start.
    ServingLoop? _loop;
    bool _stopped;

    /// <summary>Runs to the end and returns the process exit code.</summary>
    internal async Task<int> RunAsync()
    {
        if (options.Device is not { } name)
        {
            _log.Line($"which device? give --device NAME, or set {AttachMessage.DeviceVariable}; --serve starts a target around this program");
            return ExitUsage;
        }

        try
        {
            using AttachSession session = AttachSession.Connect(options.Socket);
            return await AttachAsync(session, name).ConfigureAwait(false);
        }
        catch (AttachException failure)
        {
            _log.Line(failure.Message);
            return ExitFailed;
        }
    }

    /// <summary>Asks from another thread to answer what has been taken and to end.</summary>
    internal void RequestStop()
    {
        lock (_stopLock)
        {
            _stopped = true;
            _loop?.RequestStop();
        }
    }

    async Task<int> AttachAsync(AttachSession session, string name)
    {
        DeviceMessage asked = session.Greet(name, options.Name);
        using TargetWatch? watch = TargetWatch.Start(session.TargetPid);
        DeviceInfo device = new()
        {
            Name = asked.Device,
            RequestedSizeBytes = asked.SizeBytes > 0 ? asked.SizeBytes : options.SizeBytes,
            RequestedBlockSize = asked.BlockSize > 0 ? asked.BlockSize : options.BlockSize,
            Config = asked.Config.Length > 0 ? asked.Config : options.Config,
            Serial = asked.Serial,
            ReadOnly = asked.ReadOnly,
            Arguments = options.Rest,
        };

        CommandServer server;
        try
        {
            server = await open(device, asked.Level, _log).ConfigureAwait(false);
        }
        catch (Exception failure)
        {
            string line = ErrorLog.OneLine(failure.Message);
            session.ReportFailure(line);
            _log.Line($"cannot open '{name}': {line}");
            return ExitFailed;
        }

        int exit = ExitFailed;
        try
        {
            exit = await ServeAsync(session, server).ConfigureAwait(false);
        }
        finally
        {
            try
            {
                await server.CloseAsync().ConfigureAwait(false);
            }
            catch (Exception failure)
            {
                _log.Line($"closing '{name}' failed: {ErrorLog.OneLine(failure.Message)}");
                exit = ExitFailed;
            }
        }

        return exit;
    }

    async Task<int> ServeAsync(AttachSession session, CommandServer server)
    {
        RegionGrant? grant = session.ReportReady(server.Ready);
        if (grant is null)
        {
            return ExitOrderly;
        }

        MappedRegion? region = null;
        ServingLoop? loop = null;
        using EventFd doorbell = EventFd.FromHandle(grant.Doorbell);
        using EventFd targetDoorbell = EventFd.FromHandle(grant.TargetDoorbell);
        try
        {
            try
            {
                using (grant.Memory)
                {
                    region = MappedRegion.Map(grant.Memory, grant.Message.MapBytes);
                }

                bool waitFlags = Array.IndexOf(grant.Message.Ring, ReadyMessage.RingWaitFlags) >= 0;
                loop = new ServingLoop(server, region, doorbell, targetDoorbell, session, waitFlags, options.SpinMicroseconds);
            }
            catch (Exception failure) when (failure is RingFormatException or LinuxException or ArgumentException)
            {
                throw new AttachException($"the region that the target passed is unusable: {ErrorLog.OneLine(failure.Message)}", failure);
            }

            lock (_stopLock)
            {
                _loop = loop;
                if (_stopped)
                {
                    loop.RequestStop();
                }
            }

            ServingEnd end = await RunOnOwnThread(loop).ConfigureAwait(false);
            if (end == ServingEnd.RingBroken)
            {
                _log.Line($"the target broke the ring: {loop.Violation}");
            }

            if (loop.Abandoned > 0)
            {
                _log.Line($"{loop.Abandoned} commands did not end after the target was gone");
            }

            return end == ServingEnd.RingBroken || loop.Abandoned > 0 ? ExitFailed : ExitOrderly;
        }
        finally
        {
            lock (_stopLock)
            {
                _loop = null;
            }

            // A command that never ended may still write to its buffer, and ends by touching the loop's doorbell: both go with the process then.
            if (loop is null || loop.Abandoned == 0)
            {
                loop?.Dispose();
                region?.Dispose();
            }
        }
    }

    static Task<ServingEnd> RunOnOwnThread(ServingLoop loop)
    {
        TaskCompletionSource<ServingEnd> ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Thread thread = new(() =>
        {
            try
            {
                ended.SetResult(loop.Run());
            }
            catch (Exception failure)
            {
                ended.SetException(failure);
            }
        })
        {
            IsBackground = true,
            Name = "scuse serving",
        };
        thread.Start();
        return ended.Task;
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
