namespace Scuse;

/// <summary>What is known of a device before it is opened: what the operator asked for, and what stands in where nobody said anything.</summary>
public sealed record DeviceInfo
{
    /// <summary>The size of a device when neither the operator nor the handler says one: 1 GiB.</summary>
    public const long DefaultSizeBytes = 1L << 30;

    /// <summary>The logical block length when nobody says one.</summary>
    public const int DefaultBlockSize = 512;

    /// <summary>The device's name, as the operator knows it.</summary>
    public required string Name { get; init; }

    /// <summary>Capacity in bytes: what was asked for, else <see cref="DefaultSizeBytes"/>.</summary>
    public long SizeBytes => RequestedSizeBytes > 0 ? RequestedSizeBytes : DefaultSizeBytes;

    /// <summary>Logical block length in bytes: what was asked for, else <see cref="DefaultBlockSize"/>.</summary>
    public int BlockSize => RequestedBlockSize > 0 ? RequestedBlockSize : DefaultBlockSize;

    /// <summary>The capacity in bytes that somebody asked for; 0 when nobody did.</summary>
    public long RequestedSizeBytes { get; init; }

    /// <summary>The logical block length in bytes that somebody asked for; 0 when nobody did.</summary>
    public int RequestedBlockSize { get; init; }

    /// <summary>The handler's own text: what the LUN's spec says after the kind, or <c>--config</c>. Empty when there is none.</summary>
    public string Config { get; init; } = "";

    /// <summary>The unit serial number that initiators see.</summary>
    public string Serial { get; init; } = "";

    /// <summary>Whether the operator wants it read-only. The target refuses writes then, whatever the handler can do.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>Command line arguments that are not options of the SDK, in order.</summary>
    public IReadOnlyList<string> Arguments { get; init; } = [];

    /// <summary>Whether a kernel is the target, which knows less of the device than ours does.</summary>
    internal bool IsBehindKernel { get; init; }
}
