using Scuse.Scsi;

namespace Scuse.Engine.Backstores;

/// <summary>
/// Which commands may be executed twice: a lost handler may have executed a command and died before it answered. docs/decisions/0002.
/// </summary>
static class RepeatableCommands
{
    /// <summary>
    /// Whether executing the command once more leaves the device as executing it once does, and answers the same. COMPARE AND WRITE is the
    /// counterexample: done twice, it finds what it wrote itself.
    /// </summary>
    public static bool Includes(byte operationCode) => operationCode switch
    {
        OperationCode.Read6 or OperationCode.Read10 or OperationCode.Read12 or OperationCode.Read16 => true,
        OperationCode.Write6 or OperationCode.Write10 or OperationCode.Write12 or OperationCode.Write16 => true,
        OperationCode.WriteAndVerify10 or OperationCode.WriteAndVerify12 or OperationCode.WriteAndVerify16 => true,
        OperationCode.Verify10 or OperationCode.Verify12 or OperationCode.Verify16 => true,
        OperationCode.SynchronizeCache10 or OperationCode.SynchronizeCache16 => true,
        OperationCode.Unmap or OperationCode.WriteSame10 or OperationCode.WriteSame16 => true,
        OperationCode.PreFetch10 or OperationCode.PreFetch16 => true,
        OperationCode.WriteAtomic16 or OperationCode.OrWrite16 or OperationCode.StartStopUnit or OperationCode.ReadDefectData10 or OperationCode.ReadDefectData12 => true,
        OperationCode.TestUnitReady or OperationCode.Inquiry or OperationCode.RequestSense or OperationCode.ReadCapacity10 => true,
        OperationCode.ModeSense6 or OperationCode.ModeSense10 or OperationCode.LogSense => true,
        OperationCode.ServiceActionIn16 => true, // READ CAPACITY(16), GET LBA STATUS: they only look
        OperationCode.MaintenanceIn => true,     // the REPORT commands
        _ => false,
    };
}
