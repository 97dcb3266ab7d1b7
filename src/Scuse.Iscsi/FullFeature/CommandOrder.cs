using Scuse.Iscsi.Input;
using Scuse.Iscsi.Pdus;

namespace Scuse.Iscsi.FullFeature;

/// <summary>
/// Puts a session's numbered requests into the order of their CmdSN, whichever of its connections they came by: a request ahead of a gap is held until
/// the gap is filled. RFC 7143 section 4.2.2.1.
/// </summary>
/// <remarks>Touched only by the owning reactor.</remarks>
internal sealed class CommandOrder(IscsiSession session, CommandWindow window)
{
    /// <summary>How many task management functions may wait for the commands before them.</summary>
    const int MaxDeferred = 32;

    readonly HeldRequests _held = new(window.Size);
    readonly List<(FullFeaturePhase Phase, byte[] Headers)> _deferred = [];
    bool _isRunning;

    /// <summary>How many requests wait behind a gap.</summary>
    public int Held => _held.Count;

    /// <summary>How much memory the data of those among them that are no tasks holds, in bytes.</summary>
    public int HeldBytes => _held.Bytes;

    /// <summary>Keeps a task that is ahead of a gap.</summary>
    public void Hold(IscsiTask task)
    {
        task.State = IscsiTaskState.Held;
        window.TakeAhead(task.CmdSN);
        _held.Hold(task);
    }

    /// <summary>Keeps any other request that is ahead of a gap, with its data.</summary>
    public void Hold(FullFeaturePhase phase, uint cmdSN, in GatheredPdu pdu)
    {
        window.TakeAhead(cmdSN);
        _held.Hold(phase, cmdSN, pdu);
    }

    /// <summary>Gives a task to the core; a numbered one takes ExpCmdSN.</summary>
    public void Start(IscsiTask task)
    {
        task.State = IscsiTaskState.Begun;
        if (!task.Immediate)
        {
            window.TaskStarted();
            window.Advance();
        }

        session.Counters.Commands++;
        bool immediate = task.Immediate; // the record may be another task's when the core returns
        session.Target!.Begin(task.Scsi);
        if (!immediate)
        {
            Run();
        }
    }

    /// <summary>A request that is not carried out uses its number up.</summary>
    public void TakeNumber(in BasicHeader header, Arrival arrival)
    {
        if (header.Immediate || arrival == Arrival.Ignore)
        {
            return;
        }

        if (arrival == Arrival.Hold)
        {
            window.TakeAhead(header.CmdSN);
            return;
        }

        window.Advance();
        Run();
    }

    /// <summary>Runs what was held, as far as there is no gap.</summary>
    public void Run()
    {
        if (_isRunning)
        {
            return; // called from a request that was held: the loop below goes on with the next
        }

        _isRunning = true;
        while (window.NextIsTaken && session.IsAlive)
        {
            if (!_held.TryTake(window.ExpCmdSN, out IscsiTask? task, out HeldPdu? held))
            {
                window.Advance(); // aborted since
            }
            else if (task is not null)
            {
                RunTask(task);
            }
            else
            {
                window.Advance();
                RunPdu(held!.Value);
            }
        }

        _isRunning = false;
        if (_deferred.Count > 0)
        {
            PerformDeferred();
        }
    }

    /// <summary>Keeps an immediate task management function back until every command before it is here. False when too many are kept already.</summary>
    public bool TryDefer(FullFeaturePhase phase, ReadOnlySpan<byte> headers)
    {
        if (_deferred.Count == MaxDeferred)
        {
            return false;
        }

        _deferred.Add((phase, headers[..BasicHeader.Length].ToArray()));
        return true;
    }

    void PerformDeferred()
    {
        foreach ((FullFeaturePhase phase, byte[] headers) in _deferred.ToList())
        {
            if (!SerialNumber.IsBefore(window.ExpCmdSN, new BasicHeader(headers).CmdSN) && _deferred.Remove((phase, headers)) && phase.Connection.IsReceiving)
            {
                phase.PerformFunction(headers);
            }
        }
    }

    void RunTask(IscsiTask task)
    {
        if (task.Phase is { Connection.IsReceiving: false })
        {
            window.Advance();
            session.Tasks.Release(task);
        }
        else
        {
            Start(task);
        }
    }

    static void RunPdu(in HeldPdu held)
    {
        if (held.Phase.Connection.IsReceiving)
        {
            held.Phase.Execute(held.Pdu);
        }
        else
        {
            held.Phase.Return(held.Pdu.Data);
        }
    }

    /// <summary>A held task is not to run; its number stays taken.</summary>
    public void Drop(IscsiTask task)
    {
        _held.TryTake(task.CmdSN, out _, out _);
        task.Phase?.DataSink.Forget(task);
        session.Tasks.Release(task);
    }

    /// <summary>The requests other than tasks that came by a connection are not to run; their numbers stay taken.</summary>
    public void DropPdus(FullFeaturePhase phase)
    {
        _deferred.RemoveAll(deferred => deferred.Phase == phase);
        foreach (HeldPdu held in _held.TakePdusOf(phase))
        {
            phase.Return(held.Pdu.Data);
        }
    }
}
