using System.Buffers.Binary;

namespace Scuse.Scsi;

/// <summary>What a command is called, for people. SPC-4 annex E.</summary>
public static class OperationName
{
    const int ServiceActionOffset = 1;
    const int VariableLengthServiceActionOffset = 8;

    /// <summary>The command's name as the standards write it, such as <c>READ(10)</c>; <c>operation code C1h</c> where it has none here. A CDB may be cut short.</summary>
    public static string Of(ReadOnlySpan<byte> cdb)
    {
        if (cdb.IsEmpty)
        {
            return "no CDB";
        }

        int action = cdb[0] == OperationCode.VariableLength
            ? cdb.Length >= VariableLengthServiceActionOffset + sizeof(ushort) ? BinaryPrimitives.ReadUInt16BigEndian(cdb[VariableLengthServiceActionOffset..]) : -1
            : cdb.Length > ServiceActionOffset ? cdb[ServiceActionOffset] & ServiceAction.Mask : -1;
        return cdb[0] switch
        {
            OperationCode.VariableLength => VariableLength(action),
            OperationCode.ServiceActionIn16 => ServiceActionIn(action),
            OperationCode.ServiceActionOut16 => action == ServiceAction.WriteLong16 ? "WRITE LONG(16)" : "SERVICE ACTION OUT(16)",
            OperationCode.MaintenanceIn => MaintenanceIn(action),
            OperationCode.MaintenanceOut => MaintenanceOut(action),
            _ => Plain(cdb[0]),
        };
    }

    /// <summary>The name with what the command is about: <c>WRITE(10) of 8 blocks at 4096</c>, where the CDB names a range of blocks.</summary>
    public static string Describe(ReadOnlySpan<byte> cdb) =>
        BlockTransferCdb.TryParse(cdb, out BlockTransferCdb transfer) ? $"{Of(cdb)} of {transfer.BlockCount} blocks at {transfer.Lba}" : Of(cdb);

    static string VariableLength(int action) => action switch
    {
        ServiceAction.Read32 => "READ(32)",
        ServiceAction.Verify32 => "VERIFY(32)",
        ServiceAction.Write32 => "WRITE(32)",
        ServiceAction.WriteAndVerify32 => "WRITE AND VERIFY(32)",
        ServiceAction.WriteSame32 => "WRITE SAME(32)",
        < 0 => "variable length CDB",
        _ => $"variable length CDB {action:X4}h",
    };

    static string ServiceActionIn(int action) => action switch
    {
        ServiceAction.ReadCapacity16 => "READ CAPACITY(16)",
        ServiceAction.ReadLong16 => "READ LONG(16)",
        ServiceAction.GetLbaStatus => "GET LBA STATUS",
        ServiceAction.ReportReferrals => "REPORT REFERRALS",
        _ => "SERVICE ACTION IN(16)",
    };

    static string MaintenanceOut(int action) => action switch
    {
        ServiceAction.SetIdentifyingInformation => "SET IDENTIFYING INFORMATION",
        ServiceAction.SetTargetPortGroups => "SET TARGET PORT GROUPS",
        ServiceAction.SetTimestamp => "SET TIMESTAMP",
        _ => "MAINTENANCE OUT",
    };

    static string MaintenanceIn(int action) => action switch
    {
        ServiceAction.ReportIdentifyingInformation => "REPORT IDENTIFYING INFORMATION",
        ServiceAction.ReportTargetPortGroups => "REPORT TARGET PORT GROUPS",
        ServiceAction.ReportSupportedOperationCodes => "REPORT SUPPORTED OPERATION CODES",
        ServiceAction.ReportSupportedTaskManagementFunctions => "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS",
        ServiceAction.ReportTimestamp => "REPORT TIMESTAMP",
        _ => "MAINTENANCE IN",
    };

    static string Plain(byte operationCode) => operationCode switch
    {
        OperationCode.TestUnitReady => "TEST UNIT READY",
        OperationCode.RequestSense => "REQUEST SENSE",
        OperationCode.FormatUnit => "FORMAT UNIT",
        OperationCode.ReassignBlocks => "REASSIGN BLOCKS",
        OperationCode.Read6 => "READ(6)",
        OperationCode.Write6 => "WRITE(6)",
        OperationCode.Inquiry => "INQUIRY",
        OperationCode.ModeSelect6 => "MODE SELECT(6)",
        OperationCode.Reserve6 => "RESERVE(6)",
        OperationCode.Release6 => "RELEASE(6)",
        OperationCode.ModeSense6 => "MODE SENSE(6)",
        OperationCode.StartStopUnit => "START STOP UNIT",
        OperationCode.ReceiveDiagnosticResults => "RECEIVE DIAGNOSTIC RESULTS",
        OperationCode.SendDiagnostic => "SEND DIAGNOSTIC",
        OperationCode.PreventAllowMediumRemoval => "PREVENT ALLOW MEDIUM REMOVAL",
        OperationCode.ReadCapacity10 => "READ CAPACITY(10)",
        OperationCode.Read10 => "READ(10)",
        OperationCode.Write10 => "WRITE(10)",
        OperationCode.WriteAndVerify10 => "WRITE AND VERIFY(10)",
        OperationCode.Verify10 => "VERIFY(10)",
        OperationCode.PreFetch10 => "PRE-FETCH(10)",
        OperationCode.SynchronizeCache10 => "SYNCHRONIZE CACHE(10)",
        OperationCode.ReadDefectData10 => "READ DEFECT DATA(10)",
        OperationCode.WriteBuffer => "WRITE BUFFER",
        OperationCode.ReadBuffer10 => "READ BUFFER(10)",
        OperationCode.ReadLong10 => "READ LONG(10)",
        OperationCode.WriteLong10 => "WRITE LONG(10)",
        OperationCode.WriteSame10 => "WRITE SAME(10)",
        OperationCode.Unmap => "UNMAP",
        OperationCode.Sanitize => "SANITIZE",
        OperationCode.LogSelect => "LOG SELECT",
        OperationCode.LogSense => "LOG SENSE",
        OperationCode.ModeSelect10 => "MODE SELECT(10)",
        OperationCode.Reserve10 => "RESERVE(10)",
        OperationCode.Release10 => "RELEASE(10)",
        OperationCode.ModeSense10 => "MODE SENSE(10)",
        OperationCode.PersistentReserveIn => "PERSISTENT RESERVE IN",
        OperationCode.PersistentReserveOut => "PERSISTENT RESERVE OUT",
        OperationCode.ThirdPartyCopyOut => "THIRD-PARTY COPY OUT",
        OperationCode.ThirdPartyCopyIn => "THIRD-PARTY COPY IN",
        OperationCode.AtaPassThrough16 => "ATA PASS-THROUGH(16)",
        OperationCode.Read16 => "READ(16)",
        OperationCode.CompareAndWrite => "COMPARE AND WRITE",
        OperationCode.Write16 => "WRITE(16)",
        OperationCode.OrWrite16 => "ORWRITE(16)",
        OperationCode.ReadAttribute => "READ ATTRIBUTE",
        OperationCode.WriteAttribute => "WRITE ATTRIBUTE",
        OperationCode.WriteAndVerify16 => "WRITE AND VERIFY(16)",
        OperationCode.Verify16 => "VERIFY(16)",
        OperationCode.PreFetch16 => "PRE-FETCH(16)",
        OperationCode.SynchronizeCache16 => "SYNCHRONIZE CACHE(16)",
        OperationCode.WriteSame16 => "WRITE SAME(16)",
        OperationCode.WriteAtomic16 => "WRITE ATOMIC(16)",
        OperationCode.ReportLuns => "REPORT LUNS",
        OperationCode.AtaPassThrough12 => "ATA PASS-THROUGH(12)",
        OperationCode.SecurityProtocolIn => "SECURITY PROTOCOL IN",
        OperationCode.Read12 => "READ(12)",
        OperationCode.Write12 => "WRITE(12)",
        OperationCode.WriteAndVerify12 => "WRITE AND VERIFY(12)",
        OperationCode.Verify12 => "VERIFY(12)",
        OperationCode.SecurityProtocolOut => "SECURITY PROTOCOL OUT",
        OperationCode.ReadDefectData12 => "READ DEFECT DATA(12)",
        _ => $"operation code {operationCode:X2}h",
    };
}
