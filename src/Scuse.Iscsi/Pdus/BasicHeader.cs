using System.Buffers.Binary;

namespace Scuse.Iscsi.Pdus;

/// <summary>Basic header segment: the first 48 bytes of every PDU. RFC 7143 section 11.2.1.</summary>
internal readonly ref struct BasicHeader(ReadOnlySpan<byte> pdu)
{
    public const int Length = 48;

    /// <summary>The tag that stands for "no task" and "no transfer". RFC 7143 section 11.2.1.8.</summary>
    public const uint ReservedTag = 0xFFFF_FFFF;

    public const int FlagsOffset = 1;
    public const int TotalAhsLengthOffset = 4;
    public const int DataSegmentLengthOffset = 5;
    public const int LunOffset = 8;
    public const int InitiatorTaskTagOffset = 16;

    /// <summary>Where every request but Data-Out and SNACK carries its CmdSN.</summary>
    public const int CmdSNOffset = 24;

    /// <summary>Where every request carries its ExpStatSN.</summary>
    public const int ExpStatSNOffset = 28;

    public const byte ImmediateBit = 0x40;
    public const byte FinalBit = 0x80;
    public const byte ContinueBit = 0x40;
    const byte OpcodeMask = 0x3F;

    readonly ReadOnlySpan<byte> _pdu = pdu[..Length];

    public Opcode Opcode => (Opcode)(_pdu[0] & OpcodeMask);

    public bool Immediate => (_pdu[0] & ImmediateBit) != 0;

    public byte Flags => _pdu[FlagsOffset];

    public bool Final => (Flags & FinalBit) != 0;

    /// <summary>Length of all additional header segments, in bytes.</summary>
    public int TotalAhsLengthBytes => _pdu[TotalAhsLengthOffset] * 4;

    /// <summary>Length of the data segment in bytes, without padding.</summary>
    public int DataSegmentLength => (_pdu[DataSegmentLengthOffset] << 16) | (_pdu[DataSegmentLengthOffset + 1] << 8) | _pdu[DataSegmentLengthOffset + 2];

    public ulong Lun => BinaryPrimitives.ReadUInt64BigEndian(_pdu[LunOffset..]);

    public uint InitiatorTaskTag => BinaryPrimitives.ReadUInt32BigEndian(_pdu[InitiatorTaskTagOffset..]);

    public uint CmdSN => BinaryPrimitives.ReadUInt32BigEndian(_pdu[CmdSNOffset..]);

    public uint ExpStatSN => BinaryPrimitives.ReadUInt32BigEndian(_pdu[ExpStatSNOffset..]);

    /// <summary>How many zero bytes follow a segment of a length, up to the next four-byte word.</summary>
    public static int PaddingFor(int lengthBytes) => -lengthBytes & 3;

    /// <summary>Clears the header and writes what all PDUs have.</summary>
    public static void Begin(Span<byte> pdu, Opcode opcode, byte flags, uint initiatorTaskTag, int dataSegmentLength = 0, bool immediate = false)
    {
        pdu = pdu[..Length];
        pdu.Clear();
        pdu[0] = (byte)((byte)opcode | (immediate ? ImmediateBit : 0));
        pdu[FlagsOffset] = flags;
        SetDataSegmentLength(pdu, dataSegmentLength);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[InitiatorTaskTagOffset..], initiatorTaskTag);
    }

    public static void SetDataSegmentLength(Span<byte> pdu, int lengthBytes)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)lengthBytes, 0xFF_FFFFu, nameof(lengthBytes));
        pdu[DataSegmentLengthOffset] = (byte)(lengthBytes >> 16);
        pdu[DataSegmentLengthOffset + 1] = (byte)(lengthBytes >> 8);
        pdu[DataSegmentLengthOffset + 2] = (byte)lengthBytes;
    }
}
