using Scuse.Device;
using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>
/// The auto contingent allegiance conditions of a logical unit: a command with NACA set that ends with CHECK CONDITION stops its task set until the faulted
/// nexus has cleared that. What waits its turn goes on waiting, and what comes is refused, but one ACA task of the faulted nexus at a time; what the device
/// is at work on goes on. SAM-5 clause 5.10.
/// </summary>
/// <remarks>Touched only by the owning thread.</remarks>
sealed class AcaConditions
{
    const byte Naca = 0x04;

    // One at most, unless each nexus has a task set of its own.
    readonly List<Nexus> _faulted = [];

    /// <summary>Whether there is none.</summary>
    public bool IsIdle => _faulted.Count == 0;

    /// <summary>Whether the nexus's last failure stopped the task set.</summary>
    public bool IsFaulted(Nexus nexus) => _faulted.Contains(nexus);

    /// <summary>Whether the task set of the nexus stands still.</summary>
    public bool Stops(Nexus nexus, bool isSetPerNexus) => isSetPerNexus ? IsFaulted(nexus) : !IsIdle;

    /// <summary>Ends the condition of a nexus; false when there is none.</summary>
    public bool Clear(Nexus nexus) => _faulted.Remove(nexus);

    /// <summary>The logical unit was reset.</summary>
    public void Clear() => _faulted.Clear();

    /// <summary>A task ended with CHECK CONDITION: begins a condition, or ends the one that it was to deal with.</summary>
    public void Failed(ScsiTask task, bool isSetPerNexus)
    {
        if (HasNaca(task.Cdb))
        {
            if (!Stops(task.Nexus, isSetPerNexus) && task.Nexus.IsAlive)
            {
                _faulted.Add(task.Nexus);
            }
        }
        else if (task.Attribute == TaskAttribute.Aca)
        {
            Clear(task.Nexus);
        }
    }

    /// <summary>Whether a task that has come may enter its task set; if not, how it ends. SAM-5 clauses 5.10.2 and 5.10.3.</summary>
    public bool Admits(ScsiTask task, LinkedList<ScsiTask> tasks, bool isSetPerNexus, out ScsiResult refusal)
    {
        refusal = default;
        bool isAca = task.Attribute == TaskAttribute.Aca;
        if (!Stops(task.Nexus, isSetPerNexus))
        {
            refusal = ScsiResult.Check(SenseKey.IllegalRequest, AdditionalSense.InvalidMessage);
            return !isAca;
        }

        if (IsFaulted(task.Nexus))
        {
            refusal = ScsiResult.With(ScsiStatus.AcaActive);
            return isAca && !tasks.Any(other => other != task && other.Attribute == TaskAttribute.Aca && other.Nexus == task.Nexus);
        }

        // Somebody else's condition. Who is preempted with it must not be able to keep that off.
        refusal = ScsiResult.With(isAca || HasNaca(task.Cdb) ? ScsiStatus.AcaActive : ScsiStatus.Busy);
        return !isAca && IsPreemptAndAbort(task.Cdb);
    }

    static bool IsPreemptAndAbort(ReadOnlySpan<byte> cdb) =>
        cdb.Length > 1 && cdb[0] == OperationCode.PersistentReserveOut && (cdb[1] & ServiceAction.Mask) == ServiceAction.PreemptAndAbort;

    /// <summary>NACA in the CONTROL byte: the last one of the CDB, byte 1 where its length varies. SAM-5 clause 5.2.</summary>
    static bool HasNaca(ReadOnlySpan<byte> cdb)
    {
        int length = Cdb.Length(cdb);
        int control = cdb[0] == OperationCode.VariableLength ? 1 : length - 1;
        return length > 0 && control < cdb.Length && (cdb[control] & Naca) != 0;
    }
}
