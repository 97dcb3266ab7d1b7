using Scuse.Iscsi.Output;
using Scuse.Target;

namespace Scuse.Iscsi.FullFeature;

/// <summary>A connection that a session has lost, or that was logged out for recovery.</summary>
internal sealed class LostConnection(ushort connectionId)
{
    public ushort ConnectionId => connectionId;

    /// <summary>Whether the initiator has logged it out: only then may its tasks be claimed.</summary>
    public bool IsLoggedOut { get; set; }

    /// <summary>Until when they may; 0 until the first tick.</summary>
    public long DeadlineMs { get; set; }
}

/// <summary>
/// The tasks of lost connections, at ErrorRecoveryLevel 2: they go on without a connection until TASK REASSIGN makes them allegiant to another one, or
/// DefaultTime2Wait and DefaultTime2Retain are over. RFC 7143 sections 7.2.2 and 7.14.
/// </summary>
/// <remarks>Touched only by the owning reactor.</remarks>
internal sealed class SuspendedTasks(IscsiSession session)
{
    /// <summary>How many lost connections are remembered beside those that a session may have; the oldest one goes first.</summary>
    const int MaxLost = 16;

    readonly List<LostConnection> _lost = [];

    // Answered, but not acknowledged before the connection went: they are in no table any more, and this list is one of their holders.
    readonly List<IscsiTask> _answered = [];

    public bool Any => _lost.Count > 0;

    /// <summary>A connection is gone: its tasks are kept.</summary>
    public void Suspend(IscsiConnection connection, bool isLoggedOut)
    {
        FullFeaturePhase phase = connection.FullFeature!;
        if (_lost.Count == MaxLost)
        {
            Drop(_lost[0]);
        }

        var lost = new LostConnection(connection.ConnectionId) { IsLoggedOut = isLoggedOut };
        _lost.Add(lost);
        session.Order.DropPdus(phase);
        foreach (IscsiTask task in session.Tasks.Snapshot())
        {
            if (task.Phase == phase)
            {
                phase.DataSink.TakeBack(task);
                Detach(task, lost);
                session.TransferOut.Suspend(task);
            }
        }

        foreach (IscsiTask task in phase.Output.TakeAnswered())
        {
            Detach(task, lost);
            _answered.Add(task);
        }

        phase.Output.Clear();
    }

    static void Detach(IscsiTask task, LostConnection lost)
    {
        task.Phase = null;
        task.Lost = lost;
        task.IsQueued = false;
    }

    public LostConnection? Find(ushort connectionId) => _lost.FindLast(lost => lost.ConnectionId == connectionId);

    /// <summary>The initiator knows that a connection is gone, and may claim its tasks from now on.</summary>
    public void LogOut(ushort connectionId)
    {
        foreach (LostConnection lost in _lost)
        {
            lost.IsLoggedOut |= lost.ConnectionId == connectionId;
        }
    }

    /// <summary>Makes a task allegiant to a connection, if it may be; <see cref="Resume"/> then goes on with it. RFC 7143 section 11.5.1.</summary>
    public TaskManagementResponse TryClaim(uint initiatorTaskTag, FullFeaturePhase phase, out IscsiTask? task)
    {
        task = session.Tasks.Find(initiatorTaskTag) ?? _answered.FindLast(answered => answered.InitiatorTaskTag == initiatorTaskTag);
        if (task is null)
        {
            // Answered on a connection that is there, where its status can be had again.
            bool isAnswered = session.Connections.Any(connection => connection.FullFeature!.Output.Unacknowledged?.FindTask(initiatorTaskTag) is not null);
            return isAnswered ? TaskManagementResponse.TaskStillAllegiant : TaskManagementResponse.TaskDoesNotExist;
        }

        if (task.Lost is not { IsLoggedOut: true })
        {
            return TaskManagementResponse.TaskStillAllegiant;
        }

        task.Lost = null;
        task.Phase = phase;
        return TaskManagementResponse.FunctionComplete;
    }

    /// <summary>Goes on with a task that was claimed: asks for the data that is missing, or answers from a DataSN on.</summary>
    public void Resume(IscsiTask task, uint expDataSN)
    {
        OutputQueue output = task.Phase!.Output;
        switch (task.State)
        {
            case IscsiTaskState.Collecting:
                session.TransferOut.Resume(task);
                break;
            case IscsiTaskState.Completed:
                output.TransferIn!.StartAgain(task, expDataSN);
                output.AddResponse(task);
                break;
            case IscsiTaskState.Answered:
                _answered.Remove(task);
                task.Holders--;
                output.TransferIn!.StartAgain(task, expDataSN);
                output.AddResponse(task);
                break;
        }
    }

    /// <summary>The tasks of a lost connection end, without an answer. False when there is no such connection.</summary>
    public bool TryDrop(ushort connectionId)
    {
        bool any = false;
        while (Find(connectionId) is { } lost)
        {
            Drop(lost);
            any = true;
        }

        return any;
    }

    void Drop(LostConnection lost)
    {
        _lost.Remove(lost);
        foreach (IscsiTask task in session.Tasks.Snapshot())
        {
            if (task.Lost == lost)
            {
                session.DropTask(task);
            }
        }

        LetGoOf(_answered.FindAll(task => task.Lost == lost));
    }

    /// <summary>Time goes on.</summary>
    public void Tick(long nowMs)
    {
        foreach (LostConnection lost in _lost.ToList())
        {
            if (lost.DeadlineMs == 0)
            {
                lost.DeadlineMs = nowMs + ((session.Parameters.DefaultTime2WaitSeconds + session.Parameters.DefaultTime2RetainSeconds) * 1000L);
            }
            else if (nowMs >= lost.DeadlineMs)
            {
                Drop(lost);
            }
        }
    }

    /// <summary>The session has ended.</summary>
    public void Clear()
    {
        _lost.Clear();
        LetGoOf([.. _answered]);
    }

    void LetGoOf(List<IscsiTask> tasks)
    {
        foreach (IscsiTask task in tasks)
        {
            _answered.Remove(task);
            session.Tasks.LetGo(task);
        }
    }
}
