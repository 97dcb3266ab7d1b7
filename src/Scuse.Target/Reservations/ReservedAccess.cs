using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>How a command stands to a reservation that somebody else holds.</summary>
enum ReservedAccess : byte
{
    /// <summary>Let through whatever is reserved.</summary>
    Always,

    /// <summary>It reads the medium or the device's settings: let through where others may read.</summary>
    Reads,

    /// <summary>It changes something, or is not known: not let through.</summary>
    Changes,
}

/// <summary>Which commands a reservation lets through. SPC-4 table 67, SBC-3 table 13; for RESERVE and RELEASE SPC-2 clause 5.5.</summary>
static class ReservationTable
{
    const byte PreventOffsetValue = 0x03;
    const byte StartAndCondition = 0xF1, StartActive = 0x01;

    /// <summary>How the command stands to persistent reservations. PERSISTENT RESERVE IN and OUT, RESERVE and RELEASE judge for themselves.</summary>
    public static ReservedAccess Of(ReadOnlySpan<byte> cdb) => cdb[0] switch
    {
        OperationCode.Inquiry or OperationCode.ReportLuns or OperationCode.RequestSense or OperationCode.TestUnitReady => ReservedAccess.Always,
        OperationCode.PersistentReserveIn or OperationCode.PersistentReserveOut => ReservedAccess.Always,
        OperationCode.Reserve6 or OperationCode.Reserve10 or OperationCode.Release6 or OperationCode.Release10 => ReservedAccess.Always,
        OperationCode.ReadCapacity10 or OperationCode.LogSense or OperationCode.MaintenanceIn => ReservedAccess.Always,
        OperationCode.ServiceActionIn16 when (cdb[1] & ServiceAction.Mask) == ServiceAction.ReadCapacity16 => ReservedAccess.Always,
        OperationCode.PreventAllowMediumRemoval when (cdb[4] & PreventOffsetValue) == 0 => ReservedAccess.Always,
        OperationCode.StartStopUnit when (cdb[4] & StartAndCondition) == StartActive => ReservedAccess.Always,

        OperationCode.Read6 or OperationCode.Read10 or OperationCode.Read12 or OperationCode.Read16 => ReservedAccess.Reads,
        OperationCode.Verify10 or OperationCode.Verify12 or OperationCode.Verify16 => ReservedAccess.Reads,
        OperationCode.PreFetch10 or OperationCode.PreFetch16 => ReservedAccess.Reads,
        OperationCode.ThirdPartyCopyOut when (cdb[1] & ServiceAction.Mask) == ServiceAction.PopulateToken => ReservedAccess.Reads,
        OperationCode.ReadDefectData10 or OperationCode.ReadDefectData12 or OperationCode.ReadLong10 => ReservedAccess.Reads,
        OperationCode.ModeSense6 or OperationCode.ModeSense10 => ReservedAccess.Reads,
        OperationCode.ReadBuffer10 or OperationCode.ReceiveDiagnosticResults or OperationCode.ReadAttribute => ReservedAccess.Reads,
        OperationCode.ThirdPartyCopyIn or OperationCode.ServiceActionIn16 or OperationCode.SecurityProtocolIn => ReservedAccess.Reads,
        _ => ReservedAccess.Changes,
    };

    /// <summary>Whether a command goes through although another nexus has reserved the logical unit by RESERVE.</summary>
    public static bool PassesReserve(byte operationCode) => operationCode is
        OperationCode.Inquiry or OperationCode.ReportLuns or OperationCode.RequestSense or OperationCode.Release6 or OperationCode.Release10
        or OperationCode.Reserve6 or OperationCode.Reserve10;
}
