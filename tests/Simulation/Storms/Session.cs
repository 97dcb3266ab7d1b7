using Scuse.Target;

namespace Scuse.Simulation.Storms;

/// <summary>An initiator's session: the transport side of a nexus. It only notes what it is told; what follows is done when the storm's step is over.</summary>
sealed class Session(int number, Storm storm) : ITaskTransport
{
    /// <summary>Counted over the whole storm: a session that logs in again is another one.</summary>
    public int Number => number;

    public required Nexus Nexus { get; init; }

    /// <summary>Sent and not yet told.</summary>
    public List<Operation> Open { get; } = [];

    /// <summary>Answered; data and status are on their way to the initiator.</summary>
    public List<Operation> Sending { get; } = [];

    /// <summary>Every value that this initiator wrote or has been shown.</summary>
    public HashSet<ulong> Seen { get; } = [Operation.Zero];

    public void OnDataOutWanted(ScsiTask task) => ((Operation)task.TransportState!).IsDataWanted = true;

    public void OnCompleted(ScsiTask task) => storm.Completed(this, (Operation)task.TransportState!, task);

    public void OnAborted(ScsiTask task) => storm.Aborted((Operation)task.TransportState!);

    public void OnTaskManagementCompleted(TaskManagementRequest request, TaskManagementResponse response) => storm.Managed(request);
}
