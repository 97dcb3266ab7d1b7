namespace Scuse;

/// <summary>A task management function, by its number in the ring. SAM-5 clause 7.</summary>
public enum TaskManagementFunction
{
    /// <summary>One that has no number in the ring.</summary>
    Unknown = 0,

    /// <summary>One command is not wanted any more.</summary>
    AbortTask = 1,

    /// <summary>All commands of one initiator are not wanted any more.</summary>
    AbortTaskSet = 2,

    /// <summary>An auto contingent allegiance is over.</summary>
    ClearAca = 3,

    /// <summary>All commands of all initiators are not wanted any more.</summary>
    ClearTaskSet = 4,

    /// <summary>The logical unit is reset.</summary>
    LogicalUnitReset = 5,

    /// <summary>The target is reset.</summary>
    TargetWarmReset = 6,

    /// <summary>The target is reset as if it had been switched off and on.</summary>
    TargetColdReset = 7,

    /// <summary>A persistent reservation was taken from an initiator together with its commands.</summary>
    PreemptAndAbort = 128,
}

/// <summary>The target carried out a task management function.</summary>
/// <param name="Function">Which one.</param>
/// <param name="Commands">How many commands that are under way in this handler it concerns. Their abort tokens are set already.</param>
public readonly record struct TaskManagementNotice(TaskManagementFunction Function, int Commands);
