using System.Buffers.Binary;
using System.Text;
using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>
/// The REPORT LUNS well-known logical unit: it is there in every target, to be asked for the others. It has no state and no task of it waits. SPC-4 clause 8.2.
/// </summary>
/// <param name="targetName">The target's iSCSI name, which the unit is known by.</param>
sealed class ReportLunsUnit(string targetName)
{
    /// <summary>Extended logical unit addressing, well-known, W-LUN 01h. SAM-5 clause 4.7.10.</summary>
    public const ulong Address = 0xC101_0000_0000_0000;

    const int StandardInquiryLength = 36;
    const byte WellKnown = 0x1E; // PERIPHERAL DEVICE TYPE
    const int EvpdOffset = 1, PageOffset = 2, AllocationOffset = 3;

    public ScsiResult Execute(Nexus nexus, ReadOnlySpan<byte> cdb, DataBuffer dataIn)
    {
        if (cdb.IsEmpty || cdb.Length < Cdb.Length(cdb))
        {
            return ScsiResult.Check(SenseData.InvalidFieldInCdb(0));
        }

        return cdb[0] switch
        {
            OperationCode.TestUnitReady => ScsiResult.Good,
            OperationCode.Inquiry => Inquiry(cdb, dataIn),
            OperationCode.RequestSense => PendingSense.Execute(cdb, SenseData.NoSense, dataIn),
            OperationCode.ReportLuns => ReportLuns.Execute(nexus, cdb, dataIn),
            _ => ScsiResult.Check(SenseData.InvalidOperationCode),
        };
    }

    ScsiResult Inquiry(ReadOnlySpan<byte> cdb, DataBuffer dataIn)
    {
        const byte evpd = 1;
        Span<byte> data = stackalloc byte[512];
        data.Clear();
        data[0] = WellKnown;
        int length;
        if ((cdb[EvpdOffset] & ~evpd) != 0)
        {
            return ScsiResult.Check(SenseData.InvalidFieldInCdb(EvpdOffset));
        }

        if ((cdb[EvpdOffset] & evpd) == 0)
        {
            length = cdb[PageOffset] == 0 ? WriteStandard(data) : 0;
        }
        else
        {
            length = WritePage(data, cdb[PageOffset]);
        }

        if (length == 0)
        {
            return ScsiResult.Check(SenseData.InvalidFieldInCdb(PageOffset));
        }

        length = Math.Min(length, BinaryPrimitives.ReadUInt16BigEndian(cdb[AllocationOffset..]));
        dataIn.CopyFrom(data[..Math.Min(length, dataIn.Length)]);
        return ScsiResult.GoodWith(length);
    }

    // SPC-4 clause 6.6.2.
    static int WriteStandard(Span<byte> data)
    {
        const byte spc4 = 0x06, hiSup = 0x10, responseDataFormat = 0x02, cmdQue = 0x02;
        data[2] = spc4;
        data[3] = hiSup | responseDataFormat;
        data[4] = StandardInquiryLength - 5;
        data[7] = cmdQue;
        "SCUSE   REPORT LUNS     0001"u8.CopyTo(data[8..]);
        return StandardInquiryLength;
    }

    int WritePage(Span<byte> page, byte code)
    {
        Span<byte> body = page[VpdPage.HeaderLength..];
        int length;
        switch (code)
        {
            case VpdPage.SupportedPages:
                (body[0], body[1]) = (VpdPage.SupportedPages, VpdPage.DeviceIdentification);
                length = 2;
                break;
            case VpdPage.DeviceIdentification:
                length = WriteTargetName(body);
                break;
            default:
                return 0;
        }

        page[1] = code;
        BinaryPrimitives.WriteUInt16BigEndian(page[2..], (ushort)length);
        return VpdPage.HeaderLength + length;
    }

    // The target device's SCSI name string, ended and padded with zeros to a multiple of four bytes. SPC-4 clause 7.8.6.11.
    int WriteTargetName(Span<byte> descriptor)
    {
        const byte iscsi = 0x50, utf8 = 0x03, protocolIsValid = 0x80, ofTargetDevice = 0x20, scsiName = 0x08;
        const int headerLength = 4, maxNameLength = 223;
        byte[] name = Encoding.UTF8.GetBytes(targetName);
        int nameLength = Math.Min(name.Length, maxNameLength);
        int length = (nameLength + 4) / 4 * 4;
        descriptor[0] = iscsi | utf8;
        descriptor[1] = protocolIsValid | ofTargetDevice | scsiName;
        descriptor[3] = (byte)length;
        name.AsSpan(0, nameLength).CopyTo(descriptor[headerLength..]);
        return headerLength + length;
    }
}
