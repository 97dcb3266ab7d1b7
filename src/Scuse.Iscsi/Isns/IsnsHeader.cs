using System.Buffers.Binary;

namespace Scuse.Iscsi.Isns;

/// <summary>What a message asks for; its answer has the highest bit set as well. RFC 4171 section 4.1.3.</summary>
public enum IsnsFunction : ushort
{
    /// <summary>DevAttrReg: registers an entity, or something of it.</summary>
    Register = 0x0001,

    /// <summary>DevDereg: takes it away.</summary>
    Deregister = 0x0004,
}

/// <summary>The flags of a PDU. RFC 4171 section 5.1.4, which numbers them from the highest bit of the word that they stand in.</summary>
[Flags]
public enum IsnsFlags : ushort
{
    /// <summary>Bit 21: the first PDU of its message.</summary>
    First = 0x0400,

    /// <summary>Bit 20: the last PDU of its message.</summary>
    Last = 0x0800,

    /// <summary>Bit 19: what is registered replaces all that was.</summary>
    Replace = 0x1000,

    /// <summary>Bit 17: a server speaks.</summary>
    FromServer = 0x4000,

    /// <summary>Bit 16: a client speaks.</summary>
    FromClient = 0x8000,
}

/// <summary>The header of a PDU: its first 12 bytes. RFC 4171 section 5.1.</summary>
public readonly ref struct IsnsHeader(ReadOnlySpan<byte> pdu)
{
    /// <summary>Its length in bytes.</summary>
    public const int Length = 12;

    /// <summary>The only version there is.</summary>
    public const ushort CurrentVersion = 1;

    /// <summary>What sets an answer apart from what it answers.</summary>
    public const ushort AnswerBit = 0x8000;

    /// <summary>The most that one PDU can carry behind its header: 16 bits, in steps of 4.</summary>
    public const int MaxPayloadBytes = 0xFFFC;

    const int VersionOffset = 0;
    const int FunctionOffset = 2;
    const int LengthOffset = 4;
    const int FlagsOffset = 6;
    const int TransactionOffset = 8;
    const int SequenceOffset = 10;

    readonly ReadOnlySpan<byte> _pdu = pdu[..Length];

    /// <summary>The version of the protocol.</summary>
    public ushort Version => BinaryPrimitives.ReadUInt16BigEndian(_pdu[VersionOffset..]);

    /// <summary>What is asked for, or with <see cref="AnswerBit"/> answered.</summary>
    public ushort Function => BinaryPrimitives.ReadUInt16BigEndian(_pdu[FunctionOffset..]);

    /// <summary>How many bytes follow.</summary>
    public ushort PayloadLength => BinaryPrimitives.ReadUInt16BigEndian(_pdu[LengthOffset..]);

    /// <summary>Whose PDU it is, and which of its message.</summary>
    public IsnsFlags Flags => (IsnsFlags)BinaryPrimitives.ReadUInt16BigEndian(_pdu[FlagsOffset..]);

    /// <summary>What an answer has in common with its question.</summary>
    public ushort TransactionId => BinaryPrimitives.ReadUInt16BigEndian(_pdu[TransactionOffset..]);

    /// <summary>Which PDU of the message it is, from 0 on.</summary>
    public ushort SequenceId => BinaryPrimitives.ReadUInt16BigEndian(_pdu[SequenceOffset..]);

    /// <summary>Writes one.</summary>
    public static void WriteTo(Span<byte> pdu, ushort function, IsnsFlags flags, ushort transactionId, ushort sequenceId, int payloadLength)
    {
        BinaryPrimitives.WriteUInt16BigEndian(pdu[VersionOffset..], CurrentVersion);
        BinaryPrimitives.WriteUInt16BigEndian(pdu[FunctionOffset..], function);
        BinaryPrimitives.WriteUInt16BigEndian(pdu[LengthOffset..], (ushort)payloadLength);
        BinaryPrimitives.WriteUInt16BigEndian(pdu[FlagsOffset..], (ushort)flags);
        BinaryPrimitives.WriteUInt16BigEndian(pdu[TransactionOffset..], transactionId);
        BinaryPrimitives.WriteUInt16BigEndian(pdu[SequenceOffset..], sequenceId);
    }
}
