using System.Buffers.Binary;

namespace Scuse.Iscsi.Pdus;

/// <summary>What an Asynchronous Message tells of. RFC 7143 section 11.9.1.</summary>
internal enum AsyncEvent : byte
{
    /// <summary>Sense data of a logical unit.</summary>
    Scsi = 0,

    /// <summary>We ask for the logout of this connection, within Parameter3 seconds.</summary>
    LogoutRequested = 1,

    /// <summary>We drop the connection Parameter1.</summary>
    ConnectionDropped = 2,

    /// <summary>We drop all connections of the session.</summary>
    SessionDropped = 3,

    /// <summary>We ask for a text negotiation on this connection, within Parameter3 seconds.</summary>
    NegotiationRequested = 4,
}

/// <summary>Asynchronous Message. RFC 7143 section 11.9.</summary>
internal readonly ref struct AsyncMessagePdu(ReadOnlySpan<byte> pdu)
{
    const int EventOffset = 36;
    const int Parameter1Offset = 38;
    const int Parameter2Offset = 40;
    const int Parameter3Offset = 42;

    readonly ReadOnlySpan<byte> _pdu = pdu[..BasicHeader.Length];

    public BasicHeader Header => new(_pdu);

    public byte Event => _pdu[EventOffset];

    public ushort Parameter1 => BinaryPrimitives.ReadUInt16BigEndian(_pdu[Parameter1Offset..]);

    public ushort Parameter2 => BinaryPrimitives.ReadUInt16BigEndian(_pdu[Parameter2Offset..]);

    public ushort Parameter3 => BinaryPrimitives.ReadUInt16BigEndian(_pdu[Parameter3Offset..]);

    public static void WriteTo(
        Span<byte> pdu, byte asyncEvent, ulong lun, ushort parameter1, ushort parameter2, ushort parameter3, int dataSegmentLength)
    {
        BasicHeader.Begin(pdu, Opcode.AsyncMessage, BasicHeader.FinalBit, BasicHeader.ReservedTag, dataSegmentLength);
        BinaryPrimitives.WriteUInt64BigEndian(pdu[BasicHeader.LunOffset..], lun);
        pdu[EventOffset] = asyncEvent;
        BinaryPrimitives.WriteUInt16BigEndian(pdu[Parameter1Offset..], parameter1);
        BinaryPrimitives.WriteUInt16BigEndian(pdu[Parameter2Offset..], parameter2);
        BinaryPrimitives.WriteUInt16BigEndian(pdu[Parameter3Offset..], parameter3);
    }
}
