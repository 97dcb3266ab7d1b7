namespace Scuse.Ring;

/// <summary>Where everything lies in a shared region: mailbox, command ring, data area, in this order. Offsets and lengths are in bytes.</summary>
public sealed record RingLayout
{
    /// <summary>The smallest command ring, in bytes: half of it holds a command with a CDB of 16 bytes.</summary>
    public const int MinCommandRingBytes = 256;

    /// <summary>The largest command ring, in bytes.</summary>
    public const int MaxCommandRingBytes = 1 << 30;

    RingLayout(int commandRingBytes, long dataOffset, int blockCount, int blockBytes)
    {
        CommandRingBytes = commandRingBytes;
        DataOffset = dataOffset;
        BlockCount = blockCount;
        BlockBytes = blockBytes;
    }

    /// <summary>A command ring that ends at 256 KiB, then a data area of 256 MiB in blocks of 4 KiB.</summary>
    public static RingLayout Default { get; } = Create(256 * 1024 - RingAbi.MailboxBytes, 256L << 20);

    /// <summary>Where the command ring starts: right after the mailbox.</summary>
    public int CommandRingOffset { get; } = RingAbi.MailboxBytes;

    /// <summary>The command ring's length, a multiple of 8 but not always a power of two.</summary>
    public int CommandRingBytes { get; }

    /// <summary>Where the data area starts, on a page.</summary>
    public long DataOffset { get; }

    /// <summary>The data area's length, a multiple of <see cref="BlockBytes"/>.</summary>
    public long DataBytes => (long)BlockCount * BlockBytes;

    /// <summary>How many blocks the data area has.</summary>
    public int BlockCount { get; }

    /// <summary>The length of a block of the data area, a multiple of 4096.</summary>
    public int BlockBytes { get; }

    /// <summary>The whole region's length: what the memfd has to be sized to.</summary>
    public long RegionBytes => DataOffset + DataBytes;

    /// <summary>Lays out a region.</summary>
    /// <param name="commandRingBytes">Length of the command ring: a multiple of 8 from 256 bytes to 1 GiB; it need not be a power of two.</param>
    /// <param name="dataBytes">Length of the data area, at least 1; rounded up to whole blocks.</param>
    /// <param name="blockBytes">Length of a block: a multiple of 4096.</param>
    /// <exception cref="ArgumentOutOfRangeException">A length is not one of those.</exception>
    public static RingLayout Create(int commandRingBytes, long dataBytes, int blockBytes = RingAbi.PageBytes)
    {
        if (commandRingBytes is < MinCommandRingBytes or > MaxCommandRingBytes || commandRingBytes % RingAbi.EntryAlignment != 0)
            throw new ArgumentOutOfRangeException(nameof(commandRingBytes), commandRingBytes, $"the command ring is a multiple of 8 bytes from {MinCommandRingBytes} to {MaxCommandRingBytes}");
        if (blockBytes <= 0 || blockBytes % RingAbi.PageBytes != 0)
            throw new ArgumentOutOfRangeException(nameof(blockBytes), blockBytes, "a block is a multiple of 4096 bytes");
        if (dataBytes <= 0 || (dataBytes - 1) / blockBytes >= int.MaxValue)
            throw new ArgumentOutOfRangeException(nameof(dataBytes), dataBytes, $"the data area has from 1 to {int.MaxValue} blocks");

        var dataOffset = RingAbi.RoundUp((long)RingAbi.MailboxBytes + commandRingBytes, RingAbi.PageBytes);
        return new RingLayout(commandRingBytes, dataOffset, (int)((dataBytes - 1) / blockBytes + 1), blockBytes);
    }
}
