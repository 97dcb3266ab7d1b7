using System.Text.Json;
using System.Text.Json.Serialization;
using Scuse.Engine;
using Scuse.Engine.Management;
using Scuse.Ring;
using Scuse.Ring.Diagnostics;
using Scuse.Target;

namespace Scuse.Cli.Control;

/// <summary>What goes over the control socket, and what <c>--json</c> prints: the engine's own records, bytes in hexadecimal, names in camel case.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    WriteIndented = true,
    Converters =
    [
        typeof(HexConverter),
        typeof(NameConverter<LunState>),
        typeof(NameConverter<LunEventKind>),
        typeof(NameConverter<CommandState>),
        typeof(NameConverter<CommandStage>),
        typeof(NameConverter<HandlerLossPolicy>),
        typeof(NameConverter<PassLevel>),
        typeof(NameConverter<RingEntryKind>),
        typeof(NameConverter<AttachPhase>),
        typeof(NameConverter<HandlerOrigin>),
    ])]
[JsonSerializable(typeof(EngineStatus))]
[JsonSerializable(typeof(IReadOnlyList<LunStatus>))]
[JsonSerializable(typeof(IReadOnlyList<SessionStatus>))]
[JsonSerializable(typeof(IReadOnlyList<LunEventStatus>))]
[JsonSerializable(typeof(IReadOnlyList<StageLatency>))]
[JsonSerializable(typeof(RingStatus))]
[JsonSerializable(typeof(OperationOutcome))]
[JsonSerializable(typeof(RingDump))]
[JsonSerializable(typeof(SavedRegionStatus))]
[JsonSerializable(typeof(IReadOnlyList<PortalStatus>))]
[JsonSerializable(typeof(PortalRequest))]
[JsonSerializable(typeof(IReadOnlyList<TargetStatus>))]
[JsonSerializable(typeof(RemovedTarget))]
[JsonSerializable(typeof(Reconfiguration))]
[JsonSerializable(typeof(ReplaceRequest))]
[JsonSerializable(typeof(ReplacementResult))]
[JsonSerializable(typeof(AccessStatus))]
[JsonSerializable(typeof(IReadOnlyList<MovingStatus>))]
[JsonSerializable(typeof(RedirectRequest))]
[JsonSerializable(typeof(DrainRequest))]
[JsonSerializable(typeof(Problem))]
sealed partial class ControlJson : JsonSerializerContext;

/// <summary>An error as RFC 9457 has it.</summary>
/// <param name="Title">What kind of error.</param>
/// <param name="Status">The HTTP status.</param>
/// <param name="Detail">One line for the operator.</param>
sealed record Problem(string Title, int Status, string Detail);

/// <summary>A region that was saved in a file.</summary>
/// <param name="Target">Its target; null: the first one.</param>
/// <param name="Lun">The logical unit it belongs to.</param>
/// <param name="File">The file.</param>
/// <param name="RegionBytes">The region's length, and the file's.</param>
/// <param name="SavedBytes">How many bytes from the start were saved; the rest reads as zeros.</param>
sealed record SavedRegionStatus(string? Target, int Lun, string File, long RegionBytes, long SavedBytes);

/// <summary>What adding a portal takes.</summary>
/// <param name="Portal">The portal as <c>scuse serve --portal</c> takes it.</param>
sealed record PortalRequest(string Portal = "");

/// <summary>What sending initiators elsewhere takes.</summary>
/// <param name="Address">Where to, as <c>HOST[:PORT][,TAG]</c>.</param>
/// <param name="Permanent">Whether they may forget this engine's address.</param>
/// <param name="Target">The target's name; null: all there are.</param>
sealed record RedirectRequest(string Address = "", bool Permanent = false, string? Target = null);

/// <summary>What sending initiators away takes.</summary>
/// <param name="Seconds">How long they may take.</param>
/// <param name="Target">The target's name; null: all there are.</param>
sealed record DrainRequest(int Seconds = DrainRequest.DefaultSeconds, string? Target = null)
{
    public const int DefaultSeconds = 30;
}

/// <summary>What replacing a handler takes.</summary>
/// <param name="Command">The program that takes over, as after <c>exec:</c>; null: the same as before, started anew.</param>
/// <param name="Force">Whether to do it although it loses data or commands.</param>
sealed record ReplaceRequest(string? Command = null, bool Force = false);

/// <summary>An enumeration by its names in camel case.</summary>
sealed class NameConverter<T>() : JsonStringEnumConverter<T>(JsonNamingPolicy.CamelCase)
    where T : struct, Enum;

/// <summary>Bytes in hexadecimal, as everybody writes CDBs and sense data.</summary>
sealed class HexConverter : JsonConverter<byte[]>
{
    public override byte[] Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        try
        {
            return Convert.FromHexString(reader.GetString() ?? "");
        }
        catch (FormatException exception)
        {
            throw new JsonException(exception.Message, exception);
        }
    }

    public override void Write(Utf8JsonWriter writer, byte[] value, JsonSerializerOptions options) => writer.WriteStringValue(Convert.ToHexStringLower(value));
}
