using System.Text.Json;
using System.Text.Json.Serialization;
using Scuse.Device;

namespace Scuse.Engine.States;

/// <summary>Keeps what a logical unit's device server wants kept in a file: JSON, replaced as a whole.</summary>
sealed class DeviceStateFile(StateFolder folder, int lun) : IDeviceStateStore
{
    const string What = "device";

    /// <summary>What was kept.</summary>
    /// <exception cref="EngineException">There is a file, but it cannot be read: what it held matters to initiators, so it is not passed over.</exception>
    public DeviceState Load()
    {
        try
        {
            return folder.Read(lun, What) is not { } content ? DeviceState.Empty
                : (JsonSerializer.Deserialize(content, DeviceStateJson.Default.KeptDeviceState) ?? throw new JsonException("it holds null")).ToState();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or JsonException)
        {
            throw new EngineException($"LUN {lun}: what its device keeps in {folder.PathOf(lun, What)} cannot be read: {exception.Message}", exception);
        }
    }

    public ValueTask<bool> SaveAsync(DeviceState state) =>
        folder.WriteAsync(lun, What, state == DeviceState.Empty ? null : JsonSerializer.SerializeToUtf8Bytes(KeptDeviceState.Of(state), DeviceStateJson.Default.KeptDeviceState));
}

/// <summary>A state as it stands in a file.</summary>
sealed record KeptDeviceState
{
    public const int CurrentVersion = 1;

    public required int Version { get; init; }

    /// <summary>The saved mode pages; null when none were saved.</summary>
    public ModeParameters? Mode { get; init; }

    public static KeptDeviceState Of(DeviceState state) => new() { Version = CurrentVersion, Mode = state.Mode };

    /// <exception cref="JsonException">It makes no sense.</exception>
    public DeviceState ToState() =>
        Version != CurrentVersion ? throw new JsonException($"it has version {Version}; only {CurrentVersion} is known")
        : Mode is not null && !Enum.IsDefined(Mode.Control.QueueError) ? throw new JsonException("QERR has a reserved value")
        : new DeviceState { Mode = Mode };
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, RespectRequiredConstructorParameters = true, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(KeptDeviceState))]
sealed partial class DeviceStateJson : JsonSerializerContext;
