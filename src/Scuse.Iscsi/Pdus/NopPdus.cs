using System.Buffers.Binary;

namespace Scuse.Iscsi.Pdus;

/// <summary>NOP-Out. RFC 7143 section 11.18.</summary>
internal readonly ref struct NopOutPdu(ReadOnlySpan<byte> pdu)
{
    internal const int TargetTransferTagOffset = 20;

    readonly ReadOnlySpan<byte> _pdu = pdu[..BasicHeader.Length];

    public BasicHeader Header => new(_pdu);

    public uint TargetTransferTag => BinaryPrimitives.ReadUInt32BigEndian(_pdu[TargetTransferTagOffset..]);

    public static void WriteTo(
        Span<byte> pdu, ulong lun, uint initiatorTaskTag, uint targetTransferTag, uint cmdSN, uint expStatSN, int dataSegmentLength,
        bool immediate)
    {
        BasicHeader.Begin(pdu, Opcode.NopOut, BasicHeader.FinalBit, initiatorTaskTag, dataSegmentLength, immediate);
        BinaryPrimitives.WriteUInt64BigEndian(pdu[BasicHeader.LunOffset..], lun);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[TargetTransferTagOffset..], targetTransferTag);
        SequenceNumbers.WriteRequest(pdu, cmdSN, expStatSN);
    }
}

/// <summary>NOP-In. RFC 7143 section 11.19.</summary>
internal readonly ref struct NopInPdu(ReadOnlySpan<byte> pdu)
{
    readonly ReadOnlySpan<byte> _pdu = pdu[..BasicHeader.Length];

    public BasicHeader Header => new(_pdu);

    public SequenceNumbers Numbers => new(_pdu);

    public uint TargetTransferTag => BinaryPrimitives.ReadUInt32BigEndian(_pdu[NopOutPdu.TargetTransferTagOffset..]);

    public static void WriteTo(Span<byte> pdu, ulong lun, uint initiatorTaskTag, uint targetTransferTag, int dataSegmentLength)
    {
        BasicHeader.Begin(pdu, Opcode.NopIn, BasicHeader.FinalBit, initiatorTaskTag, dataSegmentLength);
        BinaryPrimitives.WriteUInt64BigEndian(pdu[BasicHeader.LunOffset..], lun);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[NopOutPdu.TargetTransferTagOffset..], targetTransferTag);
    }
}
