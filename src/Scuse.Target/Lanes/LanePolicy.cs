using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>Which commands have to know of all that is under way in a logical unit, that of lanes included, before they begin.</summary>
static class LanePolicy
{
    /// <summary>
    /// Whether a task concerns those that are under way. One that only looks at what the unit is, or that may be executed in any order with them, does not; whatever is not known to be so does.
    /// SAM-5 clause 8.6.2.
    /// </summary>
    public static bool Concerns(ScsiTask task) =>
        task.Attribute > TaskAttribute.Simple || (PassTable.For(PassLevel.Io, task.Cdb) != Responder.Handler && !IsHarmless(task.Cdb[0]));

    static bool IsHarmless(byte operationCode) => operationCode is
        OperationCode.TestUnitReady or OperationCode.Inquiry or OperationCode.RequestSense or OperationCode.ReportLuns
        or OperationCode.ReadCapacity10 or OperationCode.ServiceActionIn16 or OperationCode.MaintenanceIn
        or OperationCode.ModeSense6 or OperationCode.ModeSense10 or OperationCode.LogSense or OperationCode.PersistentReserveIn
        or OperationCode.SynchronizeCache10 or OperationCode.SynchronizeCache16 or OperationCode.Unmap or OperationCode.WriteSame10 or OperationCode.WriteSame16
        or OperationCode.Verify10 or OperationCode.Verify12 or OperationCode.Verify16;
}
