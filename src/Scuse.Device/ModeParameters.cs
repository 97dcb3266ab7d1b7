namespace Scuse.Device;

/// <summary>What MODE SELECT can change: the fields of all mode pages that are not fixed. SPC-4 clause 7.5.</summary>
public sealed record ModeParameters
{
    /// <summary>What holds until somebody changes it.</summary>
    public static ModeParameters Default { get; } = new();

    /// <summary>
    /// WCE of the Caching mode page: writes may stay in the device's volatile memory until a flush. False: each is durable before it is answered. It means nothing
    /// without <see cref="BlockDeviceFeatures.Flush"/>. SBC-3 clause 6.5.5.
    /// </summary>
    public bool WriteCache { get; init; } = true;

    /// <summary>The Control mode page.</summary>
    public ControlSettings Control { get; init; } = ControlSettings.Default;
}
