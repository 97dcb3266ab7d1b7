using System.Globalization;

namespace Scuse.Handlers.File;

/// <summary>What a spec such as <c>/data/a.img?size=10G</c> says, with what the operator asked for where it says nothing.</summary>
sealed record FileSpec(string Path, long? SizeBytes, int BlockSize, bool IsThick, bool IsReadOnly, bool IsDirect, int? Threads)
{
    internal const int DefaultThreads = 32, MaxThreads = 256;

    /// <exception cref="FormatException">The spec is wrong; the message is one line for a person.</exception>
    internal static FileSpec Parse(string spec, DeviceInfo device)
    {
        ArgumentNullException.ThrowIfNull(device);
        HandlerSpec parts = HandlerSpec.Parse(spec, "size", "block", "thick", "readonly", "direct", "threads");
        if (parts.Main.Length == 0)
        {
            throw new FormatException($"the spec '{spec}' names no file; write file:/path or file:/path?size=1G");
        }

        int block = parts.GetBlockSize("block") ?? device.BlockSize;
        long? size = parts.GetSize("size") ?? (device.RequestedSizeBytes > 0 ? device.RequestedSizeBytes : null);
        if (size is { } asked && (asked == 0 || asked % block != 0))
        {
            throw new FormatException($"size '{SizeText.Format(asked)}' is not a positive multiple of the block size of {block}");
        }

        return new FileSpec(parts.Main, size, block, parts.GetFlag("thick"), parts.GetFlag("readonly") || device.ReadOnly, parts.GetFlag("direct"), ParseThreads(parts.Get("threads")));
    }

    static int? ParseThreads(string? text) =>
        text is null ? null
            : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int threads) && threads is > 0 and <= MaxThreads ? threads
            : throw new FormatException($"threads '{text}' is not a number from 1 to {MaxThreads}");
}
