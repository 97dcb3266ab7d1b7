using static System.Buffers.Binary.BinaryPrimitives;

namespace Scuse.Scsi;

/// <summary>The families of commands that name a range of logical blocks.</summary>
public enum BlockCommandKind : byte
{
    /// <summary>READ(6), (10), (12) and (16).</summary>
    Read,

    /// <summary>WRITE(6), (10), (12) and (16).</summary>
    Write,

    /// <summary>WRITE AND VERIFY(10), (12) and (16).</summary>
    WriteAndVerify,

    /// <summary>VERIFY(10), (12) and (16).</summary>
    Verify,

    /// <summary>WRITE SAME(10) and (16).</summary>
    WriteSame,

    /// <summary>SYNCHRONIZE CACHE(10) and (16).</summary>
    SynchronizeCache,

    /// <summary>PRE-FETCH(10) and (16).</summary>
    PreFetch,
}

/// <summary>
/// A CDB that names a range of logical blocks: READ, WRITE, WRITE AND VERIFY, VERIFY, WRITE SAME, SYNCHRONIZE CACHE and PRE-FETCH in all their lengths
/// up to 16 bytes. SBC-3 clauses 5.11 to 5.13, 5.26 to 5.31 and 5.33 to 5.44; the 6-byte ones SBC-2.
/// </summary>
public readonly ref struct BlockTransferCdb
{
    const int FlagsOffset = 1;

    // Six bytes: 21 bits of address in bytes 1 to 3, then one byte of length where zero means 256. SBC-2 clause 5.7.
    const int Lba6Offset = 1;
    const uint Lba6Mask = 0x1F_FFFF;
    const int BlockCount6Offset = 4;
    const uint BlockCount6Zero = 256;

    const int LbaOffset = 2;
    const int BlockCount10Offset = 7;
    const int BlockCount12Offset = 6;
    const int BlockCount16Offset = 10;

    readonly byte _flags;

    BlockTransferCdb(BlockCommandKind kind, byte flags, ulong lba, uint blockCount, int blockCountOffset)
    {
        Kind = kind;
        _flags = flags;
        Lba = lba;
        BlockCount = blockCount;
        BlockCountOffset = blockCountOffset;
    }

    /// <summary>The command's family.</summary>
    public BlockCommandKind Kind { get; }

    /// <summary>The first block's LOGICAL BLOCK ADDRESS.</summary>
    public ulong Lba { get; }

    /// <summary>
    /// How many blocks: the TRANSFER LENGTH, VERIFICATION LENGTH or NUMBER OF LOGICAL BLOCKS. A zero in READ(6) and WRITE(6) is already 256 here;
    /// in WRITE SAME, SYNCHRONIZE CACHE and PRE-FETCH zero means all to the end of the medium.
    /// </summary>
    public uint BlockCount { get; }

    /// <summary>The byte of the CDB where the block count starts: what sense data points at when it is too large.</summary>
    public int BlockCountOffset { get; }

    /// <summary>RDPROTECT, WRPROTECT or VRPROTECT: how protection information is to be checked; 0 to 7.</summary>
    public int Protect => Kind is BlockCommandKind.SynchronizeCache or BlockCommandKind.PreFetch ? 0 : _flags >> 5;

    /// <summary>DPO: the blocks are not worth keeping in a cache.</summary>
    public bool Dpo => Kind is not (BlockCommandKind.WriteSame or BlockCommandKind.SynchronizeCache or BlockCommandKind.PreFetch) && (_flags & 0x10) != 0;

    /// <summary>FUA: the medium itself is to be read or written, not only a cache.</summary>
    public bool Fua => Kind is BlockCommandKind.Read or BlockCommandKind.Write && (_flags & 0x08) != 0;

    /// <summary>BYTCHK, 0 to 3: whether, and with what, VERIFY and WRITE AND VERIFY compare. SBC-3 clause 5.29.</summary>
    public int ByteCheck => Kind is BlockCommandKind.Verify or BlockCommandKind.WriteAndVerify ? (_flags >> 1) & 0x3 : 0;

    /// <summary>ANCHOR of WRITE SAME: unmapped blocks keep their resources.</summary>
    public bool Anchor => Kind == BlockCommandKind.WriteSame && (_flags & 0x10) != 0;

    /// <summary>UNMAP of WRITE SAME: the device may unmap instead of writing.</summary>
    public bool Unmap => Kind == BlockCommandKind.WriteSame && (_flags & 0x08) != 0;

    /// <summary>NDOB of WRITE SAME(16): there is no Data-Out, zeros are meant. SBC-3 clause 5.44.</summary>
    public bool Ndob => Kind == BlockCommandKind.WriteSame && BlockCountOffset == BlockCount16Offset && (_flags & 0x01) != 0;

    /// <summary>PBDATA or LBDATA of WRITE SAME, which SBC-3 has made obsolete: the address would be written into each block.</summary>
    public bool WritesAddresses => Kind == BlockCommandKind.WriteSame && (_flags & 0x06) != 0;

    /// <summary>IMMED of SYNCHRONIZE CACHE and PRE-FETCH: the answer does not wait for the work.</summary>
    public bool Immed => Kind is BlockCommandKind.SynchronizeCache or BlockCommandKind.PreFetch && (_flags & 0x02) != 0;

    /// <summary>Reads a CDB that is known to be one of these and long enough.</summary>
    /// <exception cref="ArgumentException">It is not.</exception>
    public static BlockTransferCdb Parse(ReadOnlySpan<byte> cdb) =>
        TryParse(cdb, out BlockTransferCdb view) ? view : throw new ArgumentException("the CDB names no range of blocks, or is too short", nameof(cdb));

    /// <summary>Reads a CDB; false when its operation code is none of these or it is too short.</summary>
    public static bool TryParse(ReadOnlySpan<byte> cdb, out BlockTransferCdb view)
    {
        view = default;
        if (cdb.IsEmpty || !TryGetKind(cdb[0], out BlockCommandKind kind))
        {
            return false;
        }

        int length = Cdb.Length(cdb[0]);
        if (cdb.Length < length)
        {
            return false;
        }

        view = length switch
        {
            6 => Parse6(kind, cdb),
            10 => new(kind, cdb[FlagsOffset], ReadUInt32BigEndian(cdb[LbaOffset..]), ReadUInt16BigEndian(cdb[BlockCount10Offset..]), BlockCount10Offset),
            12 => new(kind, cdb[FlagsOffset], ReadUInt32BigEndian(cdb[LbaOffset..]), ReadUInt32BigEndian(cdb[BlockCount12Offset..]), BlockCount12Offset),
            _ => new(kind, cdb[FlagsOffset], ReadUInt64BigEndian(cdb[LbaOffset..]), ReadUInt32BigEndian(cdb[BlockCount16Offset..]), BlockCount16Offset),
        };
        return true;
    }

    static BlockTransferCdb Parse6(BlockCommandKind kind, ReadOnlySpan<byte> cdb)
    {
        uint lba = (ReadUInt32BigEndian(cdb[Lba6Offset..]) >> 8) & Lba6Mask;
        uint blockCount = cdb[BlockCount6Offset];
        return new(kind, 0, lba, blockCount == 0 ? BlockCount6Zero : blockCount, BlockCount6Offset);
    }

    static bool TryGetKind(byte opcode, out BlockCommandKind kind)
    {
        switch (opcode)
        {
            case OperationCode.Read6 or OperationCode.Read10 or OperationCode.Read12 or OperationCode.Read16:
                kind = BlockCommandKind.Read;
                return true;
            case OperationCode.Write6 or OperationCode.Write10 or OperationCode.Write12 or OperationCode.Write16:
                kind = BlockCommandKind.Write;
                return true;
            case OperationCode.WriteAndVerify10 or OperationCode.WriteAndVerify12 or OperationCode.WriteAndVerify16:
                kind = BlockCommandKind.WriteAndVerify;
                return true;
            case OperationCode.Verify10 or OperationCode.Verify12 or OperationCode.Verify16:
                kind = BlockCommandKind.Verify;
                return true;
            case OperationCode.WriteSame10 or OperationCode.WriteSame16:
                kind = BlockCommandKind.WriteSame;
                return true;
            case OperationCode.SynchronizeCache10 or OperationCode.SynchronizeCache16:
                kind = BlockCommandKind.SynchronizeCache;
                return true;
            case OperationCode.PreFetch10 or OperationCode.PreFetch16:
                kind = BlockCommandKind.PreFetch;
                return true;
            default:
                kind = default;
                return false;
        }
    }
}
