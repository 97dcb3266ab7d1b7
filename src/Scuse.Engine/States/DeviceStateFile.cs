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
    public KeptMode? Mode { get; init; }

    /// <summary>The work on the whole medium that has not ended well; null when there is none.</summary>
    public MediumWorkKind? MediumWork { get; init; }

    /// <summary>The identifying information, in hexadecimal digits.</summary>
    public string? PeripheralDeviceInformation { get; init; }

    /// <summary>The text identifying information, in hexadecimal digits of its bytes.</summary>
    public string? TextInformation { get; init; }

    public static KeptDeviceState Of(DeviceState state) => new()
    {
        Version = CurrentVersion,
        Mode = state.Mode is { } mode ? KeptMode.Of(mode) : null,
        MediumWork = state.MediumWork,
        PeripheralDeviceInformation = state.PeripheralDeviceInformation,
        TextInformation = state.TextInformation,
    };

    /// <exception cref="JsonException">It makes no sense.</exception>
    public DeviceState ToState() => Version != CurrentVersion
        ? throw new JsonException($"it has version {Version}; only {CurrentVersion} is known")
        : new DeviceState
        {
            Mode = Mode?.ToMode(),
            MediumWork = MediumWork is not { } work || Enum.IsDefined(work) ? MediumWork : throw new JsonException("the work on the medium is of no known kind"),
            PeripheralDeviceInformation = Checked(PeripheralDeviceInformation),
            TextInformation = Checked(TextInformation),
        };

    static string Checked(string? information) =>
        information is null ? ""
        : information.Length % 2 == 0 && information.Length <= 2 * DeviceState.MaxInformationLength && information.All(char.IsAsciiHexDigit) ? information
        : throw new JsonException("identifying information is not hexadecimal digits");
}

/// <summary>The mode pages as they stand in a file.</summary>
sealed record KeptMode
{
    public required bool WriteCache { get; init; }

    public required bool DescriptorSense { get; init; }

    public required bool TaskSetPerNexus { get; init; }

    public required QueueErrorManagement QueueError { get; init; }

    public required bool ReportsTaskAborted { get; init; }

    public required bool SoftwareWriteProtect { get; init; }

    /// <summary>LBPERE; null in what older versions kept.</summary>
    public bool? ReportsThresholds { get; init; }

    /// <summary>The thresholds of the Logical Block Provisioning mode page: their counts where they are enabled.</summary>
    public uint? AvailableThreshold { get; init; }

    public uint? UsedThreshold { get; init; }

    public static KeptMode Of(ModeParameters mode) => new()
    {
        ReportsThresholds = mode.ReportsThresholds,
        AvailableThreshold = mode.AvailableThreshold.IsEnabled ? mode.AvailableThreshold.Count : null,
        UsedThreshold = mode.UsedThreshold.IsEnabled ? mode.UsedThreshold.Count : null,
        WriteCache = mode.WriteCache,
        DescriptorSense = mode.Control.DescriptorSense,
        TaskSetPerNexus = mode.Control.TaskSetPerNexus,
        QueueError = mode.Control.QueueError,
        ReportsTaskAborted = mode.Control.ReportsTaskAborted,
        SoftwareWriteProtect = mode.Control.SoftwareWriteProtect,
    };

    /// <exception cref="JsonException">It makes no sense.</exception>
    public ModeParameters ToMode() => !Enum.IsDefined(QueueError)
        ? throw new JsonException("QERR has a reserved value")
        : new ModeParameters
        {
            WriteCache = WriteCache,
            ReportsThresholds = ReportsThresholds ?? false,
            AvailableThreshold = new ResourceThreshold(AvailableThreshold is not null, AvailableThreshold ?? 0),
            UsedThreshold = new ResourceThreshold(UsedThreshold is not null, UsedThreshold ?? 0),
            Control = new ControlSettings
            {
                DescriptorSense = DescriptorSense,
                TaskSetPerNexus = TaskSetPerNexus,
                QueueError = QueueError,
                ReportsTaskAborted = ReportsTaskAborted,
                SoftwareWriteProtect = SoftwareWriteProtect,
            },
        };
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, RespectRequiredConstructorParameters = true, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(KeptDeviceState))]
sealed partial class DeviceStateJson : JsonSerializerContext;
