using System.Buffers.Binary;

namespace Scuse.Iscsi.Pdus;

/// <summary>What a SNACK asks for. RFC 7143 section 11.16.1.</summary>
internal enum SnackType : byte
{
    /// <summary>Data-In PDUs, or R2Ts, of a task once more.</summary>
    DataOrR2T = 0,

    /// <summary>Statuses once more.</summary>
    Status = 1,

    /// <summary>Nothing: it acknowledges Data-In PDUs of a task.</summary>
    DataAck = 2,

    /// <summary>All data of a task, cut for another MaxRecvDataSegmentLength.</summary>
    ResegmentedData = 3,
}

/// <summary>SNACK Request; always rejected at ErrorRecoveryLevel 0. RFC 7143 section 11.16.</summary>
internal readonly ref struct SnackPdu(ReadOnlySpan<byte> pdu)
{
    const byte TypeMask = 0x0F;
    const int TagOffset = 20;
    const int BegRunOffset = 40;
    const int RunLengthOffset = 44;

    readonly ReadOnlySpan<byte> _pdu = pdu[..BasicHeader.Length];

    public BasicHeader Header => new(_pdu);

    public SnackType Type => (SnackType)(_pdu[BasicHeader.FlagsOffset] & TypeMask);

    /// <summary>The target transfer tag of the Data-In that a DataACK is for, or the SNACK tag of an R-Data SNACK.</summary>
    public uint Tag => BinaryPrimitives.ReadUInt32BigEndian(_pdu[TagOffset..]);

    public uint BegRun => BinaryPrimitives.ReadUInt32BigEndian(_pdu[BegRunOffset..]);

    public uint RunLength => BinaryPrimitives.ReadUInt32BigEndian(_pdu[RunLengthOffset..]);

    public static void WriteTo(Span<byte> pdu, SnackType type, uint initiatorTaskTag, uint expStatSN, uint begRun, uint runLength,
        uint tag = BasicHeader.ReservedTag)
    {
        BasicHeader.Begin(pdu, Opcode.SnackRequest, (byte)(BasicHeader.FinalBit | (byte)type), initiatorTaskTag);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[TagOffset..], tag);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[BasicHeader.ExpStatSNOffset..], expStatSN);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[BegRunOffset..], begRun);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[RunLengthOffset..], runLength);
    }
}
