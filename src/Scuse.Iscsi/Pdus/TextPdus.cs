using System.Buffers.Binary;

namespace Scuse.Iscsi.Pdus;

/// <summary>Text Request. RFC 7143 section 11.10.</summary>
internal readonly ref struct TextRequestPdu(ReadOnlySpan<byte> pdu)
{
    internal const int TargetTransferTagOffset = 20;

    readonly ReadOnlySpan<byte> _pdu = pdu[..BasicHeader.Length];

    public BasicHeader Header => new(_pdu);

    public bool Continue => (_pdu[BasicHeader.FlagsOffset] & BasicHeader.ContinueBit) != 0;

    public uint TargetTransferTag => BinaryPrimitives.ReadUInt32BigEndian(_pdu[TargetTransferTagOffset..]);

    public static void WriteTo(
        Span<byte> pdu, bool final, bool @continue, uint initiatorTaskTag, uint targetTransferTag, uint cmdSN, uint expStatSN,
        int dataSegmentLength, bool immediate = false)
    {
        byte flags = (byte)((final ? BasicHeader.FinalBit : 0) | (@continue ? BasicHeader.ContinueBit : 0));
        BasicHeader.Begin(pdu, Opcode.TextRequest, flags, initiatorTaskTag, dataSegmentLength, immediate);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[TargetTransferTagOffset..], targetTransferTag);
        SequenceNumbers.WriteRequest(pdu, cmdSN, expStatSN);
    }
}

/// <summary>Text Response. RFC 7143 section 11.11.</summary>
internal readonly ref struct TextResponsePdu(ReadOnlySpan<byte> pdu)
{
    readonly ReadOnlySpan<byte> _pdu = pdu[..BasicHeader.Length];

    public BasicHeader Header => new(_pdu);

    public bool Continue => (_pdu[BasicHeader.FlagsOffset] & BasicHeader.ContinueBit) != 0;

    public uint TargetTransferTag => BinaryPrimitives.ReadUInt32BigEndian(_pdu[TextRequestPdu.TargetTransferTagOffset..]);

    public static void WriteTo(Span<byte> pdu, bool final, bool @continue, uint initiatorTaskTag, uint targetTransferTag, int dataSegmentLength)
    {
        byte flags = (byte)((final ? BasicHeader.FinalBit : 0) | (@continue ? BasicHeader.ContinueBit : 0));
        BasicHeader.Begin(pdu, Opcode.TextResponse, flags, initiatorTaskTag, dataSegmentLength);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[TextRequestPdu.TargetTransferTagOffset..], targetTransferTag);
    }
}
