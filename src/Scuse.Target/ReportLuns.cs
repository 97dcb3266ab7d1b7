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

    /// <summary>
    /// Writes what the nexus sees into <paramref name="dataIn"/>, as much as fits. With that it knows what had changed: REPORTED LUNS DATA HAS CHANGED is pending no more,
    /// whichever logical unit was asked. SAM-5 clause 5.14.5.
    /// </summary>
    public static ScsiResult Execute(Nexus nexus, ReadOnlySpan<byte> cdb, DataBuffer dataIn)
    {
        ScsiResult result = Execute(cdb, nexus.Target.NumbersFor(nexus), dataIn);
        if (result.Status == ScsiStatus.Good)
        {
            nexus.Withdraw(AdditionalSense.ReportedLunsDataChanged);
        }

        return result;
    }

    static ScsiResult Execute(ReadOnlySpan<byte> cdb, ReadOnlySpan<int> numbers, DataBuffer dataIn)
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

        bool hasWellKnown = false;
        switch (cdb[SelectReportOffset])
        {
            case 0x00: // all but well-known logical units
            case 0x11: // administrative logical units and those of no conglomerate: SPC-5 clause 6.31
                break;
            case 0x01: // well-known logical units
                numbers = default;
                hasWellKnown = true;
                break;
            case 0x02: // all
                hasWellKnown = true;
                break;
            case 0x10: // administrative logical units: there are none
            case 0x12: // the subsidiaries of an administrative one
                numbers = default;
                break;
            default:
                return ScsiResult.Check(SenseData.InvalidFieldInCdb(SelectReportOffset));
        }

        int count = numbers.Length + (hasWellKnown ? 1 : 0);
        int full = ResponseLength(count);
        byte[] response = new byte[full];
        BinaryPrimitives.WriteUInt32BigEndian(response, (uint)(count * EntryLength));
        for (int i = 0; i < numbers.Length; i++)
        {
            BinaryPrimitives.WriteUInt64BigEndian(response.AsSpan(HeaderLength + (i * EntryLength)), LunAddress.Format(numbers[i]));
        }

        if (hasWellKnown)
        {
            BinaryPrimitives.WriteUInt64BigEndian(response.AsSpan(full - EntryLength), ReportLunsUnit.Address); // the highest number: they come in order
        }

        int length = (int)Math.Min(allocation, (uint)full);
        dataIn.CopyFrom(response.AsSpan(0, Math.Min(length, dataIn.Length)));
        return ScsiResult.GoodWith(length);
    }
}
