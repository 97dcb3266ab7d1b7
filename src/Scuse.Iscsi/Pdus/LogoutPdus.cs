using System.Buffers.Binary;

namespace Scuse.Iscsi.Pdus;

/// <summary>Logout Request. RFC 7143 section 11.14.</summary>
internal readonly ref struct LogoutRequestPdu(ReadOnlySpan<byte> pdu)
{
    public const byte CloseSession = 0;
    public const byte CloseConnection = 1;
    public const byte RemoveConnectionForRecovery = 2;
    const byte ReasonMask = 0x7F;
    const int ConnectionIdOffset = 20;

    readonly ReadOnlySpan<byte> _pdu = pdu[..BasicHeader.Length];

    public BasicHeader Header => new(_pdu);

    public byte Reason => (byte)(_pdu[BasicHeader.FlagsOffset] & ReasonMask);

    public ushort ConnectionId => BinaryPrimitives.ReadUInt16BigEndian(_pdu[ConnectionIdOffset..]);

    public static void WriteTo(
        Span<byte> pdu, byte reason, uint initiatorTaskTag, ushort connectionId, uint cmdSN, uint expStatSN, bool immediate = true)
    {
        BasicHeader.Begin(pdu, Opcode.LogoutRequest, (byte)(BasicHeader.FinalBit | reason), initiatorTaskTag, 0, immediate);
        BinaryPrimitives.WriteUInt16BigEndian(pdu[ConnectionIdOffset..], connectionId);
        SequenceNumbers.WriteRequest(pdu, cmdSN, expStatSN);
    }
}

/// <summary>Logout Response. RFC 7143 section 11.15.</summary>
internal readonly ref struct LogoutResponsePdu(ReadOnlySpan<byte> pdu)
{
    public const byte Closed = 0;
    public const byte ConnectionIdNotFound = 1;
    public const byte RecoveryNotSupported = 2;
    public const byte CleanupFailed = 3;
    const int ResponseOffset = 2;
    const int Time2WaitOffset = 40;
    const int Time2RetainOffset = 42;

    readonly ReadOnlySpan<byte> _pdu = pdu[..BasicHeader.Length];

    public BasicHeader Header => new(_pdu);

    public byte Response => _pdu[ResponseOffset];

    public ushort Time2WaitSeconds => BinaryPrimitives.ReadUInt16BigEndian(_pdu[Time2WaitOffset..]);

    public ushort Time2RetainSeconds => BinaryPrimitives.ReadUInt16BigEndian(_pdu[Time2RetainOffset..]);

    public static void WriteTo(Span<byte> pdu, byte response, uint initiatorTaskTag, ushort time2WaitSeconds, ushort time2RetainSeconds)
    {
        BasicHeader.Begin(pdu, Opcode.LogoutResponse, BasicHeader.FinalBit, initiatorTaskTag);
        pdu[ResponseOffset] = response;
        BinaryPrimitives.WriteUInt16BigEndian(pdu[Time2WaitOffset..], time2WaitSeconds);
        BinaryPrimitives.WriteUInt16BigEndian(pdu[Time2RetainOffset..], time2RetainSeconds);
    }
}
