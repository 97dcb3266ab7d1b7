using System.Buffers.Binary;

namespace Scuse.Iscsi.Pdus;

/// <summary>Ready To Transfer. RFC 7143 section 11.8.</summary>
internal readonly ref struct R2TPdu(ReadOnlySpan<byte> pdu)
{
    const int TargetTransferTagOffset = 20;
    const int R2TSNOffset = 36;
    const int BufferOffsetOffset = 40;
    const int DesiredLengthOffset = 44;

    readonly ReadOnlySpan<byte> _pdu = pdu[..BasicHeader.Length];

    public BasicHeader Header => new(_pdu);

    public SequenceNumbers Numbers => new(_pdu);

    public uint TargetTransferTag => BinaryPrimitives.ReadUInt32BigEndian(_pdu[TargetTransferTagOffset..]);

    public uint R2TSN => BinaryPrimitives.ReadUInt32BigEndian(_pdu[R2TSNOffset..]);

    public uint BufferOffset => BinaryPrimitives.ReadUInt32BigEndian(_pdu[BufferOffsetOffset..]);

    public uint DesiredLength => BinaryPrimitives.ReadUInt32BigEndian(_pdu[DesiredLengthOffset..]);

    public static void WriteTo(
        Span<byte> pdu, ulong lun, uint initiatorTaskTag, uint targetTransferTag, uint r2tSN, uint bufferOffset, uint desiredLength)
    {
        BasicHeader.Begin(pdu, Opcode.R2T, BasicHeader.FinalBit, initiatorTaskTag);
        BinaryPrimitives.WriteUInt64BigEndian(pdu[BasicHeader.LunOffset..], lun);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[TargetTransferTagOffset..], targetTransferTag);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[R2TSNOffset..], r2tSN);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[BufferOffsetOffset..], bufferOffset);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[DesiredLengthOffset..], desiredLength);
    }
}
