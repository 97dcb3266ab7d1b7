using Scuse.Iscsi.FullFeature;
using Scuse.Iscsi.Negotiation;
using Scuse.Target;

namespace Scuse.Iscsi;

/// <summary>An iSCSI session: an initiator port's login to one target, or to discovery. RFC 7143 section 4.2.4.</summary>
/// <remarks>Touched only by the owning reactor. At present it has one connection, and ends with it (ErrorRecoveryLevel 0).</remarks>
public sealed class IscsiSession
{
    internal IscsiSession(
        IscsiServer server, IscsiConnection connection, SessionParameters parameters, TextNegotiation negotiation, ulong isid, ushort tsih,
        ScsiTarget? target, SessionTasks tasks)
    {
        Server = server;
        Connection = connection;
        Parameters = parameters;
        Negotiation = negotiation;
        Isid = isid;
        Tsih = tsih;
        Target = target;
        Tasks = tasks;
        TransferOut = new TransferOut(parameters, tasks, server.Buffers, Counters);
        Nexus = target?.Attach($"{parameters.InitiatorName},i,0x{isid:x12}");
    }

    /// <summary>The initiator's iSCSI name.</summary>
    public string InitiatorName => Parameters.InitiatorName;

    /// <summary>The alias that the initiator gave itself; empty when it gave none.</summary>
    public string InitiatorAlias => Parameters.InitiatorAlias;

    /// <summary>The initiator's part of the session identifier, 48 bits. RFC 7143 section 11.12.5.</summary>
    public ulong Isid { get; }

    /// <summary>Our part of the session identifier; never zero. RFC 7143 section 11.12.6.</summary>
    public ushort Tsih { get; }

    /// <summary>The target; null in a discovery session.</summary>
    public ScsiTarget? Target { get; }

    /// <summary>Whether it may only ask which targets there are.</summary>
    public bool IsDiscovery => Target is null;

    /// <summary>The I_T nexus; null in a discovery session.</summary>
    public Nexus? Nexus { get; }

    /// <summary>Its connection.</summary>
    public IscsiConnection Connection { get; }

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

    internal IscsiServer Server { get; }

    internal SessionParameters Parameters { get; }

    internal TextNegotiation Negotiation { get; }

    internal SessionTasks Tasks { get; }

    internal TransferOut TransferOut { get; }

    internal SessionCounters Counters { get; } = new();

    internal bool IsSameInitiatorPort(string initiatorName, ulong isid) =>
        Isid == isid && string.Equals(InitiatorName, initiatorName, StringComparison.OrdinalIgnoreCase);

    /// <summary>The nexus is lost; the connection lets go of the tasks.</summary>
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
    }
}
