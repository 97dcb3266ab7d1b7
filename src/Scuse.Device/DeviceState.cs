namespace Scuse.Device;

/// <summary>What a device server keeps across a loss of power, when it has where.</summary>
public sealed record DeviceState
{
    /// <summary>The most bytes that identifying information has.</summary>
    public const int MaxInformationLength = 512;

    /// <summary>Nothing.</summary>
    public static DeviceState Empty { get; } = new();

    /// <summary>The mode pages as a MODE SELECT with SP saved them; null when none has. SPC-4 clause 6.11.</summary>
    public ModeParameters? Mode { get; init; }

    /// <summary>The FORMAT UNIT or SANITIZE that has begun and has not ended well; null when there is none.</summary>
    public MediumWorkKind? MediumWork { get; init; }

    /// <summary>The peripheral device identifying information, in hexadecimal digits; empty when none was set. SPC-4 clause 6.43.</summary>
    public string PeripheralDeviceInformation { get; init; } = "";

    /// <summary>The text identifying information, in hexadecimal digits of its bytes; empty when none was set. SPC-4 clause 6.43.</summary>
    public string TextInformation { get; init; } = "";
}

/// <summary>Where a device server keeps its <see cref="DeviceState"/>.</summary>
public interface IDeviceStateStore
{
    /// <summary>
    /// Keeps the state in place of what was kept before: when the returned task completes it survives a loss of power, and either the old or the new one is there at any
    /// moment before. It completes where the device server's commands go on.
    /// </summary>
    /// <returns>False when it cannot be kept; then what was kept before still is.</returns>
    ValueTask<bool> SaveAsync(DeviceState state);
}
