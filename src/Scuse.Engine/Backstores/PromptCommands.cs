using Scuse.Scsi;

namespace Scuse.Engine.Backstores;

/// <summary>Which commands a handler answers promptly, and which may wait for a disk to flush or for a whole range to be worked through.</summary>
static class PromptCommands
{
    /// <summary>Whether it is a read, or a write that need not be on the medium when it is answered.</summary>
    public static bool Includes(ReadOnlySpan<byte> cdb) =>
        BlockTransferCdb.TryParse(cdb, out BlockTransferCdb command) && command is { Kind: BlockCommandKind.Read or BlockCommandKind.Write, Fua: false };
}
