using System.Buffers.Binary;

namespace Scuse.Scsi;

/// <summary>Lengths of CDBs, and writers for those that the target issues itself. SPC-4 clause 4.2.</summary>
public static class Cdb
{
    /// <summary>Length in bytes of the longest CDB with a fixed length.</summary>
    public const int MaxFixedLength = 16;

    /// <summary>Where a variable length CDB holds its ADDITIONAL CDB LENGTH. SPC-4 clause 4.2.3.</summary>
    const int AdditionalLengthOffset = 7;

    const int VariableLengthHeader = 8;
    const byte FuaBit = 0x08;
    const byte ImmedBit = 0x02;
    const byte UnmapBit = 0x08;
    const byte NdobBit = 0x01;
    const byte UnmapAnchorBit = 0x01;

    /// <summary>
    /// The length in bytes that the operation code's group gives the CDB: 6, 10, 12 or 16; 0 where the group leaves it open (variable length,
    /// reserved and vendor specific groups). SPC-4 clause 4.2.5.1.
    /// </summary>
    public static int Length(byte opcode) => (opcode >> 5) switch
    {
        0 => 6,
        1 or 2 => 10,
        4 => 16,
        5 => 12,
        _ => 0,
    };

    /// <summary>
    /// The length in bytes of the CDB that starts <paramref name="cdb"/>, as <see cref="Length(byte)"/>, and for a variable length CDB what
    /// it says of itself; 0 where it cannot be told.
    /// </summary>
    public static int Length(ReadOnlySpan<byte> cdb)
    {
        if (cdb.IsEmpty)
        {
            return 0;
        }

        return cdb[0] == OperationCode.VariableLength && cdb.Length >= VariableLengthHeader
            ? VariableLengthHeader + cdb[AdditionalLengthOffset]
            : Length(cdb[0]);
    }

    /// <summary>Writes a READ(16) CDB. Returns its length in bytes. SBC-3 clause 5.13.</summary>
    public static int WriteRead16(Span<byte> cdb, ulong lba, uint blockCount) =>
        WriteBlocks16(cdb, OperationCode.Read16, 0, lba, blockCount);

    /// <summary>Writes a WRITE(16) CDB, with <paramref name="fua"/> one that is answered only when the data is durable. Returns its length in bytes. SBC-3 clause 5.35.</summary>
    public static int WriteWrite16(Span<byte> cdb, ulong lba, uint blockCount, bool fua = false) =>
        WriteBlocks16(cdb, OperationCode.Write16, fua ? FuaBit : (byte)0, lba, blockCount);

    /// <summary>
    /// Writes a SYNCHRONIZE CACHE(16) CDB; zero blocks mean all from <paramref name="lba"/> on. Returns its length in bytes. SBC-3 clause 5.27.
    /// </summary>
    public static int WriteSynchronizeCache16(Span<byte> cdb, ulong lba = 0, uint blockCount = 0, bool immed = false) =>
        WriteBlocks16(cdb, OperationCode.SynchronizeCache16, immed ? ImmedBit : (byte)0, lba, blockCount);

    /// <summary>
    /// Writes a WRITE SAME(16) CDB; with <paramref name="ndob"/> it writes zeros and takes no data. Returns its length in bytes. SBC-3 clause 5.44.
    /// </summary>
    public static int WriteWriteSame16(Span<byte> cdb, ulong lba, uint blockCount, bool unmap = false, bool ndob = false) =>
        WriteBlocks16(cdb, OperationCode.WriteSame16, (byte)((unmap ? UnmapBit : 0) | (ndob ? NdobBit : 0)), lba, blockCount);

    /// <summary>Writes an UNMAP CDB for a parameter list of <paramref name="parameterListLength"/> bytes. Returns its length in bytes. SBC-3 clause 5.28.1.</summary>
    public static int WriteUnmap10(Span<byte> cdb, ushort parameterListLength, bool anchor = false)
    {
        const int length = 10, parameterListLengthOffset = 7;
        cdb = cdb[..length];
        cdb.Clear();
        cdb[0] = OperationCode.Unmap;
        cdb[1] = anchor ? UnmapAnchorBit : (byte)0;
        BinaryPrimitives.WriteUInt16BigEndian(cdb[parameterListLengthOffset..], parameterListLength);
        return length;
    }

    /// <summary>Writes a GET LBA STATUS CDB. Returns its length in bytes. SBC-3 clause 5.6.</summary>
    public static int WriteGetLbaStatus(Span<byte> cdb, ulong lba, uint allocationLength) =>
        WriteBlocks16(cdb, OperationCode.ServiceActionIn16, ServiceAction.GetLbaStatus, lba, allocationLength);

    /// <summary>Writes a LOG SENSE CDB for the current values of a page. Returns its length in bytes. SPC-4 clause 6.8.</summary>
    public static int WriteLogSense(Span<byte> cdb, byte page, ushort allocationLength)
    {
        const int length = 10, pageOffset = 2, allocationLengthOffset = 7;
        const byte cumulative = 0x40;
        cdb = cdb[..length];
        cdb.Clear();
        cdb[0] = OperationCode.LogSense;
        cdb[pageOffset] = (byte)(cumulative | page);
        BinaryPrimitives.WriteUInt16BigEndian(cdb[allocationLengthOffset..], allocationLength);
        return length;
    }

    static int WriteBlocks16(Span<byte> cdb, byte opcode, byte flags, ulong lba, uint blockCount)
    {
        const int length = 16, lbaOffset = 2, blockCountOffset = 10;
        cdb = cdb[..length];
        cdb.Clear();
        cdb[0] = opcode;
        cdb[1] = flags;
        BinaryPrimitives.WriteUInt64BigEndian(cdb[lbaOffset..], lba);
        BinaryPrimitives.WriteUInt32BigEndian(cdb[blockCountOffset..], blockCount);
        return length;
    }
}
