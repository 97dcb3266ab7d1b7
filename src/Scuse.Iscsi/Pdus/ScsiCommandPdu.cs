using System.Buffers.Binary;

namespace Scuse.Iscsi.Pdus;

/// <summary>SCSI Command. RFC 7143 section 11.3.</summary>
internal readonly ref struct ScsiCommandPdu(ReadOnlySpan<byte> pdu)
{
    public const byte ReadBit = 0x40;
    public const byte WriteBit = 0x20;
    const byte AttributeMask = 0x07;
    const int ExpectedDataTransferLengthOffset = 20;
    const int CdbOffset = 32;
    const int CdbLength = 16;

    readonly ReadOnlySpan<byte> _pdu = pdu[..BasicHeader.Length];

    public BasicHeader Header => new(_pdu);

    public bool Final => (_pdu[BasicHeader.FlagsOffset] & BasicHeader.FinalBit) != 0;

    public bool Read => (_pdu[BasicHeader.FlagsOffset] & ReadBit) != 0;

    public bool Write => (_pdu[BasicHeader.FlagsOffset] & WriteBit) != 0;

    public byte Attribute => (byte)(_pdu[BasicHeader.FlagsOffset] & AttributeMask);

    public uint ExpectedDataTransferLength => BinaryPrimitives.ReadUInt32BigEndian(_pdu[ExpectedDataTransferLengthOffset..]);

    public ReadOnlySpan<byte> Cdb => _pdu.Slice(CdbOffset, CdbLength);

    public static void WriteTo(
        Span<byte> pdu, byte flags, ulong lun, uint initiatorTaskTag, uint expectedLength, uint cmdSN, uint expStatSN,
        ReadOnlySpan<byte> cdb, int ahsLengthBytes = 0, int dataSegmentLength = 0, bool immediate = false)
    {
        BasicHeader.Begin(pdu, Opcode.ScsiCommand, flags, initiatorTaskTag, dataSegmentLength, immediate);
        pdu[BasicHeader.TotalAhsLengthOffset] = (byte)(ahsLengthBytes / 4);
        BinaryPrimitives.WriteUInt64BigEndian(pdu[BasicHeader.LunOffset..], lun);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[ExpectedDataTransferLengthOffset..], expectedLength);
        SequenceNumbers.WriteRequest(pdu, cmdSN, expStatSN);
        cdb[..Math.Min(cdb.Length, CdbLength)].CopyTo(pdu[CdbOffset..]);
    }
}
