namespace Scuse.Target;

/// <summary>Task management functions, numbered as on the wire. RFC 7143 section 11.5.1, RFC 7144; SAM-5 clause 7.</summary>
public enum TaskManagementFunction : byte
{
    /// <summary>Ends one task.</summary>
    AbortTask = 1,

    /// <summary>Ends all tasks of this nexus in the logical unit.</summary>
    AbortTaskSet = 2,

    /// <summary>Ends an auto contingent allegiance.</summary>
    ClearAca = 3,

    /// <summary>Ends all tasks of every nexus in the logical unit.</summary>
    ClearTaskSet = 4,

    /// <summary>Ends all tasks and resets the logical unit.</summary>
    LogicalUnitReset = 5,

    /// <summary>Resets every logical unit.</summary>
    TargetWarmReset = 6,

    /// <summary>Resets every logical unit and ends all sessions.</summary>
    TargetColdReset = 7,

    /// <summary>Moves a task to this connection.</summary>
    TaskReassign = 8,

    /// <summary>Asks whether a task is there. RFC 7144; SAM-5 clause 7.9.</summary>
    QueryTask = 9,

    /// <summary>Asks whether this nexus has tasks in the logical unit. RFC 7144; SAM-5 clause 7.10.</summary>
    QueryTaskSet = 10,

    /// <summary>Ends all tasks of this nexus and what else it had here. RFC 7144; SAM-5 clause 7.6.</summary>
    NexusReset = 11,

    /// <summary>Asks for a pending unit attention or deferred error, and leaves it pending. RFC 7144; SAM-5 clause 7.8.</summary>
    QueryAsynchronousEvent = 12,
}

/// <summary>Why tasks are aborted, numbered as in the ring's task management entries.</summary>
public enum AbortCause : byte
{
    /// <summary>ABORT TASK. SAM-5 clause 7.2.</summary>
    AbortTask = 1,

    /// <summary>ABORT TASK SET, or the nexus is lost. SAM-5 clauses 7.3 and 6.3.4.</summary>
    AbortTaskSet = 2,

    /// <summary>CLEAR ACA. SAM-5 clause 7.4.</summary>
    ClearAca = 3,

    /// <summary>CLEAR TASK SET. SAM-5 clause 7.5.</summary>
    ClearTaskSet = 4,

    /// <summary>LOGICAL UNIT RESET. SAM-5 clause 7.7.</summary>
    LogicalUnitReset = 5,

    /// <summary>TARGET WARM RESET. RFC 7143 section 11.5.1.</summary>
    TargetWarmReset = 6,

    /// <summary>TARGET COLD RESET. RFC 7143 section 11.5.1.</summary>
    TargetColdReset = 7,

    /// <summary>PERSISTENT RESERVE OUT with PREEMPT AND ABORT. SPC-4 clause 5.12.11.</summary>
    PreemptAndAbort = 128,
}

/// <summary>How a task management function ended. RFC 7143 section 11.6.1.</summary>
public enum TaskManagementResponse : byte
{
    /// <summary>Done.</summary>
    FunctionComplete = 0,

    /// <summary>No such task.</summary>
    TaskDoesNotExist = 1,

    /// <summary>No such logical unit.</summary>
    LunDoesNotExist = 2,

    /// <summary>The task still belongs to a live connection.</summary>
    TaskStillAllegiant = 3,

    /// <summary>Tasks cannot be moved here.</summary>
    ReassignmentNotSupported = 4,

    /// <summary>This function is not supported.</summary>
    FunctionNotSupported = 5,

    /// <summary>The initiator may not do this.</summary>
    AuthorizationFailed = 6,

    /// <summary>A query finds what it asks for. RFC 7144.</summary>
    FunctionSucceeded = 7,

    /// <summary>Refused.</summary>
    FunctionRejected = 255,
}

/// <summary>One task management function under way.</summary>
public sealed class TaskManagementRequest
{
    /// <summary>Who asked.</summary>
    public required Nexus Nexus { get; init; }

    /// <summary>Where the answer goes.</summary>
    public required ITaskTransport Transport { get; init; }

    /// <summary>What is asked.</summary>
    public required TaskManagementFunction Function { get; init; }

    /// <summary>The logical unit it is for, as the eight bytes on the wire.</summary>
    public ulong Lun { get; init; }

    /// <summary>For <see cref="TaskManagementFunction.AbortTask"/>: the task, or null when the transport knows none by that tag.</summary>
    public ScsiTask? Referenced { get; init; }

    /// <summary>The transport's own record.</summary>
    public object? TransportState { get; init; }

    /// <summary>
    /// What <see cref="TaskManagementFunction.QueryAsynchronousEvent"/> has found, 24 bits: how many conditions there are (1 one, 2 more) and the sense key,
    /// then the additional sense code. Zero for other functions. SAM-5 clause 7.8.
    /// </summary>
    public int AdditionalResponseInformation { get; internal set; }

    /// <summary>How many aborted tasks the device has not let go of yet. Touched only by the target core.</summary>
    internal int Waiting { get; set; }

}
