using System.Buffers.Binary;

namespace Scuse.Iscsi.Pdus;

/// <summary>SNACK Request; always rejected at ErrorRecoveryLevel 0. RFC 7143 section 11.16.</summary>
internal readonly ref struct SnackPdu(ReadOnlySpan<byte> pdu)
{
    const byte TypeMask = 0x0F;
    const int BegRunOffset = 40;
    const int RunLengthOffset = 44;

    readonly ReadOnlySpan<byte> _pdu = pdu[..BasicHeader.Length];

    public BasicHeader Header => new(_pdu);

    public byte Type => (byte)(_pdu[BasicHeader.FlagsOffset] & TypeMask);

    public uint BegRun => BinaryPrimitives.ReadUInt32BigEndian(_pdu[BegRunOffset..]);

    public uint RunLength => BinaryPrimitives.ReadUInt32BigEndian(_pdu[RunLengthOffset..]);

    public static void WriteTo(Span<byte> pdu, byte type, uint initiatorTaskTag, uint expStatSN, uint begRun, uint runLength)
    {
        BasicHeader.Begin(pdu, Opcode.SnackRequest, (byte)(BasicHeader.FinalBit | type), initiatorTaskTag);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[BasicHeader.ExpStatSNOffset..], expStatSN);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[BegRunOffset..], begRun);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[RunLengthOffset..], runLength);
    }
}
