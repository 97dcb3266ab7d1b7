using System.Buffers.Binary;

namespace Scuse.Iscsi.Pdus;

/// <summary>SCSI Data-Out. RFC 7143 section 11.7.</summary>
internal readonly ref struct DataOutPdu(ReadOnlySpan<byte> pdu)
{
    const int TargetTransferTagOffset = 20;
    const int DataSNOffset = 36;
    const int BufferOffsetOffset = 40;

    readonly ReadOnlySpan<byte> _pdu = pdu[..BasicHeader.Length];

    public BasicHeader Header => new(_pdu);

    public uint TargetTransferTag => BinaryPrimitives.ReadUInt32BigEndian(_pdu[TargetTransferTagOffset..]);

    public uint DataSN => BinaryPrimitives.ReadUInt32BigEndian(_pdu[DataSNOffset..]);

    /// <summary>Where the data belongs in the command's data, in bytes.</summary>
    public uint BufferOffset => BinaryPrimitives.ReadUInt32BigEndian(_pdu[BufferOffsetOffset..]);

    public static void WriteTo(
        Span<byte> pdu, bool final, ulong lun, uint initiatorTaskTag, uint targetTransferTag, uint expStatSN, uint dataSN, uint bufferOffset,
        int dataSegmentLength)
    {
        BasicHeader.Begin(pdu, Opcode.DataOut, final ? BasicHeader.FinalBit : (byte)0, initiatorTaskTag, dataSegmentLength);
        BinaryPrimitives.WriteUInt64BigEndian(pdu[BasicHeader.LunOffset..], lun);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[TargetTransferTagOffset..], targetTransferTag);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[BasicHeader.ExpStatSNOffset..], expStatSN);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[DataSNOffset..], dataSN);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[BufferOffsetOffset..], bufferOffset);
    }
}
