using System.Buffers.Binary;

namespace Scuse.Iscsi.Pdus;

/// <summary>SCSI Data-In. RFC 7143 section 11.7.</summary>
internal readonly ref struct DataInPdu(ReadOnlySpan<byte> pdu)
{
    public const byte AcknowledgeBit = 0x40;
    public const byte OverflowBit = 0x04;
    public const byte UnderflowBit = 0x02;
    public const byte StatusBit = 0x01;
    const int StatusOffset = 3;
    const int TargetTransferTagOffset = 20;
    const int DataSNOffset = 36;
    const int BufferOffsetOffset = 40;
    const int ResidualOffset = 44;

    readonly ReadOnlySpan<byte> _pdu = pdu[..BasicHeader.Length];

    public BasicHeader Header => new(_pdu);

    public SequenceNumbers Numbers => new(_pdu);

    public byte Flags => _pdu[BasicHeader.FlagsOffset];

    public bool HasStatus => (Flags & StatusBit) != 0;

    public byte Status => _pdu[StatusOffset];

    public bool AsksForAcknowledgment => (Flags & AcknowledgeBit) != 0;

    public uint TargetTransferTag => BinaryPrimitives.ReadUInt32BigEndian(_pdu[TargetTransferTagOffset..]);

    public uint DataSN => BinaryPrimitives.ReadUInt32BigEndian(_pdu[DataSNOffset..]);

    public uint BufferOffset => BinaryPrimitives.ReadUInt32BigEndian(_pdu[BufferOffsetOffset..]);

    public uint Residual => BinaryPrimitives.ReadUInt32BigEndian(_pdu[ResidualOffset..]);

    public static void WriteTo(
        Span<byte> pdu, byte flags, byte status, uint initiatorTaskTag, uint dataSN, uint bufferOffset, uint residual, int dataSegmentLength)
    {
        BasicHeader.Begin(pdu, Opcode.DataIn, flags, initiatorTaskTag, dataSegmentLength);
        pdu[StatusOffset] = status;
        BinaryPrimitives.WriteUInt32BigEndian(pdu[TargetTransferTagOffset..], BasicHeader.ReservedTag);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[DataSNOffset..], dataSN);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[BufferOffsetOffset..], bufferOffset);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[ResidualOffset..], residual);
    }

    /// <summary>Sets the A bit, and what the initiator has to give back in its DataACK SNACK. RFC 7143 section 11.7.2.</summary>
    public static void AskForAcknowledgment(Span<byte> pdu, ulong lun, uint targetTransferTag)
    {
        pdu[BasicHeader.FlagsOffset] |= AcknowledgeBit;
        BinaryPrimitives.WriteUInt64BigEndian(pdu[BasicHeader.LunOffset..], lun);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[TargetTransferTagOffset..], targetTransferTag);
    }
}
