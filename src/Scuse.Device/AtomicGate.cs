using System.Runtime.CompilerServices;
using Scuse.Scsi;

namespace Scuse.Device;

/// <summary>
/// Lets a command that must be atomic (COMPARE AND WRITE, ORWRITE) run, or one that has the whole medium written start, while no other runs; all others run beside each other. Where nothing atomic is
/// about, entering and leaving is an interlocked operation each.
/// </summary>
/// <remarks>
/// For a device server that stands alone before its device and may be called by several threads, as in a handler's process. In the engine the logical unit
/// sees to it, for the blocks concerned only.
/// </remarks>
sealed class AtomicGate
{
    // The commands inside, and the mark that one wants to be, or is, alone.
    const int Alone = 1 << 30;

    readonly Lock _lock = new();
    int _state;

    // Under the lock: who waits to be alone, the first of them next; and who waits for that to be over.
    readonly Queue<TaskCompletionSource> _wantAlone = new();
    readonly List<TaskCompletionSource> _others = [];
    bool _isAlone;

    /// <summary>Runs a command beside others.</summary>
    public ValueTask<ScsiResult> RunAsync(DeviceServer server, CommandEntry entry, BlockDeviceInfo info, in DeviceCommand command)
    {
        if (!TryEnter())
        {
            return RunLaterAsync(server, entry, info, command);
        }

        ValueTask<ScsiResult> running;
        try
        {
            running = entry.Handler(server, info, command);
        }
        catch
        {
            Leave();
            throw;
        }

        if (!running.IsCompletedSuccessfully)
        {
            return LeaveAfterAsync(running);
        }

        Leave();
        return running;
    }

    /// <summary>Runs a command alone.</summary>
    public async ValueTask<ScsiResult> RunAloneAsync(DeviceServer server, CommandEntry entry, BlockDeviceInfo info, DeviceCommand command)
    {
        TaskCompletionSource turn = new(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_lock)
        {
            _wantAlone.Enqueue(turn);
            if (_wantAlone.Count == 1 && !_isAlone && Interlocked.Or(ref _state, Alone) == 0)
            {
                GiveTurn();
            }
        }

        await turn.Task.ConfigureAwait(false);
        ValueTask<ScsiResult> running;
        try
        {
            if (!server.IsStillAdmitted(entry, out SenseData refusal))
            {
                return ScsiResult.Check(refusal);
            }

            running = entry.Handler(server, info, command);
            if ((entry.Needs & CommandNeeds.StartsMediumWork) == 0)
            {
                return await running.ConfigureAwait(false);
            }
        }
        finally
        {
            LeaveAlone();
        }

        return await running.ConfigureAwait(false); // what it has begun keeps others off by itself
    }

    bool TryEnter()
    {
        int state = Volatile.Read(ref _state);
        while ((state & Alone) == 0)
        {
            int seen = Interlocked.CompareExchange(ref _state, state + 1, state);
            if (seen == state)
            {
                return true;
            }

            state = seen;
        }

        return false;
    }

    void Leave()
    {
        if (Interlocked.Decrement(ref _state) == Alone)
        {
            lock (_lock)
            {
                if (!_isAlone && Volatile.Read(ref _state) == Alone && _wantAlone.Count > 0)
                {
                    GiveTurn();
                }
            }
        }
    }

    // Under the lock.
    void GiveTurn()
    {
        _isAlone = true;
        _wantAlone.Dequeue().SetResult();
    }

    void LeaveAlone()
    {
        lock (_lock)
        {
            _isAlone = false;
            if (_wantAlone.Count > 0)
            {
                GiveTurn();
                return;
            }

            Interlocked.And(ref _state, ~Alone);
            foreach (TaskCompletionSource other in _others)
            {
                other.SetResult();
            }

            _others.Clear();
        }
    }

    async ValueTask<ScsiResult> RunLaterAsync(DeviceServer server, CommandEntry entry, BlockDeviceInfo info, DeviceCommand command)
    {
        while (true)
        {
            TaskCompletionSource over = new(TaskCreationOptions.RunContinuationsAsynchronously);
            lock (_lock)
            {
                if (TryEnter())
                {
                    break;
                }

                _others.Add(over);
            }

            await over.Task.ConfigureAwait(false);
        }

        try
        {
            return server.IsStillAdmitted(entry, out SenseData refusal)
                ? await entry.Handler(server, info, command).ConfigureAwait(false)
                : ScsiResult.Check(refusal);
        }
        finally
        {
            Leave();
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    async ValueTask<ScsiResult> LeaveAfterAsync(ValueTask<ScsiResult> running)
    {
        try
        {
            return await running.ConfigureAwait(false);
        }
        finally
        {
            Leave();
        }
    }
}
