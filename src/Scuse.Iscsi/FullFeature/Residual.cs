using Scuse.Iscsi.Pdus;
using Scuse.Scsi;
using Scuse.Target;

namespace Scuse.Iscsi.FullFeature;

/// <summary>By how much a command's data and the initiator's expectation differ. RFC 7143 section 11.4.5.</summary>
/// <param name="Flags">The O, U, o and u bits as in the SCSI Response.</param>
/// <param name="Count">Residual Count in bytes.</param>
/// <param name="BidirectionalReadCount">Bidirectional Read Residual Count in bytes.</param>
internal readonly record struct Residual(byte Flags, uint Count, uint BidirectionalReadCount)
{
    /// <summary>The residuals of a completed task.</summary>
    /// <param name="task">The task.</param>
    /// <param name="isBidirectional">Whether both directions were announced: then each has its own count.</param>
    /// <param name="dataWasTaken">Whether the device took the task's Data-Out.</param>
    public static Residual Of(ScsiTask task, bool isBidirectional, bool dataWasTaken)
    {
        long read = (long)task.DataInLength - task.ExpectedDataIn;

        // A command refused before its data was taken used none of it, whatever its CDB says.
        bool refused = task.Status != ScsiStatus.Good && !dataWasTaken;
        long write = (long)(refused ? 0 : task.DataOutWantedByCdb) - task.ExpectedDataOut;
        if (isBidirectional)
        {
            return new Residual(
                (byte)(Bits(write, ScsiResponsePdu.OverflowBit, ScsiResponsePdu.UnderflowBit)
                    | Bits(read, ScsiResponsePdu.BidirectionalOverflowBit, ScsiResponsePdu.BidirectionalUnderflowBit)),
                Magnitude(write),
                Magnitude(read));
        }

        // One direction was announced. Data of the other one had no room at all and can only overflow, and overflow and underflow
        // exclude each other: what did not fit matters more.
        long overflow = Math.Max(read, 0) + Math.Max(write, 0);
        long total = overflow > 0 ? overflow : read + write;
        return new Residual(Bits(total, ScsiResponsePdu.OverflowBit, ScsiResponsePdu.UnderflowBit), Magnitude(total), 0);
    }

    static byte Bits(long difference, byte overflow, byte underflow) => difference switch
    {
        > 0 => overflow,
        < 0 => underflow,
        _ => 0,
    };

    static uint Magnitude(long difference) => (uint)Math.Abs(difference);
}
