namespace Scuse.Target;

/// <summary>What the transport of a task hears when nobody waits for its answer any more.</summary>
enum DisownedTask
{
    /// <summary>Nothing: its nexus is gone.</summary>
    EndsInSilence,

    /// <summary>At once, that it was aborted; the initiator hears nothing.</summary>
    EndsAtOnce,

    /// <summary>TASK ABORTED, when the device has let go of it: the answer that its initiator gets. SAM-5 clause 5.3.1.</summary>
    EndsWithStatus,
}
