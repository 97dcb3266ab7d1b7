namespace Scuse.Device;

/// <summary>What MODE SELECT may set that others than the device server go by: parts of the Control mode page. SPC-4 clause 7.5.8.</summary>
public sealed record ControlSettings
{
    /// <summary>What holds until somebody changes it.</summary>
    public static ControlSettings Default { get; } = new();

    /// <summary>D_SENSE: sense data comes in descriptor format.</summary>
    public bool DescriptorSense { get; init; }

    /// <summary>TST is 001b: each I_T nexus has a task set of its own. SAM-5 clause 8.3.</summary>
    public bool TaskSetPerNexus { get; init; }

    /// <summary>QERR: what becomes of other tasks when one ends with CHECK CONDITION.</summary>
    public QueueErrorManagement QueueError { get; init; }

    /// <summary>TAS: tasks that another nexus's function aborts end with TASK ABORTED and not in silence.</summary>
    public bool ReportsTaskAborted { get; init; }

    /// <summary>SWP: nothing may be written. SBC-3 and SPC-4 clause 7.5.8.</summary>
    public bool SoftwareWriteProtect { get; init; }
}

/// <summary>QERR. SPC-4 table 362.</summary>
public enum QueueErrorManagement : byte
{
    /// <summary>The others go on.</summary>
    GoOn = 0,

    /// <summary>All tasks in the task set are aborted.</summary>
    AbortAll = 1,

    /// <summary>Those of the same nexus are aborted.</summary>
    AbortOwn = 3,
}
