using Scuse.Scsi;

namespace Scuse.Device;

/// <summary>How the commands that return parameter data write and send it.</summary>
static class ControlResponse
{
    /// <summary>Room for the longest parameter data there is: VPD page 83h with all designators, or every supported command with its timeouts.</summary>
    public const int MaxLength = 4096;

    /// <summary>
    /// Sends parameter data: as much as ALLOCATION LENGTH allows, cut again where the initiator has less room than it said. SPC-4 clause 4.2.5.6.
    /// </summary>
    public static ValueTask<ScsiResult> Send(in DeviceCommand command, ReadOnlySpan<byte> data, uint allocationLength)
    {
        int length = (int)Math.Min((uint)data.Length, allocationLength);
        command.DataIn.CopyFrom(data[..Math.Min(length, command.DataIn.Length)]);
        return new(ScsiResult.GoodWith(length));
    }

    /// <summary>CHECK CONDITION.</summary>
    public static ValueTask<ScsiResult> Refuse(SenseData sense) => new(ScsiResult.Check(sense));

    /// <summary>05/24/00, pointing at a byte of the CDB.</summary>
    public static ValueTask<ScsiResult> RefuseField(int cdbByte) => Refuse(SenseData.InvalidFieldInCdb(cdbByte));

    /// <summary>Fills a field with left-aligned ASCII data, padded with spaces; what is not printable becomes a question mark. SPC-4 clause 4.3.1.</summary>
    public static void WriteAscii(Span<byte> field, string text)
    {
        field.Fill((byte)' ');
        int length = Math.Min(field.Length, text.Length);
        for (int i = 0; i < length; i++)
        {
            char c = text[i];
            field[i] = c is >= ' ' and <= '~' ? (byte)c : (byte)'?';
        }
    }
}
