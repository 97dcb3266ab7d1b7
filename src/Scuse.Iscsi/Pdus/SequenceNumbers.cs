using System.Buffers.Binary;

namespace Scuse.Iscsi.Pdus;

/// <summary>The three numbers that every PDU of a target carries at the same place. RFC 7143 section 11.4.</summary>
internal readonly ref struct SequenceNumbers(ReadOnlySpan<byte> pdu)
{
    public const int StatSNOffset = 24;
    public const int ExpCmdSNOffset = 28;
    public const int MaxCmdSNOffset = 32;

    readonly ReadOnlySpan<byte> _pdu = pdu[..BasicHeader.Length];

    public uint StatSN => BinaryPrimitives.ReadUInt32BigEndian(_pdu[StatSNOffset..]);

    public uint ExpCmdSN => BinaryPrimitives.ReadUInt32BigEndian(_pdu[ExpCmdSNOffset..]);

    public uint MaxCmdSN => BinaryPrimitives.ReadUInt32BigEndian(_pdu[MaxCmdSNOffset..]);

    public static void Write(Span<byte> pdu, uint statSN, uint expCmdSN, uint maxCmdSN)
    {
        BinaryPrimitives.WriteUInt32BigEndian(pdu[StatSNOffset..], statSN);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[ExpCmdSNOffset..], expCmdSN);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[MaxCmdSNOffset..], maxCmdSN);
    }

    /// <summary>The two numbers that every numbered request of an initiator carries.</summary>
    public static void WriteRequest(Span<byte> pdu, uint cmdSN, uint expStatSN)
    {
        BinaryPrimitives.WriteUInt32BigEndian(pdu[BasicHeader.CmdSNOffset..], cmdSN);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[BasicHeader.ExpStatSNOffset..], expStatSN);
    }
}
