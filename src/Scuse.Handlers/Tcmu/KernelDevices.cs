using System.Collections.Concurrent;
using Scuse.Linux;
using Scuse.Serving;

namespace Scuse.Tcmu;

/// <summary>All user backstores of the kernel that are this handler's: those there are, and those that come. docs/kernel.md.</summary>
sealed class KernelDevices : IDisposable
{
    readonly HandlerHost _host;
    readonly OpenDevice _open;
    readonly TextWriter _errors;
    readonly ErrorLog _log;
    readonly UioFolder _uio = new(UioFolder.WellKnown);
    readonly CancellationTokenSource _hung = new();

    // By minor number. Touched only by the loop in RunAsync and what it calls, but for the removal of what has ended.
    readonly ConcurrentDictionary<uint, (KernelDevice Device, Task<DeviceEnd> Run)> _devices = new();

    // The answers to notices that are still to be given. Touched only by that loop.
    readonly List<Task> _answers = [];

    // By number: the devices whose ADDED has been answered. A second answer would be taken for that to the next notice, and leave that one's writer waiting for ever.
    readonly ConcurrentDictionary<uint, bool> _addedIsAnswered = new();

    TcmuNotices? _notices;
    volatile bool _allOrderly = true;

    internal KernelDevices(HandlerHost host, OpenDevice open, TextWriter errors)
    {
        (_host, _open, _errors) = (host, open, errors);
        _log = new ErrorLog(errors);
    }

    /// <summary>Serves until it is told to stop; whether everything ended in order.</summary>
    internal async Task<bool> RunAsync(CancellationToken stop)
    {
        try
        {
            _notices = TcmuNotices.Open();
        }
        catch (IOException failure)
        {
            _log.Line($"cannot serve the kernel: {ErrorLog.OneLine(failure.Message)}");
            return false;
        }

        using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(stop, _hung.Token);
        try
        {
            _log.Line($"serving the kernel's user backstores of subtype '{_host.Options.Subtype}'");
            Scan(); // after listening has begun: nothing that comes now is missed
            while (true)
            {
                await _host.Watcher.ReadableAsync(_notices.Descriptor, -1, end.Token).ConfigureAwait(false);
                if (!_notices.Receive(Take))
                {
                    _log.Line("notices of the kernel were lost; looking at everything anew");
                    Scan();
                    foreach ((KernelDevice device, _) in _devices.Values)
                    {
                        _answers.Add(device.CatchUpAsync());
                    }
                }

                _answers.RemoveAll(static answer => answer.IsCompleted);
            }
        }
        catch (OperationCanceledException) when (end.IsCancellationRequested)
        {
            Task all = StopAllAsync();
            if (_hung.IsCancellationRequested)
            {
                await Task.WhenAny(all, Task.Delay(HandlerHost.HungGraceMs, CancellationToken.None)).ConfigureAwait(false);
                return false;
            }

            await Task.WhenAny(all, Task.Delay(Timeout.Infinite, _hung.Token)).ConfigureAwait(false);
            return _allOrderly;
        }
    }

    public void Dispose()
    {
        _notices?.Dispose();
        _hung.Dispose();
    }

    Task StopAllAsync()
    {
        List<Task> runs = [];
        foreach ((KernelDevice device, Task<DeviceEnd> run) in _devices.Values)
        {
            device.RequestStop();
            runs.Add(run);
        }

        return Task.WhenAll([.. runs, .. _answers]);
    }

    /// <summary>Has everything served that there is, and is not.</summary>
    void Scan()
    {
        foreach ((uint minor, BackstoreName name) in _uio.List())
        {
            if (!IsOwn(name))
            {
                continue;
            }

            _answers.Add(AnswerUnheardAsync(Ensure(minor, name)));
        }
    }

    void Take(TcmuNotice notice)
    {
        if (notice.Name is not { } name || !IsOwn(name))
        {
            return;
        }

        // Nothing here looks into configfs: who removes a backstore keeps its folder locked while it waits for the answer, and that may be another daemon's.
        switch (notice.Command)
        {
            case TcmuCommand.Added:
                _answers.Add(AnswerAddedAsync(Ensure(notice.Minor, name), notice.DeviceId));
                break;
            case TcmuCommand.Removed:
                _answers.Add(RemoveAsync(notice));
                break;
            case TcmuCommand.Reconfigure:
                _answers.Add(ReconfigureAsync(notice));
                break;
        }
    }

    bool IsOwn(BackstoreName name) =>
        name.Subtype == _host.Options.Subtype && (_host.Options.Devices.Count == 0 || _host.Options.Devices.Any(name.Matches));

    static BackstoreFolder FolderOf(BackstoreName name) => new(BackstoreFolder.WellKnownCore, name);

    KernelDevice Ensure(uint minor, BackstoreName name)
    {
        Task before = Task.CompletedTask;
        if (_devices.TryGetValue(minor, out (KernelDevice Device, Task<DeviceEnd> Run) known))
        {
            if (known.Device.Name == name && !known.Run.IsCompleted && !known.Device.IsGoing)
            {
                return known.Device;
            }

            before = known.Run; // the number has been given again, and the one before is about to end
        }

        KernelDevice device = new(_host, _uio, FolderOf(name), minor, name, new ErrorLog(_errors, name.Path), _open);
        _devices[minor] = (device, RunAsync(device, before));
        return device;
    }

    async Task<DeviceEnd> RunAsync(KernelDevice device, Task before)
    {
        await before.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ForceYielding);
        DeviceEnd end = await device.RunAsync().ConfigureAwait(false);
        if (end != DeviceEnd.Orderly)
        {
            _allOrderly = false;
        }

        if (end == DeviceEnd.Hung)
        {
            await _hung.CancelAsync().ConfigureAwait(false); // its commands may still write: the process has to go
        }

        return end;
    }

    /// <summary>Nobody may have been there to answer when it was enabled, or the notice was lost: whoever enables it would wait for ever.</summary>
    async Task AnswerUnheardAsync(KernelDevice device)
    {
        await device.Started.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        BackstoreFolder folder = FolderOf(device.Name);
        if (folder.ReadIsEnabled() == false)
        {
            await AnswerAddedAsync(device, folder.ReadDeviceId()).ConfigureAwait(false);
        }
    }

    async Task AnswerAddedAsync(KernelDevice device, uint? deviceId)
    {
        await device.Started.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        bool isServed = await device.Started.ConfigureAwait(false);
        device.RepliesInForce = FolderOf(device.Name).ReadRepliesInForce() == true;
        if (device.RepliesInForce && deviceId is { } id && _addedIsAnswered.TryAdd(id, true))
        {
            Answer(TcmuCommand.Added, id, isServed ? 0 : -Errno.EIO);
        }
    }

    /// <summary>Until this has answered, whoever looks into the backstore's folder waits with the one who removes it.</summary>
    async Task RemoveAsync(TcmuNotice notice)
    {
        bool isAnswered = true; // an answer that nobody waits for does no harm
        if (_devices.TryGetValue(notice.Minor, out (KernelDevice Device, Task<DeviceEnd> Run) known) && known.Device.Name == notice.Name)
        {
            isAnswered = known.Device.RepliesInForce;
            known.Device.RequestRemoval();
            await ((Task)known.Run).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            _devices.TryRemove(new(notice.Minor, known));
        }

        if (notice.DeviceId is { } id)
        {
            _addedIsAnswered.TryRemove(id, out _);
            if (isAnswered)
            {
                Answer(TcmuCommand.Removed, id, 0);
            }
        }
    }

    async Task ReconfigureAsync(TcmuNotice notice)
    {
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        bool isAnswered = FolderOf(notice.Name!).ReadRepliesInForce() == true;
        int status = _devices.TryGetValue(notice.Minor, out (KernelDevice Device, Task<DeviceEnd> Run) known) && known.Device.Name == notice.Name
            ? await known.Device.ReconfigureAsync(notice).ConfigureAwait(false)
            : -Errno.ENODEV;
        if (isAnswered && notice.DeviceId is { } id)
        {
            Answer(TcmuCommand.Reconfigure, id, status);
        }
    }

    void Answer(TcmuCommand command, uint id, int status)
    {
        try
        {
            _notices!.Answer(command, id, status);
        }
        catch (Exception failure) when (failure is LinuxException or ObjectDisposedException)
        {
            _log.Line($"the kernel could not be answered: {ErrorLog.OneLine(failure.Message)}");
        }
    }
}
