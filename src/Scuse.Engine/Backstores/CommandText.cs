using Scuse.Scsi;

namespace Scuse.Engine.Backstores;

/// <summary>A command in words, for messages.</summary>
static class CommandText
{
    /// <summary><c>Write (2Ah) of 8 blocks at 4096</c>, or the operation code where the CDB names no blocks.</summary>
    public static string Of(ReadOnlySpan<byte> cdb) =>
        BlockTransferCdb.TryParse(cdb, out BlockTransferCdb transfer)
            ? $"{transfer.Kind} ({cdb[0]:X2}h) of {transfer.BlockCount} blocks at {transfer.Lba}"
            : $"command {cdb[0]:X2}h";
}
