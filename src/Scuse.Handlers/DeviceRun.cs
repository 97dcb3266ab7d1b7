using Scuse.Attach;
using Scuse.Linux;
using Scuse.Ring;
using Scuse.Ring.Attach;
using Scuse.Serving;

namespace Scuse;

/// <summary>One device of the process: attaches, opens, serves, attaches again when the target comes back, and closes at the end.</summary>
sealed class DeviceRun(HandlerHost host, string name, bool replace, ErrorLog log, OpenDevice open)
{
    readonly Lock _lock = new();

    // Guarded by _lock: the rings to stop, once there are any.
    RingSet? _rings;

    // What the target said last.
    DeviceMessage? _asked;

    /// <summary>Runs to the end.</summary>
    /// <param name="connect">Makes the first connection.</param>
    internal async Task<DeviceEnd> RunAsync(Func<AttachSession> connect)
    {
        CommandServer? server = null;
        AttachSession? session = null;
        IDisposable? watch = null;
        DeviceEnd end = DeviceEnd.Failed;
        try
        {
            // One that is to take over waits in no line: the target passes all devices on together, when it has heard of all.
            IDisposable? turn = replace ? null : await host.Door.EnterAsync().ConfigureAwait(false);
            try
            {
                session = connect();
                _asked = await session.GreetAsync(new HelloMessage { Device = name, Handler = host.Options.Name, Replace = replace }).ConfigureAwait(false);
                turn ??= await host.Door.EnterAsync().ConfigureAwait(false);
                watch = host.Watch.Hold(session.TargetPid);
                server = await OpenAsync(session, _asked).ConfigureAwait(false);
                while (server is not null)
                {
                    // The device's name is held in the target until the region is there, or is refused.
                    ServingEnd? how = await ServeAsync(session, server, turn).ConfigureAwait(false);
                    if (how is null)
                    {
                        return end = DeviceEnd.Hung;
                    }

                    end = how == ServingEnd.RingBroken ? DeviceEnd.Failed : DeviceEnd.Orderly;
                    if (how is not (ServingEnd.TargetGone or ServingEnd.Released) || _asked.KeepSeconds <= 0)
                    {
                        break;
                    }

                    session.Dispose();
                    session = null;
                    watch?.Dispose();
                    watch = null;
                    long deadline = Environment.TickCount64 + Math.Min(_asked.KeepSeconds, int.MaxValue / 1000) * 1000L;
                    turn = await host.Door.EnterAsync().ConfigureAwait(false);
                    session = await AttachAgainAsync(deadline).ConfigureAwait(false);
                    if (session is null)
                    {
                        break;
                    }

                    watch = host.Watch.Hold(session.TargetPid);
                }
            }
            finally
            {
                turn?.Dispose();
            }
        }
        catch (OperationCanceledException) when (host.IsStopping)
        {
            end = DeviceEnd.Orderly;
        }
        catch (AttachException failure)
        {
            host.TellAttachFailure(log, failure);
            end = DeviceEnd.Failed;
        }
        finally
        {
            if (end != DeviceEnd.Hung)
            {
                // The connection is closed last: that tells the target that the device is free.
                using (session is null && server is not null ? host.Watch.Limit() : null)
                {
                    end = await end.CloseAsync(server, log, $"closing '{name}'").ConfigureAwait(false);
                }

                watch?.Dispose();
                session?.Dispose();
            }
        }

        return end;
    }

    /// <summary>Asks from any thread to answer what has been taken, and to end.</summary>
    internal void RequestStop()
    {
        lock (_lock)
        {
            _rings?.RequestStop();
        }
    }

    async Task<CommandServer?> OpenAsync(AttachSession session, DeviceMessage asked)
    {
        HandlerOptions options = host.Options;
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
        try
        {
            return await open(device, asked.Level, log).ConfigureAwait(false);
        }
        catch (Exception failure)
        {
            string line = ErrorLog.OneLine(failure.Message);
            session.ReportFailure(line);
            log.Line($"cannot open '{name}': {line}");
            return null;
        }
    }

    /// <summary>Serves until that is over; null when commands did not end. The turn to attach is given back as soon as the region is there.</summary>
    async Task<ServingEnd?> ServeAsync(AttachSession session, CommandServer server, IDisposable turn)
    {
        RegionGrant? grant;
        ReadyMessage ready = server.Ready with { Rings = RegionMessage.MaxRegions };
        try
        {
            grant = await session.ReportReadyAsync(ready, server.OwnMemory?.Handle).ConfigureAwait(false);
        }
        catch (AttachException failure) when (failure.Problem == AttachProblem.NoTarget && _asked!.KeepSeconds > 0)
        {
            return ServingEnd.TargetGone;
        }

        if (grant is null)
        {
            return session.WasReleased ? ServingEnd.Released : ServingEnd.Removed;
        }

        RingSet rings = MakeRings(session, server, grant);
        turn.Dispose();
        lock (_lock)
        {
            _rings = rings;
            rings.Start();
            if (host.IsStopping)
            {
                rings.RequestStop();
            }
        }

        ServingEnd end;
        try
        {
            server.TellSizes(session.TellSize, ready.SizeBytes);
            end = await rings.EndAsync().ConfigureAwait(false);
        }
        finally
        {
            server.TellSizes(null, ready.SizeBytes);
            lock (_lock)
            {
                _rings = null;
            }
        }

        if (end == ServingEnd.RingBroken)
        {
            log.Line($"the target broke the ring: {rings.Violation}");
        }

        if (rings.Abandoned == 0)
        {
            return end;
        }

        log.Line($"{rings.Abandoned} commands did not end after the target was gone");
        return null;
    }

    RingSet MakeRings(AttachSession session, CommandServer server, RegionGrant grant)
    {
        RingTerms terms = new()
        {
            WaitFlags = grant.Message.Ring.Contains(ReadyMessage.RingWaitFlags),
            KeepBuffers = grant.Message.Ring.Contains(ReadyMessage.RingKeepBuffers),
            OwnMemory = grant.Message.Ring.Contains(ReadyMessage.RingOwnMemory),
            ServiceTimes = grant.Message.Ring.Contains(ReadyMessage.RingServiceTimes),
        };
        ServingThread[] threads = host.ThreadsFor(grant.Regions.Count, together: !server.IsThreadSafe);
        List<ServedRing> rings = [];
        try
        {
            foreach (GrantedRegion region in grant.Regions)
            {
                rings.Add(MakeRing(region, grant.Message.MapBytes, threads[rings.Count], server, new RegionChannel(session, rings.Count), terms));
            }

            return new RingSet(rings);
        }
        catch (AttachException)
        {
            rings.ForEach(static ring => ring.Discard());
            foreach (GrantedRegion region in grant.Regions)
            {
                region.Dispose();
            }

            throw;
        }
    }

    static ServedRing MakeRing(GrantedRegion granted, long mapBytes, ServingThread thread, CommandServer server, RegionChannel channel, RingTerms terms)
    {
        MappedRegion? region = null;
        try
        {
            EventFd doorbell = EventFd.FromHandle(granted.Doorbell);
            EventFd targetDoorbell = EventFd.FromHandle(granted.TargetDoorbell);
            region = MappedRegion.Map(granted.Memory, mapBytes);
            return new ServedRing(thread, server, region, new EventDoorbells(doorbell, targetDoorbell), channel, terms);
        }
        catch (Exception failure) when (failure is RingFormatException or LinuxException or ArgumentException)
        {
            region?.Dispose();
            throw new AttachException(AttachProblem.Broken, $"the region that the target passed is unusable: {ErrorLog.OneLine(failure.Message)}", failure);
        }
        finally
        {
            granted.Memory.Dispose();
        }
    }

    /// <summary>The target is gone or went for now: waits for one that knows the device. Null when none came.</summary>
    async Task<AttachSession?> AttachAgainAsync(long deadline)
    {
        DeviceMessage before = _asked!;
        HelloMessage hello = new() { Device = name, Handler = host.Options.Name, Identity = before.Identity };
        if (await host.Door.AttachAgainAsync(hello, deadline).ConfigureAwait(false) is not (AttachSession session, DeviceMessage device))
        {
            log.Line($"no target came back within {before.KeepSeconds} seconds");
            return null;
        }

        if (device.Identity != before.Identity)
        {
            // A target that does not look at identities may mean another device by the name.
            const string why = "the device was configured otherwise before";
            session.ReportFailure(why);
            session.Dispose();
            throw new AttachException(AttachProblem.Refused, $"cannot attach again: {why}");
        }

        _asked = device;
        return session;
    }
}
