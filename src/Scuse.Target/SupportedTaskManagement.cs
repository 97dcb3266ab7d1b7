using System.Buffers.Binary;
using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS. SPC-4 clause 6.36.</summary>
static class SupportedTaskManagement
{
    const int FlagsOffset = 2, AllocationLengthOffset = 6;
    const byte ReturnExtendedParameterData = 0x80;
    const int BasicLength = 4, ExtendedLength = 16;

    public static ScsiResult Execute(ReadOnlySpan<byte> cdb, DataBuffer dataIn)
    {
        const byte abortTask = 0x80, abortTaskSet = 0x40, clearAca = 0x20, clearTaskSet = 0x10, logicalUnitReset = 0x08, queryTask = 0x04;
        const byte queryAsynchronousEvent = 0x04, queryTaskSet = 0x02, nexusReset = 0x01;
        uint allocation = BinaryPrimitives.ReadUInt32BigEndian(cdb[AllocationLengthOffset..]);
        if (allocation < BasicLength)
        {
            return ScsiResult.Check(SenseData.InvalidFieldInCdb(AllocationLengthOffset));
        }

        // The extended data's timeouts stay zero: how long a function takes is the handler's business.
        int length = (cdb[FlagsOffset] & ReturnExtendedParameterData) != 0 ? ExtendedLength : BasicLength;
        Span<byte> data = stackalloc byte[ExtendedLength];
        data.Clear();
        data[0] = abortTask | abortTaskSet | clearAca | clearTaskSet | logicalUnitReset | queryTask;
        data[1] = queryAsynchronousEvent | queryTaskSet | nexusReset;
        data[3] = (byte)(length - BasicLength);
        int sent = (int)Math.Min(allocation, (uint)length);
        dataIn.CopyFrom(data[..Math.Min(sent, dataIn.Length)]);
        return ScsiResult.GoodWith(sent);
    }
}
