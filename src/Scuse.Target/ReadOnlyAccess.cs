using System.Buffers;
using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>
/// What a nexus may do with a logical unit that it may only read: nothing that others would see on the medium or in the device's settings. Reservations are let through,
/// since they are how initiators keep out of one another's way.
/// </summary>
static class ReadOnlyAccess
{
    /// <summary>Whether the command is let through; the others end with WRITE PROTECTED.</summary>
    public static bool Admits(ReadOnlySpan<byte> cdb) => ReservationTable.Of(cdb) != ReservedAccess.Changes || cdb[0] switch
    {
        OperationCode.SynchronizeCache10 or OperationCode.SynchronizeCache16 => true, // what others wrote is written in any case
        OperationCode.ThirdPartyCopyOut => (cdb[1] & ServiceAction.Mask) is ServiceAction.ExtendedCopyLid1 or ServiceAction.ExtendedCopyLid4, // judged write by write, where it writes
        _ => false,
    };

    /// <summary>The WP bit in what MODE SENSE has answered. SBC-3 clause 6.4.1.</summary>
    public static void SetWriteProtected(ScsiTask task)
    {
        const byte writeProtected = 0x80;
        int offset = task.Cdb[0] == OperationCode.ModeSense6 ? 2 : 3;
        if (Math.Min(task.DataInLength, task.DataIn.Length) <= offset)
        {
            return;
        }

        Span<byte> header = stackalloc byte[offset + 1];
        task.DataIn.CopyTo(header);
        header[offset] |= writeProtected;
        task.DataIn.CopyFrom(header);
    }
}
