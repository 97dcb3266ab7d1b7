using static System.Buffers.Binary.BinaryPrimitives;

namespace Scuse.Scsi;

/// <summary>Which way a command's data goes, seen from the initiator.</summary>
public enum TransferDirection : byte
{
    /// <summary>No data.</summary>
    None,

    /// <summary>From the initiator to the device: Data-Out.</summary>
    Out,

    /// <summary>From the device to the initiator: Data-In.</summary>
    In,

    /// <summary>The CDB does not tell, or not to us.</summary>
    Unknown,
}

/// <summary>How many bytes a command moves by its CDB, and which way.</summary>
/// <param name="Direction">Which way.</param>
/// <param name="LengthBytes">
/// How many bytes at most: blocks times block size, the ALLOCATION LENGTH or the PARAMETER LIST LENGTH. Zero for <see cref="TransferDirection.None"/>
/// and <see cref="TransferDirection.Unknown"/>.
/// </param>
public readonly record struct CdbTransfer(TransferDirection Direction, long LengthBytes)
{
    const int BlockLengthUnit = 512; // SECURITY PROTOCOL IN and OUT with INC_512. SPC-4 clause 6.40.

    /// <summary>No data.</summary>
    public static CdbTransfer None => default;

    /// <summary>The CDB does not tell.</summary>
    public static CdbTransfer Unknown => new(TransferDirection.Unknown, 0);

    /// <summary>
    /// What a CDB moves on a device with blocks of <paramref name="blockSize"/> bytes; <see cref="Unknown"/> for operation codes it does not know,
    /// for bidirectional commands and for a CDB that is too short. SPC-4 clause 6, SBC-3 clause 5.
    /// </summary>
    public static CdbTransfer Describe(ReadOnlySpan<byte> cdb, int blockSize)
    {
        if (cdb.IsEmpty || cdb.Length < Cdb.Length(cdb))
        {
            return Unknown;
        }

        return BlockTransferCdb.TryParse(cdb, out BlockTransferCdb blocks)
            ? DescribeBlocks(blocks, blockSize)
            : DescribeOther(cdb, blockSize);
    }

    /// <summary>The byte of the CDB where the number of blocks to transfer starts, for sense data to point at when it is too large; null for a CDB that has none.</summary>
    public static int? BlockCountOffset(ReadOnlySpan<byte> cdb) =>
        BlockTransferCdb.TryParse(cdb, out BlockTransferCdb blocks) ? blocks.BlockCountOffset
        : cdb.IsEmpty ? null
        : cdb[0] switch
        {
            OperationCode.OrWrite16 => 10,
            OperationCode.WriteAtomic16 => 12,
            OperationCode.CompareAndWrite => 13,
            _ => null,
        };

    /// <summary>
    /// Whether data beyond what the CDB asks for makes the command another one than was meant: COMPARE AND WRITE, whose data are two halves, and WRITE SAME with a block.
    /// </summary>
    public static bool MeansAllOfItsData(ReadOnlySpan<byte> cdb) =>
        !cdb.IsEmpty
        && (cdb[0] == OperationCode.CompareAndWrite
            || (BlockTransferCdb.TryParse(cdb, out BlockTransferCdb blocks) && blocks is { Kind: BlockCommandKind.WriteSame, Ndob: false }));

    static CdbTransfer DescribeBlocks(in BlockTransferCdb cdb, int blockSize)
    {
        long all = (long)cdb.BlockCount * blockSize;
        return cdb.Kind switch
        {
            BlockCommandKind.Read => In(all),
            BlockCommandKind.Write or BlockCommandKind.WriteAndVerify => Out(all),
            BlockCommandKind.Verify => DescribeVerify(cdb.ByteCheck, cdb.BlockCount, blockSize),
            BlockCommandKind.WriteSame => Out(cdb.Ndob ? 0 : blockSize),
            _ => None,
        };
    }

    // BYTCHK: 00b compares nothing, 01b all blocks, 11b every block with the same one; 10b is reserved. SBC-3 clause 5.29.
    static CdbTransfer DescribeVerify(int byteCheck, uint blockCount, int blockSize) => byteCheck switch
    {
        0 => None,
        1 => Out((long)blockCount * blockSize),
        3 => Out(blockCount == 0 ? 0 : blockSize),
        _ => Unknown,
    };

    static CdbTransfer DescribeOther(ReadOnlySpan<byte> cdb, int blockSize)
    {
        switch (cdb[0])
        {
            case OperationCode.TestUnitReady:
            case OperationCode.StartStopUnit:
            case OperationCode.FormatUnit when (cdb[1] & 0x10) == 0: // without FMTDATA; with it the list tells its length
            case OperationCode.PreventAllowMediumRemoval:
            case OperationCode.Reserve6:
            case OperationCode.Release6:
                return None;

            case OperationCode.RequestSense:
            case OperationCode.ModeSense6:
                return In(cdb[4]);
            case OperationCode.Inquiry:
            case OperationCode.ReceiveDiagnosticResults:
                return In(ReadUInt16BigEndian(cdb[3..]));
            case OperationCode.ModeSelect6:
                return Out(cdb[4]);
            case OperationCode.SendDiagnostic:
                return Out(ReadUInt16BigEndian(cdb[3..]));

            case OperationCode.ReadCapacity10:
                return In(8);
            case OperationCode.ModeSense10:
            case OperationCode.LogSense:
            case OperationCode.PersistentReserveIn:
            case OperationCode.ReadDefectData10:
            case OperationCode.ReadLong10:
                return In(ReadUInt16BigEndian(cdb[7..]));
            case OperationCode.ModeSelect10:
            case OperationCode.LogSelect:
            case OperationCode.Unmap:
            case OperationCode.Sanitize:
            case OperationCode.WriteLong10:
            case OperationCode.Reserve10:
            case OperationCode.Release10:
                return Out(ReadUInt16BigEndian(cdb[7..]));
            case OperationCode.PersistentReserveOut:
                return Out(ReadUInt32BigEndian(cdb[5..]));
            case OperationCode.ReadBuffer10:
                return In(ReadUInt24(cdb[6..]));
            case OperationCode.WriteBuffer:
                return Out(ReadUInt24(cdb[6..]));

            case OperationCode.ReportLuns:
            case OperationCode.MaintenanceIn:
            case OperationCode.ReadDefectData12:
                return In(ReadUInt32BigEndian(cdb[6..]));
            case OperationCode.MaintenanceOut:
                return Out(ReadUInt32BigEndian(cdb[6..]));
            case OperationCode.SecurityProtocolIn:
                return In(SecurityProtocolLength(cdb));
            case OperationCode.SecurityProtocolOut:
                return Out(SecurityProtocolLength(cdb));

            case OperationCode.CompareAndWrite:
                return Out(2L * cdb[13] * blockSize); // the blocks to compare with, then those to write. SBC-3 clause 5.2
            case OperationCode.OrWrite16:
                return Out((long)ReadUInt32BigEndian(cdb[10..]) * blockSize);
            case OperationCode.WriteAtomic16:
                return Out((long)ReadUInt16BigEndian(cdb[12..]) * blockSize);
            case OperationCode.ThirdPartyCopyIn:
            case OperationCode.ReadAttribute:
                return In(ReadUInt32BigEndian(cdb[10..]));
            case OperationCode.ThirdPartyCopyOut:
            case OperationCode.WriteAttribute:
                return Out(ReadUInt32BigEndian(cdb[10..]));
            case OperationCode.ServiceActionIn16:
                return DescribeServiceActionIn16(cdb);
            case OperationCode.ServiceActionOut16 when (cdb[1] & ServiceAction.Mask) == ServiceAction.WriteLong16:
                return Out(ReadUInt16BigEndian(cdb[12..]));
            case OperationCode.VariableLength:
                return DescribeVariableLength(cdb, blockSize);

            default:
                return Unknown;
        }
    }

    static CdbTransfer DescribeServiceActionIn16(ReadOnlySpan<byte> cdb) => (cdb[1] & ServiceAction.Mask) switch
    {
        ServiceAction.ReadCapacity16 or ServiceAction.GetLbaStatus or ServiceAction.ReportReferrals => In(ReadUInt32BigEndian(cdb[10..])),
        ServiceAction.ReadLong16 => In(ReadUInt16BigEndian(cdb[12..])),
        _ => Unknown,
    };

    // The block commands of 32 bytes: service action in bytes 8 and 9, flags in byte 10, block count in bytes 28 to 31. SBC-3 clause 5.14.
    static CdbTransfer DescribeVariableLength(ReadOnlySpan<byte> cdb, int blockSize)
    {
        const int length32 = 32, serviceActionOffset = 8, flagsOffset = 10, blockCountOffset = 28;
        if (cdb.Length < length32)
        {
            return Unknown;
        }

        uint blockCount = ReadUInt32BigEndian(cdb[blockCountOffset..]);
        byte flags = cdb[flagsOffset];
        return ReadUInt16BigEndian(cdb[serviceActionOffset..]) switch
        {
            ServiceAction.Read32 => In((long)blockCount * blockSize),
            ServiceAction.Write32 or ServiceAction.WriteAndVerify32 => Out((long)blockCount * blockSize),
            ServiceAction.Verify32 => DescribeVerify((flags >> 1) & 0x3, blockCount, blockSize),
            ServiceAction.WriteSame32 => Out((flags & 0x01) != 0 ? 0 : blockSize),
            _ => Unknown,
        };
    }

    static long SecurityProtocolLength(ReadOnlySpan<byte> cdb)
    {
        const byte inc512 = 0x80;
        long length = ReadUInt32BigEndian(cdb[6..]);
        return (cdb[4] & inc512) != 0 ? length * BlockLengthUnit : length;
    }

    static uint ReadUInt24(ReadOnlySpan<byte> bytes) => (uint)((bytes[0] << 16) | (bytes[1] << 8) | bytes[2]);

    // A command that could move data but moves none this time has no direction.
    static CdbTransfer In(long lengthBytes) => lengthBytes == 0 ? None : new(TransferDirection.In, lengthBytes);

    static CdbTransfer Out(long lengthBytes) => lengthBytes == 0 ? None : new(TransferDirection.Out, lengthBytes);
}
