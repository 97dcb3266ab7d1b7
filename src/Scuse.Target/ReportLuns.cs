using System.Buffers.Binary;
using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>REPORT LUNS. SPC-4 clause 6.33.</summary>
static class ReportLuns
{
    const int SelectReportOffset = 2;
    const int AllocationLengthOffset = 6;
    const int HeaderLength = 8;
    const int EntryLength = 8;
    const uint SmallestAllocationLength = 16;
    const int CdbLength = 12;

    public static int ResponseLength(int count) => HeaderLength + (count * EntryLength);

    /// <summary>Writes the parameter data for <paramref name="numbers"/> into <paramref name="dataIn"/>, as much as fits.</summary>
    public static ScsiResult Execute(ReadOnlySpan<byte> cdb, ReadOnlySpan<int> numbers, DataBuffer dataIn)
    {
        if (cdb.Length < CdbLength)
        {
            return ScsiResult.Check(SenseData.InvalidFieldInCdb(0));
        }

        uint allocation = BinaryPrimitives.ReadUInt32BigEndian(cdb[AllocationLengthOffset..]);
        if (allocation < SmallestAllocationLength)
        {
            return ScsiResult.Check(SenseData.InvalidFieldInCdb(AllocationLengthOffset));
        }

        switch (cdb[SelectReportOffset])
        {
            case 0x00: // all but well-known logical units
            case 0x02: // all
                break;
            case 0x01: // well-known logical units: there are none
                numbers = default;
                break;
            default:
                return ScsiResult.Check(SenseData.InvalidFieldInCdb(SelectReportOffset));
        }

        int full = ResponseLength(numbers.Length);
        byte[] response = new byte[full];
        BinaryPrimitives.WriteUInt32BigEndian(response, (uint)(numbers.Length * EntryLength));
        for (int i = 0; i < numbers.Length; i++)
        {
            BinaryPrimitives.WriteUInt64BigEndian(response.AsSpan(HeaderLength + (i * EntryLength)), LunAddress.Format(numbers[i]));
        }

        int length = (int)Math.Min(allocation, (uint)full);
        dataIn.CopyFrom(response.AsSpan(0, Math.Min(length, dataIn.Length)));
        return ScsiResult.GoodWith(length);
    }
}
