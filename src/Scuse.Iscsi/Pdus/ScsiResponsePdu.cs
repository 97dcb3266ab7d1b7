using System.Buffers.Binary;

namespace Scuse.Iscsi.Pdus;

/// <summary>SCSI Response. RFC 7143 section 11.4.</summary>
internal readonly ref struct ScsiResponsePdu(ReadOnlySpan<byte> pdu)
{
    public const byte BidirectionalOverflowBit = 0x10;
    public const byte BidirectionalUnderflowBit = 0x08;
    public const byte OverflowBit = 0x04;
    public const byte UnderflowBit = 0x02;

    /// <summary>Response code: the command was completed at the target.</summary>
    public const byte CompletedAtTarget = 0x00;

    /// <summary>The length field before the sense data in the data segment. RFC 7143 section 11.4.7.</summary>
    public const int SenseLengthFieldLength = 2;

    const int ResponseOffset = 2;
    const int StatusOffset = 3;
    const int SnackTagOffset = 20;
    const int ExpDataSNOffset = 36;
    const int BidirectionalResidualOffset = 40;
    const int ResidualOffset = 44;

    readonly ReadOnlySpan<byte> _pdu = pdu[..BasicHeader.Length];

    public BasicHeader Header => new(_pdu);

    public SequenceNumbers Numbers => new(_pdu);

    public byte Flags => _pdu[BasicHeader.FlagsOffset];

    public byte Response => _pdu[ResponseOffset];

    public byte Status => _pdu[StatusOffset];

    /// <summary>What the R-Data SNACK that this answers was marked with.</summary>
    public uint SnackTag => BinaryPrimitives.ReadUInt32BigEndian(_pdu[SnackTagOffset..]);

    public uint ExpDataSN => BinaryPrimitives.ReadUInt32BigEndian(_pdu[ExpDataSNOffset..]);

    public uint BidirectionalReadResidual => BinaryPrimitives.ReadUInt32BigEndian(_pdu[BidirectionalResidualOffset..]);

    public uint Residual => BinaryPrimitives.ReadUInt32BigEndian(_pdu[ResidualOffset..]);

    public static void WriteTo(
        Span<byte> pdu, byte residualFlags, byte status, uint initiatorTaskTag, uint expDataSN, uint bidirectionalResidual, uint residual,
        int dataSegmentLength, uint snackTag = 0)
    {
        BasicHeader.Begin(pdu, Opcode.ScsiResponse, (byte)(BasicHeader.FinalBit | residualFlags), initiatorTaskTag, dataSegmentLength);
        pdu[ResponseOffset] = CompletedAtTarget;
        pdu[StatusOffset] = status;
        BinaryPrimitives.WriteUInt32BigEndian(pdu[SnackTagOffset..], snackTag);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[ExpDataSNOffset..], expDataSN);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[BidirectionalResidualOffset..], bidirectionalResidual);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[ResidualOffset..], residual);
    }
}
