using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Scuse.Ring.Attach;

/// <summary>
/// A message of the attach protocol: one JSON object in one SOCK_SEQPACKET packet, told apart by its member <c>type</c>. docs/attach-protocol.md.
/// </summary>
/// <remarks>
/// Optional members have setters, not initializers: the generated reader would hand an initializer the type's zero for a member that is missing. A member that is null counts as missing.
/// The way of a session: <c>hello</c>, <c>device</c>, <c>ready</c>, <c>region</c> with three descriptors a region, then <c>remove</c> or <c>release</c> at the end.
/// </remarks>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "type", UnknownDerivedTypeHandling = JsonUnknownDerivedTypeHandling.FallBackToBaseType, IgnoreUnrecognizedTypeDiscriminators = true)]
[JsonDerivedType(typeof(HelloMessage), "hello")]
[JsonDerivedType(typeof(DeviceMessage), "device")]
[JsonDerivedType(typeof(ReadyMessage), "ready")]
[JsonDerivedType(typeof(FailedMessage), "failed")]
[JsonDerivedType(typeof(RefusedMessage), "refused")]
[JsonDerivedType(typeof(RegionMessage), "region")]
[JsonDerivedType(typeof(RemoveMessage), "remove")]
[JsonDerivedType(typeof(ReleaseMessage), "release")]
[JsonDerivedType(typeof(FreeKeptMessage), "freeKept")]
[JsonDerivedType(typeof(SizeMessage), "size")]
public record AttachMessage
{
    /// <summary>The protocol's version, the only one there is.</summary>
    public const int ProtocolVersion = 1;

    /// <summary>The longest message, in bytes.</summary>
    public const int MaxBytes = 16 * 1024;

    /// <summary>The environment variable that gives a handler the path of the attach socket.</summary>
    public const string SocketVariable = "SCUSE_SOCKET";

    /// <summary>The environment variable that gives a handler the name of the device it is to serve; several are separated by commas.</summary>
    public const string DeviceVariable = "SCUSE_DEVICE";

    /// <summary>The environment variable that, set to 1, has a handler say <see cref="HelloMessage.Replace"/>.</summary>
    public const string ReplaceVariable = "SCUSE_REPLACE";

    /// <summary>The message as the bytes of one packet.</summary>
    public byte[] ToBytes() => JsonSerializer.SerializeToUtf8Bytes(this, AttachJson.Default.AttachMessage);

    /// <summary>Reads one packet. A message of an unknown type comes back as a plain <see cref="AttachMessage"/>.</summary>
    /// <exception cref="JsonException">The packet is not a message.</exception>
    public static AttachMessage Parse(ReadOnlySpan<byte> packet) =>
        JsonSerializer.Deserialize(packet, AttachJson.Default.AttachMessage) ?? throw new JsonException("a message is a JSON object, not null");
}

/// <summary>Handler to target, first: who I am and which device I serve.</summary>
public sealed record HelloMessage : AttachMessage
{
    /// <summary>The protocol version the handler speaks.</summary>
    public int Version { get; set; } = ProtocolVersion;

    /// <summary>The device's name: what <c>attach:NAME</c> says, or the value of SCUSE_DEVICE.</summary>
    public required string Device { get; init; }

    /// <summary>The handler's own name, for messages to people.</summary>
    [AllowNull]
    public string Handler { get; set => field = value ?? "handler"; } = "handler";

    /// <summary>Whether to take the device over from the handler that serves it. The answer comes only when that one has let the device go.</summary>
    public bool Replace { get; set; }

    /// <summary>When attaching again: what <see cref="DeviceMessage.Identity"/> was the first time. Empty: this is the first time.</summary>
    [AllowNull]
    public string Identity { get; set => field = value ?? ""; } = "";
}

/// <summary>Target to handler: the device as it is configured.</summary>
public sealed record DeviceMessage : AttachMessage
{
    /// <summary>The device's name.</summary>
    public required string Device { get; init; }

    /// <summary>The text after the kind in the LUN's spec; empty where there is none.</summary>
    [AllowNull]
    public string Config { get; set => field = value ?? ""; } = "";

    /// <summary>The size in bytes that the operator asks for; 0 leaves it to the handler.</summary>
    public long SizeBytes { get; set; }

    /// <summary>The block size in bytes that the operator asks for; 0 leaves it to the handler.</summary>
    public int BlockSize { get; set; }

    /// <summary>The unit serial number the device has.</summary>
    [AllowNull]
    public string Serial { get; set => field = value ?? ""; } = "";

    /// <summary>The pass level that the operator asks for, <c>io</c> or <c>all</c>; empty leaves it to the handler.</summary>
    [AllowNull]
    public string Level { get; set => field = value ?? ""; } = "";

    /// <summary>Whether the operator wants the device read-only.</summary>
    public bool ReadOnly { get; set; }

    /// <summary>Names this configuration of the device: a handler that attaches again says it in <see cref="HelloMessage.Identity"/>.</summary>
    [AllowNull]
    public string Identity { get; set => field = value ?? ""; } = "";

    /// <summary>How many seconds the handler stays when the target is gone, and tries to attach again; 0: it ends with its target.</summary>
    public int KeepSeconds { get; set; }
}

/// <summary>Handler to target: the device is open, and this is what it is.</summary>
public sealed record ReadyMessage : AttachMessage
{
    /// <summary>Pass level at which only reads, writes, flushes, unmaps and zero-writes reach the handler.</summary>
    public const string LevelIo = "io";

    /// <summary>Pass level at which every CDB reaches the handler but those that the target core owns.</summary>
    public const string LevelAll = "all";

    /// <summary>Ring ability: doorbells only for a sleeper, by the waiting flags in the mailbox.</summary>
    public const string RingWaitFlags = "waitFlags";

    /// <summary>Feature: writes may be volatile until a flush.</summary>
    public const string FeatureFlush = "flush";

    /// <summary>Feature: UNMAP works, and what was unmapped reads as zeros.</summary>
    public const string FeatureUnmap = "unmap";

    /// <summary>Feature: WRITE SAME of zeros works.</summary>
    public const string FeatureWriteZeroes = "writeZeroes";

    /// <summary>Feature: GET LBA STATUS tells which blocks hold data.</summary>
    public const string FeatureExtents = "extents";

    /// <summary>Feature: LOG SENSE of the Logical Block Provisioning page tells how much room is used and available.</summary>
    public const string FeatureResources = "resources";

    /// <summary>Feature: writes fail.</summary>
    public const string FeatureReadOnly = "readOnly";

    /// <summary>Feature: what was written is gone when the handler's process ends.</summary>
    public const string FeatureVolatile = "volatile";

    /// <summary>Ring ability: the target tells of aborted commands by TMR entries.</summary>
    public const string RingTaskManagement = "tmr";

    /// <summary>Ring ability: an answered command's data blocks may be kept (KEEP_BUF) until <see cref="FreeKeptMessage"/> names them.</summary>
    public const string RingKeepBuffers = "keepBuf";

    /// <summary>Ring ability: a descriptor of memory of the handler's own comes with this message, and reads may be answered with a place in it.</summary>
    public const string RingOwnMemory = "ownMemory";

    /// <summary>Ring ability: each answer with GOOD tells how long the handler took over the command.</summary>
    public const string RingServiceTimes = "serviceTimes";

    /// <summary>Capacity in bytes.</summary>
    public required long SizeBytes { get; init; }

    /// <summary>Logical block length in bytes.</summary>
    public int BlockSize { get; set; } = 512;

    /// <summary>The pass level the handler wants.</summary>
    [AllowNull]
    public string Level { get; set => field = value ?? LevelIo; } = LevelIo;

    /// <summary>What there is beyond reads and writes: names such as <see cref="FeatureFlush"/>. Unknown ones are ignored.</summary>
    [AllowNull]
    public string[] Features { get; set => field = value ?? []; } = [];

    /// <summary>What it can do with the ring beyond plain commands: names such as <see cref="RingWaitFlags"/>. Unknown ones are ignored.</summary>
    [AllowNull]
    public string[] Ring { get; set => field = value ?? []; } = [];

    /// <summary>Product identification for INQUIRY, at most 16 characters; empty for the target's own.</summary>
    [AllowNull]
    public string Product { get; set => field = value ?? ""; } = "";

    /// <summary>The most bytes one command may move; 0 leaves it to the target.</summary>
    public int MaxTransferBytes { get; set; }

    /// <summary>The most bytes that one write stores all or none of, whatever fails meanwhile; 0 promises nothing.</summary>
    public int AtomicWriteBytes { get; set; }

    /// <summary>With <see cref="RingOwnMemory"/>: how many bytes the memory has whose descriptor comes with this message.</summary>
    public long MemoryBytes { get; set; }

    /// <summary>How many regions, each with a ring of its own, the handler takes for the device at most; 1 or more.</summary>
    public int Rings { get; set; } = 1;
}

/// <summary>Handler to target: the device cannot be opened. The handler closes the socket after it.</summary>
public sealed record FailedMessage : AttachMessage
{
    /// <summary>One line for a person.</summary>
    public required string Message { get; init; }
}

/// <summary>Target to handler: no. The target closes the socket after it.</summary>
public sealed record RefusedMessage : AttachMessage
{
    /// <summary>One line for a person.</summary>
    public required string Message { get; init; }
}

/// <summary>
/// Target to handler, with three descriptors for each region, region after region: its memfd, the eventfd that the handler waits on, the eventfd that the handler rings.
/// </summary>
public sealed record RegionMessage : AttachMessage
{
    /// <summary>How many descriptors come for each region.</summary>
    public const int DescriptorsPerRegion = 3;

    /// <summary>The most regions that a device has.</summary>
    public const int MaxRegions = 16;

    /// <summary>How many regions there are: from 1 to what <see cref="ReadyMessage.Rings"/> said. They are alike.</summary>
    public int Regions { get; set; } = 1;

    /// <summary>The length of each region in bytes; also its memfd's size.</summary>
    public required long MapBytes { get; init; }

    /// <summary>Which of the handler's ring abilities are in force.</summary>
    [AllowNull]
    public string[] Ring { get; set => field = value ?? []; } = [];
}

/// <summary>Target to handler: answer what you have taken, then close. No new command will come.</summary>
public sealed record RemoveMessage : AttachMessage;

/// <summary>
/// Target to handler: the target stops for now. Answer what you have taken, let the region go and close the socket, but keep the device open, and attach
/// again within <see cref="DeviceMessage.KeepSeconds"/>.
/// </summary>
public sealed record ReleaseMessage : AttachMessage;

/// <summary>Handler to target: commands that were answered with KEEP_BUF, whose ids and data blocks are free again.</summary>
public sealed record FreeKeptMessage : AttachMessage
{
    /// <summary>The most ids in one message: it has to stay within <see cref="AttachMessage.MaxBytes"/>.</summary>
    public const int MaxIds = 2000;

    /// <summary>The region that the commands came by, counted from 0: ids are each ring's own.</summary>
    public int Region { get; set; }

    /// <summary>Their ids; each has to be one that is kept.</summary>
    [AllowNull]
    public ushort[] Ids { get; set => field = value ?? []; } = [];
}

/// <summary>Handler to target, while it serves: the device has another size now. Commands go on; what they ask for beyond a new end is the handler's to refuse until the target has read this.</summary>
public sealed record SizeMessage : AttachMessage
{
    /// <summary>Capacity in bytes, a positive multiple of the block size that <c>ready</c> said.</summary>
    public required long SizeBytes { get; init; }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, AllowOutOfOrderMetadataProperties = true)]
[JsonSerializable(typeof(AttachMessage))]
sealed partial class AttachJson : JsonSerializerContext;
