using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>What a command that a handler has done for itself, at pass level all, changed that other nexuses are to know of. SPC-4 clauses 6.7, 6.11, 6.43 and 6.45.</summary>
static class ChangedByHandler
{
    /// <summary>The additional sense code of the unit attention condition; <see cref="AdditionalSense.None"/> for a command that changes nothing of the kind.</summary>
    public static ushort AttentionFor(ReadOnlySpan<byte> cdb, bool hasParameterList) => cdb[0] switch
    {
        OperationCode.ModeSelect6 or OperationCode.ModeSelect10 when hasParameterList => AdditionalSense.ModeParametersChanged,
        OperationCode.LogSelect when IsReset(cdb) => AdditionalSense.LogParametersChanged,
        OperationCode.MaintenanceOut => (cdb[1] & ServiceAction.Mask) switch
        {
            ServiceAction.SetIdentifyingInformation => AdditionalSense.DeviceIdentifierChanged,
            ServiceAction.SetTimestamp when hasParameterList => AdditionalSense.TimestampChanged,
            _ => AdditionalSense.None,
        },
        _ => AdditionalSense.None,
    };

    // PCR, or PC 11b: to the default cumulative values.
    static bool IsReset(ReadOnlySpan<byte> cdb) => (cdb[1] & 0x02) != 0 || cdb[2] >> 6 == 3;
}
