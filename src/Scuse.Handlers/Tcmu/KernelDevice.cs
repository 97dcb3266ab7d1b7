using Scuse.Linux;
using Scuse.Ring;
using Scuse.Serving;

namespace Scuse.Tcmu;

/// <summary>One user backstore of the kernel, from its appearance to its removal, or to the end of this process. docs/kernel.md.</summary>
#pragma warning disable CA1001 // a token source without a timer or a wait handle holds nothing that needs disposing
sealed class KernelDevice
#pragma warning restore CA1001
{
    const string DeviceFolder = "/dev";

    // Another process may be about to end, or may be the one that serves while this one stands by.
    const int FirstRetryMs = 20, MaxRetryMs = 500, TellBusyAfterMs = 1000;

    // A ring that does not become empty, since commands keep coming: from then on what comes is left to the next handler.
    const int DrainMs = 5000;

    readonly HandlerHost _host;
    readonly UioFolder _uio;
    readonly BackstoreFolder _folder;
    readonly ErrorLog _log;
    readonly OpenDevice _open;
    readonly CancellationTokenSource _leaving = new();
    readonly TaskCompletionSource<bool> _started = new(TaskCreationOptions.RunContinuationsAsynchronously);
    readonly Lock _lock = new();

    // Guarded by _lock: what is served, once it is.
    CommandServer? _server;
    ServedRing? _ring;
    UioDevice? _device;
    bool _isRemoved;
    bool _repliesInForce = true; // an answer that nobody waits for does no harm

    /// <param name="host">Whose threads serve it.</param>
    /// <param name="uio">Where it is found.</param>
    /// <param name="folder">Where its settings are.</param>
    /// <param name="minor">The number of its UIO device.</param>
    /// <param name="name">What it is called.</param>
    /// <param name="log">Who hears of it.</param>
    /// <param name="open">Opens it.</param>
    internal KernelDevice(HandlerHost host, UioFolder uio, BackstoreFolder folder, uint minor, BackstoreName name, ErrorLog log, OpenDevice open)
    {
        (_host, _uio, _folder, _log, _open) = (host, uio, folder, log, open);
        (Minor, Name) = (minor, name);
    }

    internal uint Minor { get; }

    internal BackstoreName Name { get; }

    /// <summary>Whether the kernel waits for an answer to each notice of it, as far as is known.</summary>
    internal bool RepliesInForce
    {
        get => Volatile.Read(ref _repliesInForce);
        set => Volatile.Write(ref _repliesInForce, value);
    }

    /// <summary>Whether it is about to end since the kernel has removed it, or removes it. Its name and number may be another's by now.</summary>
    internal bool IsGoing
    {
        get
        {
            lock (_lock)
            {
                return _isRemoved || _device is { IsGone: true };
            }
        }
    }

    /// <summary>Completes when it is served, with true, or when it will not be.</summary>
    internal Task<bool> Started => _started.Task;

    /// <summary>Serves it to the end.</summary>
    internal async Task<DeviceEnd> RunAsync()
    {
        DeviceEnd end = DeviceEnd.Failed;
        UioDevice? device = null;
        CommandServer? server = null;
        try
        {
            device = await OpenUioAsync().ConfigureAwait(false);
            if (device is null)
            {
                return end = DeviceEnd.Orderly;
            }

            lock (_lock)
            {
                _device = device;
            }

            server = await OpenAsync().ConfigureAwait(false);
            if (server is not null)
            {
                end = await ServeAsync(device, server).ConfigureAwait(false);
            }

            return end;
        }
        catch (OperationCanceledException) when (_leaving.IsCancellationRequested)
        {
            return end = DeviceEnd.Orderly;
        }
        catch (Exception failure) when (failure is LinuxException or RingFormatException or IOException)
        {
            _log.Line($"cannot be served: {ErrorLog.OneLine(failure.Message)}");
            return end = DeviceEnd.Failed;
        }
        finally
        {
            _started.TrySetResult(false);
            if (end != DeviceEnd.Hung)
            {
                // The device is closed last: then it is free for another process, and so is what lies behind it.
                end = await end.CloseAsync(server, _log, "closing").ConfigureAwait(false);
                device?.Dispose();
            }
        }
    }

    /// <summary>Asks from any thread to answer all there is, and to end. New commands wait for the next handler.</summary>
    internal void RequestStop()
    {
        _leaving.Cancel();
        ServedRing? ring;
        lock (_lock)
        {
            ring = _ring;
        }

        if (ring is not null)
        {
            _folder.Block(true);
            ring.RequestDrain();
            _ = Task.Delay(DrainMs).ContinueWith(static (_, ring) => ((ServedRing)ring!).RequestStop(), ring, TaskScheduler.Default);
        }
    }

    /// <summary>The kernel is about to remove it: no more commands come. Asks from any thread to end.</summary>
    internal void RequestRemoval()
    {
        lock (_lock)
        {
            _isRemoved = true;
            _ring?.RequestDrain();
        }

        _leaving.Cancel();
    }

    /// <summary>Has it be otherwise, as the operator wants; returns 0 or a negative error number.</summary>
    internal async Task<int> ReconfigureAsync(TcmuNotice notice)
    {
        CommandServer? server;
        lock (_lock)
        {
            server = _server;
        }

        if (server is null)
        {
            return -Errno.ENODEV;
        }

        if (notice.NewConfiguration is { } configuration && configuration != Name.Configuration)
        {
            _log.Line($"the configuration '{configuration}' is not taken while it is served");
            return -Errno.EOPNOTSUPP;
        }

        if (notice.WriteCache is not null)
        {
            _log.Line("what the handler says of its write cache stays as it is");
            return -Errno.EOPNOTSUPP;
        }

        if (notice.SizeBytes is not { } sizeBytes || sizeBytes == server.Ready.SizeBytes)
        {
            return 0;
        }

        try
        {
            await server.ResizeAsync(sizeBytes).ConfigureAwait(false);
            _log.Line($"the size is {SizeText.Format(sizeBytes)} now");
            return 0;
        }
        catch (Exception failure)
        {
            _log.Line($"the size stays {SizeText.Format(server.Ready.SizeBytes)}: {ErrorLog.OneLine(failure.Message)}");
            if (_folder.ReadRepliesInForce() != true)
            {
                _ = SetRightAsync(refusedBytes: sizeBytes, server.Ready.SizeBytes);
            }

            return failure is NotSupportedException ? -Errno.EOPNOTSUPP : -Errno.EINVAL;
        }
    }

    /// <summary>A kernel that does not wait for an answer takes every size as given: once it has, it is told the right one.</summary>
    async Task SetRightAsync(long refusedBytes, long sizeBytes)
    {
        const int looks = 50, lookEveryMs = 20;
        for (int i = 0; i < looks && _folder.ReadSizeBytes() != refusedBytes; i++)
        {
            await Task.Delay(lookEveryMs).ConfigureAwait(false);
        }

        if (_folder.ReadSizeBytes() == refusedBytes)
        {
            _folder.SetSizeBytes(sizeBytes);
        }
    }

    /// <summary>Looks again at what notices would have told that were lost.</summary>
    internal async Task CatchUpAsync()
    {
        long sizeBytes = _folder.ReadSizeBytes();
        if (sizeBytes > 0)
        {
            await ReconfigureAsync(new TcmuNotice { Command = TcmuCommand.Reconfigure, SizeBytes = sizeBytes }).ConfigureAwait(false);
        }
    }

    /// <summary>Opens the UIO device, which one process at a time can; null when it has gone meanwhile.</summary>
    async Task<UioDevice?> OpenUioAsync()
    {
        long begun = Environment.TickCount64;
        bool isTold = false;
        for (int retryMs = FirstRetryMs; IsThere(); retryMs = Math.Min(retryMs * 2, MaxRetryMs))
        {
            try
            {
                UioDevice device = UioDevice.Open($"{DeviceFolder}/uio{Minor}");
                if (IsThere())
                {
                    return device;
                }

                device.Dispose(); // the number is another's by now
                return null;
            }
            catch (LinuxException failure) when (failure.Errno is Errno.EBUSY)
            {
                if (!isTold && Environment.TickCount64 - begun > TellBusyAfterMs)
                {
                    _log.Line("another process serves it; this one stands by");
                    isTold = true;
                }
            }
            catch (LinuxException failure) when (failure.Errno is Errno.ENOENT or Errno.ENODEV or Errno.ENXIO)
            {
                // Its file is about to come, or to go.
            }

            await Task.Delay(retryMs, _leaving.Token).ConfigureAwait(false);
        }

        return null;
    }

    bool IsThere() => _uio.ReadName(Minor) == Name;

    async Task<CommandServer?> OpenAsync()
    {
        HandlerOptions options = _host.Options;
        if (_folder.ReadRepliesInForce() is { } inForce)
        {
            RepliesInForce = inForce;
        }

        long sizeBytes = _folder.ReadSizeBytes();
        int blockSize = _folder.ReadBlockSize();
        DeviceInfo device = new()
        {
            Name = Name.Path,
            RequestedSizeBytes = sizeBytes > 0 ? sizeBytes : options.SizeBytes,
            RequestedBlockSize = blockSize > 0 ? blockSize : options.BlockSize,
            Config = Name.Text.Length > 0 ? Name.Text : options.Config,
            Serial = _folder.ReadSerial(),
            Arguments = options.Rest,
            IsBehindKernel = true,
        };
        try
        {
            return await _open(device, Ring.Attach.ReadyMessage.LevelAll, _log).ConfigureAwait(false);
        }
        catch (Exception failure)
        {
            _log.Line($"cannot be opened: {ErrorLog.OneLine(failure.Message)}");
            return null;
        }
    }

    async Task<DeviceEnd> ServeAsync(UioDevice device, CommandServer server)
    {
        long known = _folder.ReadSizeBytes();
        MappedRegion region = device.Map(_uio.ReadMapBytes(Minor));
        ServingThread thread = _host.ThreadForOneMore();
        ServedRing ring;
        try
        {
            TakeOver(device, region);
            RingTerms terms = new() { KeepBuffers = _folder.CanFreeKept, MarksAnswers = true };
            ring = new ServedRing(thread, server, region, new UioDoorbells(device), new BackstoreChannel(_folder), terms);
        }
        catch
        {
            region.Dispose();
            throw;
        }

        bool isLeaving;
        lock (_lock)
        {
            (_server, _ring) = (server, ring);
            isLeaving = _isRemoved || _leaving.IsCancellationRequested;
        }

        thread.Add(ring); // which looks at the ring at once: what is there already rings no doorbell
        if (isLeaving)
        {
            ring.RequestDrain();
        }
        else if (_folder.CanBlock)
        {
            _folder.Block(false);
        }

        _log.Line($"served: {SizeText.Format(server.Ready.SizeBytes)} in blocks of {server.BlockSize}");
        _started.TrySetResult(true);
        server.TellSizes(sizeBytes => ThreadPool.QueueUserWorkItem(_ => _folder.SetSizeBytes(sizeBytes)), known);
        ServingEnd end;
        try
        {
            end = await ring.Ended.ConfigureAwait(false);
        }
        finally
        {
            server.TellSizes(null, server.Ready.SizeBytes);
            lock (_lock)
            {
                (_server, _ring) = (null, null);
            }
        }

        if (end == ServingEnd.RingBroken)
        {
            _log.Line($"the kernel's ring makes no sense: {ring.Violation}");
        }

        if (ring.Abandoned > 0)
        {
            _log.Line($"{ring.Abandoned} commands did not end after the device was gone");
            return DeviceEnd.Hung;
        }

        return end == ServingEnd.RingBroken ? DeviceEnd.Failed : DeviceEnd.Orderly;
    }

    /// <summary>Sees to what an earlier handler has left in the ring, with new commands held back. docs/decisions/0011-recovery-behind-the-kernel.md.</summary>
    void TakeOver(UioDevice device, MappedRegion region)
    {
        bool isBlocked = _folder.CanBlock && _folder.Block(true);
        device.Ring(); // the answers that it has shown and not told of
        string? why = null;
        bool hasCommands = false;
        try
        {
            HandlerRing left = new(region.Address, region.LengthBytes);
            hasCommands = left.HasCommands;
            why = !hasCommands ? null
                : !_host.Options.Continues ? "they end in BUSY, and initiators repeat them"
                : left.HasAnswersBegun() ? "answers to some had been begun: they end in BUSY, and initiators repeat them"
                : null;
        }
        catch (RingFormatException violation)
        {
            why = violation.Message;
        }

        // With nothing in the ring as well: it may be that the kernel takes no commands into it any more, which nothing shows.
        bool resets = why is not null || !hasCommands || !_host.Options.Continues;
        if (resets && isBlocked && _folder.CanReset && _folder.ResetRing())
        {
            if (why is not null)
            {
                _log.Line($"the handler before left commands behind; {why}");
            }
        }
        else if (hasCommands)
        {
            _log.Line("the handler before left commands behind; they are done now");
        }
    }
}
