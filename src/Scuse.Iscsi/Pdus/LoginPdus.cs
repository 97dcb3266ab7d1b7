using System.Buffers.Binary;

namespace Scuse.Iscsi.Pdus;

/// <summary>Login Request. RFC 7143 section 11.12.</summary>
internal readonly ref struct LoginRequestPdu(ReadOnlySpan<byte> pdu)
{
    public const byte TransitBit = 0x80;
    const int VersionMaxOffset = 2;
    const int VersionMinOffset = 3;
    internal const int IsidOffset = 8;
    internal const int TsihOffset = 14;
    const int ConnectionIdOffset = 20;

    readonly ReadOnlySpan<byte> _pdu = pdu[..BasicHeader.Length];

    public BasicHeader Header => new(_pdu);

    /// <summary>The request without its text, for later.</summary>
    public byte[] ToArray() => _pdu.ToArray();

    public bool Transit => (_pdu[BasicHeader.FlagsOffset] & TransitBit) != 0;

    public bool Continue => (_pdu[BasicHeader.FlagsOffset] & BasicHeader.ContinueBit) != 0;

    public int CurrentStage => (_pdu[BasicHeader.FlagsOffset] >> 2) & 3;

    public int NextStage => _pdu[BasicHeader.FlagsOffset] & 3;

    public byte VersionMax => _pdu[VersionMaxOffset];

    public byte VersionMin => _pdu[VersionMinOffset];

    /// <summary>The initiator's part of the session identifier, 48 bits.</summary>
    public ulong Isid => BinaryPrimitives.ReadUInt64BigEndian(_pdu[IsidOffset..]) >> 16;

    public ushort Tsih => BinaryPrimitives.ReadUInt16BigEndian(_pdu[TsihOffset..]);

    public ushort ConnectionId => BinaryPrimitives.ReadUInt16BigEndian(_pdu[ConnectionIdOffset..]);

    public static byte StageFlags(bool transit, bool @continue, int currentStage, int nextStage) =>
        (byte)((transit ? TransitBit : 0) | (@continue ? BasicHeader.ContinueBit : 0) | (currentStage << 2) | nextStage);

    public static void WriteTo(
        Span<byte> pdu, byte flags, ulong isid, ushort tsih, uint initiatorTaskTag, ushort connectionId, uint cmdSN, uint expStatSN,
        int dataSegmentLength, byte versionMax = 0, byte versionMin = 0)
    {
        BasicHeader.Begin(pdu, Opcode.LoginRequest, flags, initiatorTaskTag, dataSegmentLength, immediate: true);
        pdu[VersionMaxOffset] = versionMax;
        pdu[VersionMinOffset] = versionMin;
        BinaryPrimitives.WriteUInt64BigEndian(pdu[IsidOffset..], (isid << 16) | tsih);
        BinaryPrimitives.WriteUInt16BigEndian(pdu[ConnectionIdOffset..], connectionId);
        SequenceNumbers.WriteRequest(pdu, cmdSN, expStatSN);
    }
}

/// <summary>Login Response. RFC 7143 section 11.13.</summary>
internal readonly ref struct LoginResponsePdu(ReadOnlySpan<byte> pdu)
{
    const int VersionMaxOffset = 2;
    const int VersionActiveOffset = 3;
    const int StatusOffset = 36;

    readonly ReadOnlySpan<byte> _pdu = pdu[..BasicHeader.Length];

    public BasicHeader Header => new(_pdu);

    public SequenceNumbers Numbers => new(_pdu);

    public bool Transit => (_pdu[BasicHeader.FlagsOffset] & LoginRequestPdu.TransitBit) != 0;

    public bool Continue => (_pdu[BasicHeader.FlagsOffset] & BasicHeader.ContinueBit) != 0;

    public int CurrentStage => (_pdu[BasicHeader.FlagsOffset] >> 2) & 3;

    public int NextStage => _pdu[BasicHeader.FlagsOffset] & 3;

    public ulong Isid => BinaryPrimitives.ReadUInt64BigEndian(_pdu[LoginRequestPdu.IsidOffset..]) >> 16;

    public ushort Tsih => BinaryPrimitives.ReadUInt16BigEndian(_pdu[LoginRequestPdu.TsihOffset..]);

    /// <summary>Status class and detail as one 16-bit value.</summary>
    public ushort Status => BinaryPrimitives.ReadUInt16BigEndian(_pdu[StatusOffset..]);

    public static void WriteTo(
        Span<byte> pdu, byte flags, ulong isid, ushort tsih, uint initiatorTaskTag, ushort status, int dataSegmentLength)
    {
        const byte version = 0; // RFC 7143 section 11.12.4: the only one
        BasicHeader.Begin(pdu, Opcode.LoginResponse, flags, initiatorTaskTag, dataSegmentLength);
        pdu[VersionMaxOffset] = version;
        pdu[VersionActiveOffset] = version;
        BinaryPrimitives.WriteUInt64BigEndian(pdu[LoginRequestPdu.IsidOffset..], (isid << 16) | tsih);
        BinaryPrimitives.WriteUInt16BigEndian(pdu[StatusOffset..], status);
    }
}
