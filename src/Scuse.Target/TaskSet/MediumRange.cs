using System.Buffers.Binary;
using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>The logical blocks that a command reads or writes, as far as its CDB tells.</summary>
/// <param name="First">The first block.</param>
/// <param name="Last">The last block.</param>
readonly record struct MediumRange(ulong First, ulong Last)
{
    const int LbaOffset = 2;
    const int BlockSizeOfNoMatter = 512;

    /// <summary>Every block there may be.</summary>
    public static MediumRange All => new(0, ulong.MaxValue);

    /// <summary>Whether the command has to be atomic: it writes what depends on what it reads, or nobody may see a part of what it writes, or it has to begin when nobody else is at its blocks.</summary>
    public static bool IsAtomic(byte operationCode) =>
        operationCode is OperationCode.CompareAndWrite or OperationCode.OrWrite16 or OperationCode.WriteAtomic16 || StartsMediumWork(operationCode);

    /// <summary>
    /// Whether the command has the whole medium written: it begins when nobody is at it any more, then goes on for long, while the device server refuses others.
    /// </summary>
    public static bool StartsMediumWork(byte operationCode) => operationCode is OperationCode.FormatUnit or OperationCode.Sanitize;

    /// <summary>Whether the command changes blocks.</summary>
    public static bool Writes(ReadOnlySpan<byte> cdb) =>
        cdb[0] is OperationCode.CompareAndWrite or OperationCode.OrWrite16 or OperationCode.WriteAtomic16 || HasItsRangesInTheList(cdb[0])
        || (BlockTransferCdb.TryParse(cdb, out BlockTransferCdb blocks)
            && blocks.Kind is BlockCommandKind.Write or BlockCommandKind.WriteAndVerify or BlockCommandKind.WriteSame);

    /// <summary>
    /// The blocks that a command may change, as far as its CDB tells. At level <paramref name="level"/> all a handler may have commands of its own: what brings data, or is not known, may change
    /// every block.
    /// </summary>
    public static bool MayChange(ReadOnlySpan<byte> cdb, PassLevel level, out MediumRange range)
    {
        if (Writes(cdb))
        {
            return TryGet(cdb, out range);
        }

        range = All;
        return level == PassLevel.All
            && CdbTransfer.Describe(cdb, BlockSizeOfNoMatter).Direction is TransferDirection.Out or TransferDirection.Unknown
            && !(BlockTransferCdb.TryParse(cdb, out BlockTransferCdb blocks) && blocks.Kind == BlockCommandKind.Verify)
            && cdb[0] is not (OperationCode.ModeSelect6 or OperationCode.ModeSelect10 or OperationCode.LogSelect or OperationCode.MaintenanceOut
                or OperationCode.SendDiagnostic or OperationCode.PersistentReserveOut or OperationCode.ThirdPartyCopyOut);
    }

    static bool HasItsRangesInTheList(byte operationCode) =>
        operationCode is OperationCode.Unmap or OperationCode.FormatUnit or OperationCode.Sanitize; // EXTENDED COPY reads and writes by tasks of their own

    /// <summary>The blocks of a command; false when it touches none.</summary>
    public static bool TryGet(ReadOnlySpan<byte> cdb, out MediumRange range)
    {
        range = default;
        if (cdb.IsEmpty || cdb.Length < Cdb.Length(cdb))
        {
            return false;
        }

        switch (cdb[0])
        {
            case OperationCode.CompareAndWrite:
                return TryMake(BinaryPrimitives.ReadUInt64BigEndian(cdb[LbaOffset..]), cdb[13], zeroIsAll: false, out range);
            case OperationCode.WriteAtomic16:
                return TryMake(BinaryPrimitives.ReadUInt64BigEndian(cdb[LbaOffset..]), BinaryPrimitives.ReadUInt16BigEndian(cdb[12..]), zeroIsAll: false, out range);
            case OperationCode.OrWrite16:
                return TryMake(BinaryPrimitives.ReadUInt64BigEndian(cdb[LbaOffset..]), BinaryPrimitives.ReadUInt32BigEndian(cdb[10..]), zeroIsAll: false, out range);
        }

        if (HasItsRangesInTheList(cdb[0]))
        {
            range = All;
            return true;
        }

        return BlockTransferCdb.TryParse(cdb, out BlockTransferCdb blocks)
            && blocks.Kind is not (BlockCommandKind.SynchronizeCache or BlockCommandKind.PreFetch)
            && TryMake(blocks.Lba, blocks.BlockCount, blocks.Kind == BlockCommandKind.WriteSame, out range);
    }

    static bool TryMake(ulong lba, uint count, bool zeroIsAll, out MediumRange range)
    {
        ulong last = count == 0 ? ulong.MaxValue : lba + count - 1;
        range = new MediumRange(lba, last < lba ? ulong.MaxValue : last);
        return count > 0 || zeroIsAll;
    }

    /// <summary>Whether a block is in both.</summary>
    public bool Overlaps(in MediumRange other) => First <= other.Last && other.First <= Last;
}
