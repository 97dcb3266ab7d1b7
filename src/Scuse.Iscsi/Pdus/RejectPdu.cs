namespace Scuse.Iscsi.Pdus;

/// <summary>Why a PDU is rejected. RFC 7143 section 11.17.1.</summary>
internal enum RejectReason : byte
{
    DataDigestError = 0x02,
    SnackReject = 0x03,
    ProtocolError = 0x04,
    CommandNotSupported = 0x05,
    TooManyImmediateCommands = 0x06,
    TaskInProgress = 0x07,
    InvalidDataAck = 0x08,
    InvalidPduField = 0x09,
    LongOperation = 0x0A,
    WaitingForLogout = 0x0C,
}

/// <summary>Reject; its data segment is the header of the rejected PDU. RFC 7143 section 11.17.</summary>
internal readonly ref struct RejectPdu(ReadOnlySpan<byte> pdu)
{
    const int ReasonOffset = 2;

    readonly ReadOnlySpan<byte> _pdu = pdu[..BasicHeader.Length];

    public BasicHeader Header => new(_pdu);

    public RejectReason Reason => (RejectReason)_pdu[ReasonOffset];

    public static void WriteTo(Span<byte> pdu, RejectReason reason, int dataSegmentLength)
    {
        BasicHeader.Begin(pdu, Opcode.Reject, BasicHeader.FinalBit, BasicHeader.ReservedTag, dataSegmentLength);
        pdu[ReasonOffset] = (byte)reason;
    }
}
