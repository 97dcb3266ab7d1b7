using System.Buffers.Binary;
using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>The answers for a logical unit number that has no logical unit. SAM-5 clause 4.8.4; SPC-4 clauses 6.4.1, 6.33, 6.39.</summary>
static class MissingLogicalUnit
{
    const int StandardInquiryLength = 36;

    /// <summary>Peripheral qualifier 011b: no device can be here; device type 1Fh: none. SPC-4 tables 140 and 141.</summary>
    const byte NotCapable = 0x7F;

    public static ScsiResult Execute(Nexus nexus, ReadOnlySpan<byte> cdb, DataBuffer dataIn) => cdb[0] switch
    {
        OperationCode.Inquiry => Inquiry(cdb, dataIn),
        OperationCode.RequestSense => PendingSense.Execute(cdb, SenseData.LogicalUnitNotSupported, dataIn),
        OperationCode.ReportLuns => ReportLuns.Execute(nexus, cdb, dataIn),
        _ => ScsiResult.Check(SenseData.LogicalUnitNotSupported),
    };

    static ScsiResult Inquiry(ReadOnlySpan<byte> cdb, DataBuffer dataIn)
    {
        const int evpdOffset = 1, pageOffset = 2, allocationOffset = 3;
        if ((cdb[evpdOffset] & 1) != 0)
        {
            return ScsiResult.Check(SenseData.LogicalUnitNotSupported);
        }

        if (cdb[pageOffset] != 0)
        {
            return ScsiResult.Check(SenseData.InvalidFieldInCdb(pageOffset));
        }

        Span<byte> response = stackalloc byte[StandardInquiryLength];
        response.Clear();
        response[0] = NotCapable;
        response[2] = 0x06; // SPC-4
        response[3] = 0x02; // response data format
        response[4] = StandardInquiryLength - 5;
        response[8..].Fill((byte)' ');
        int length = Math.Min(StandardInquiryLength, (int)BinaryPrimitives.ReadUInt16BigEndian(cdb[allocationOffset..]));
        dataIn.CopyFrom(response[..Math.Min(length, dataIn.Length)]);
        return ScsiResult.GoodWith(length);
    }
}
