using System.Net;
using Scuse.Iscsi.Access;
using Scuse.Iscsi.FullFeature;
using Scuse.Iscsi.Negotiation;
using Scuse.Iscsi.Pdus;
using Scuse.Target;

namespace Scuse.Iscsi;

/// <summary>An iSCSI session: an initiator port's login to one target, or to discovery, by one connection or several. RFC 7143 section 4.2.4.</summary>
/// <remarks>
/// Touched only by the owning reactor, as are all its connections. Commands are executed in the order of their numbers whichever connection they came by; a
/// task's data and answer go by the connection that it came by, to which it is allegiant (RFC 7143 section 4.2.5.1).
/// </remarks>
public sealed class IscsiSession : ITaskTransport
{
    readonly List<IscsiConnection> _connections = [];

    internal IscsiSession(
        IscsiServer server, SessionParameters parameters, ulong isid, ushort tsih, IscsiTarget? node, SessionTasks tasks, IscsiConnection leading)
    {
        Server = server;
        Parameters = parameters;
        Isid = isid;
        Tsih = tsih;
        Node = node;
        Tasks = tasks;
        CreatedMs = leading.AcceptedMs;
        Address = leading.RemoteIP;
        TransferOut = new TransferOut(parameters, tasks, Counters);
        Order = new CommandOrder(this, tasks.Window);
        Suspended = new SuspendedTasks(this);
        Fence = new ResponseFence(this);
        Nexus = Target?.Attach($"{parameters.InitiatorName},i,0x{isid:x12}", node!.Access.MapFor(parameters.InitiatorName, Address), node.LaneAt(server));
    }

    /// <summary>The initiator's iSCSI name.</summary>
    public string InitiatorName => Parameters.InitiatorName;

    /// <summary>The alias that the initiator gave itself; empty when it gave none.</summary>
    public string InitiatorAlias => Parameters.InitiatorAlias;

    /// <summary>The CHAP user that the initiator has proved to be; null when it was not asked.</summary>
    public string? ChapUser => Parameters.Authenticated?.User.Name;

    /// <summary>The hash that it was proved with; null when it was not asked.</summary>
    public ChapAlgorithm? ChapAlgorithm => Parameters.Authenticated?.Algorithm;

    /// <summary>Whether the target has proved to the initiator who it is (mutual CHAP).</summary>
    public bool IsMutual => Parameters.Authenticated?.IsMutual ?? false;

    /// <summary>The initiator's part of the session identifier, 48 bits. RFC 7143 section 11.12.5.</summary>
    public ulong Isid { get; }

    /// <summary>Our part of the session identifier; never zero. RFC 7143 section 11.12.6.</summary>
    public ushort Tsih { get; }

    /// <summary>The target node; null in a discovery session.</summary>
    public IscsiTarget? Node { get; }

    /// <summary>The SCSI target device; null in a discovery session.</summary>
    public ScsiTarget? Target => Node?.Scsi;

    /// <summary>Whether it may only ask which targets there are.</summary>
    public bool IsDiscovery => Target is null;

    /// <summary>The I_T nexus; null in a discovery session.</summary>
    public Nexus? Nexus { get; }

    /// <summary>Its connections, in the order of their logins.</summary>
    public IReadOnlyList<IscsiConnection> Connections => _connections;

    /// <summary>When its first connection was accepted, on the owner's clock in milliseconds.</summary>
    public long CreatedMs { get; }

    /// <summary>Whether it still exists.</summary>
    public bool IsAlive { get; private set; } = true;

    /// <summary>How many commands have begun.</summary>
    public long Commands => Counters.Commands;

    /// <summary>How many commands have no answer yet.</summary>
    public int OutstandingTasks => Tasks.Count;

    /// <summary>How many bytes went to the initiator in Data-In PDUs.</summary>
    public long DataInBytes => Counters.DataInBytes;

    /// <summary>How many bytes came from the initiator as write data.</summary>
    public long DataOutBytes => Counters.DataOutBytes;

    /// <summary>How many task management requests came.</summary>
    public long TaskManagementRequests => Counters.TaskManagementRequests;

    /// <summary>How many PDUs were rejected.</summary>
    public long Rejects => Counters.Rejects;

    /// <summary>How many requests were outside the command window or a repetition, and ignored.</summary>
    public long IgnoredRequests => Counters.IgnoredRequests;

    /// <summary>How many Data-Out PDUs came for a task that was no more, and were ignored.</summary>
    public long IgnoredDataOuts => Counters.IgnoredDataOuts;

    /// <summary>Where its first connection came from, which decides what it sees.</summary>
    internal IPAddress? Address { get; }

    internal IscsiServer Server { get; }

    internal SessionParameters Parameters { get; }

    internal SessionTasks Tasks { get; }

    internal TransferOut TransferOut { get; }

    internal CommandOrder Order { get; }

    internal SuspendedTasks Suspended { get; }

    internal ResponseFence Fence { get; }

    /// <summary>Whether tasks outlive their connection. RFC 7143 section 7.1.5.</summary>
    bool KeepsTasks => Parameters is { ErrorRecoveryLevel: 2, DefaultTime2RetainSeconds: > 0, IsDiscovery: false };

    internal SessionCounters Counters { get; } = new();

    /// <summary>How much memory it ties up of what all share, in bytes: data that cannot go on yet, and control PDUs that its initiator has not taken.</summary>
    internal long BufferedBytes => Tasks.StagedBytes + (long)Order.HeldBytes + _connections.Sum(static connection => (long)connection.UnsentControlBytes);

    internal bool IsSameInitiatorPort(string initiatorName, ulong isid) =>
        Isid == isid && string.Equals(InitiatorName, initiatorName, StringComparison.OrdinalIgnoreCase);

    /// <summary>Asks the initiator to log every connection out within so many seconds; those that are there then are dropped. RFC 7143 section 11.9.1, event 1.</summary>
    public void RequestLogout(int seconds) => ForEach(connection => connection.RequestLogout(seconds));

    /// <summary>
    /// Asks the initiator to negotiate the connections' keys anew within so many seconds; a connection on which it does not is dropped. RFC 7143
    /// section 11.9.1, event 4.
    /// </summary>
    public void RequestNegotiation(int seconds) => ForEach(connection => connection.RequestNegotiation(seconds));

    /// <summary>
    /// Ends it: the initiator is told that all connections are being dropped, and they are. RFC 7143 section 11.9.1, event 3. No connection can come back to it, at no
    /// ErrorRecoveryLevel.
    /// </summary>
    public void Drop(string reason)
    {
        ForEach(connection => connection.Drop(AsyncEvent.SessionDropped, reason));
        End();
    }

    /// <summary>Tells the initiator that its target has it for so many seconds more; the target sees to what comes then.</summary>
    internal void AskToLeave(int seconds) => ForEach(connection => connection.AskToLeave(seconds));

    // ---- connections ----

    /// <summary>
    /// Whether a connection with that identifier may come in: in the place of one with the same, or as one more. At ErrorRecoveryLevel 2 there is room
    /// for one beyond MaxConnections, to log out one that only we take for alive: RFC 7143 section 6.3.4.
    /// </summary>
    internal bool HasRoomFor(ushort connectionId) =>
        IsAlive && !IsDiscovery
        && (Find(connectionId) is not null || _connections.Count < Parameters.MaxConnections + (Parameters.ErrorRecoveryLevel == 2 ? 1 : 0));

    /// <summary>
    /// A connection has logged in. One with the same identifier is taken for dead and logged out: connection reinstatement, RFC 7143 section 6.3.4.
    /// </summary>
    internal void Admit(IscsiConnection connection)
    {
        Suspended.LogOut(connection.ConnectionId);
        if (Find(connection.ConnectionId) is { } old)
        {
            LogOutForRecovery(old);
            old.FailNow($"the connection was reinstated from {connection.RemoteAddress}");
        }

        _connections.Add(connection);
        if (Node?.Drain is { } drain)
        {
            connection.AskToLeave(drain.SecondsLeft(connection.NowMs)); // as the others were
        }
    }

    internal IscsiConnection? Find(ushort connectionId) => _connections.Find(connection => connection.ConnectionId == connectionId);

    /// <summary>A connection's transport is gone.</summary>
    internal void Lost(IscsiConnection connection)
    {
        if (IsAlive && TakeOut(connection, isLoggedOut: false))
        {
            EndIfDeserted();
        }

        Fence.Gone(connection.FullFeature!);
    }

    /// <summary>A connection is taken for dead by its initiator, which may claim its tasks where they are kept. The caller has it closed.</summary>
    internal void LogOutForRecovery(IscsiConnection connection) => TakeOut(connection, isLoggedOut: true);

    bool TakeOut(IscsiConnection connection, bool isLoggedOut)
    {
        if (!KeepsTasks)
        {
            return Remove(connection);
        }

        if (!_connections.Remove(connection))
        {
            return false;
        }

        Suspended.Suspend(connection, isLoggedOut);
        return true;
    }

    /// <summary>Time goes on: tasks that nobody has claimed in time end, and with the last of them a session without connections.</summary>
    internal void Tick(long nowMs)
    {
        Fence.Tick(nowMs);
        if (Suspended.Any)
        {
            Suspended.Tick(nowMs);
            EndIfDeserted();
        }
    }

    void EndIfDeserted()
    {
        if (_connections.Count == 0 && !Suspended.Any)
        {
            End();
        }
    }

    /// <summary>Takes a connection out; its tasks end without an answer, those apart that are queued already. False when it was not there.</summary>
    internal bool Remove(IscsiConnection connection)
    {
        if (!_connections.Remove(connection))
        {
            return false;
        }

        FullFeaturePhase phase = connection.FullFeature!;
        Order.DropPdus(phase);
        foreach (IscsiTask task in Tasks.Snapshot())
        {
            if (task.Phase == phase)
            {
                DropTask(task);
            }
        }

        return true;
    }

    /// <summary>A task ends without an answer, that apart which is queued already.</summary>
    internal void DropTask(IscsiTask task)
    {
        task.Phase?.DataSink.Forget(task);
        if (task.State == IscsiTaskState.Held)
        {
            Order.Drop(task);
        }
        else if (task.IsWithCore)
        {
            AbortUnheard(task);
        }
        else if (!task.IsQueued)
        {
            Tasks.Release(task);
        }
    }

    /// <summary>Has the core end a task that nobody waits for.</summary>
    internal void AbortUnheard(IscsiTask task) => Target!.Manage(new TaskManagementRequest
    {
        Nexus = Nexus!, Transport = this, Function = TaskManagementFunction.AbortTask, Lun = task.Lun, Referenced = task.Scsi,
    });

    /// <summary>Its connections are to be closed once their output is sent.</summary>
    internal void Fail(string reason)
    {
        if (_connections.Count == 0)
        {
            End();
        }

        ForEach(connection => connection.Fail(reason));
    }

    /// <summary>
    /// The session and its nexus are no more, nor are the tasks that the core still has. Answers that are queued already can still be sent, as far as the
    /// connections stay open.
    /// </summary>
    internal void End()
    {
        if (!IsAlive)
        {
            return;
        }

        IsAlive = false;
        Server.Remove(this);
        if (Nexus is not null)
        {
            Target!.Detach(Nexus);
        }

        foreach (IscsiTask task in Tasks.Snapshot())
        {
            task.Phase?.DataSink.Forget(task);
            if (task.IsWithCore)
            {
                Tasks.Forget(task);
            }
            else
            {
                DropTask(task);
            }
        }

        Suspended.Clear();
        ForEach(connection => Order.DropPdus(connection.FullFeature!));
    }

    /// <summary>The same, and its connections are closed at once.</summary>
    internal void EndNow(string reason)
    {
        End();
        ForEach(connection => connection.FailNow(reason));
    }

    void ForEach(Action<IscsiConnection> what) => _connections.ToList().ForEach(what);

    // ---- the target core's calls ----

    /// <inheritdoc/>
    void ITaskTransport.OnDataOutWanted(ScsiTask task)
    {
        if (TaskOf(task) is { } known)
        {
            TransferOut.Wanted(known);
        }
    }

    /// <inheritdoc/>
    void ITaskTransport.OnCompleted(ScsiTask task)
    {
        if (TaskOf(task) is { } known)
        {
            TransferOut.Completed(known);
        }
    }

    /// <inheritdoc/>
    void ITaskTransport.OnDataInMoved(ScsiTask task)
    {
        if (TaskOf(task) is { Phase: { } phase } known)
        {
            phase.Output.DataInMoved(known);
        }
    }

    /// <inheritdoc/>
    void ITaskTransport.OnAborted(ScsiTask task)
    {
        if (TaskOf(task) is not { } known)
        {
            return;
        }

        bool wasClosed = Tasks.Window.IsClosed;
        FullFeaturePhase? phase = known.Phase;
        phase?.DataSink.Forget(known);
        Tasks.Forget(known);
        if (wasClosed && phase is { IsOpen: true })
        {
            // No answer will carry the new MaxCmdSN when another initiator aborted the task.
            phase.Keepalive.SendNumbers();
        }
    }

    /// <inheritdoc/>
    void ITaskTransport.OnTaskManagementCompleted(TaskManagementRequest request, TaskManagementResponse response)
    {
        if (IsAlive && request.TransportState is PendingFunction { Phase.IsOpen: true } pending)
        {
            pending.Phase.OnTaskManagementCompleted(request, response, pending);
        }
    }

    static IscsiTask? TaskOf(ScsiTask task) => task.TransportState as IscsiTask;
}
