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

    /// <summary>LBPERE of the Read-Write Error Recovery mode page: thresholds of the Logical Block Provisioning mode page are reported. SBC-5 clause 6.5.10.</summary>
    public bool ReportsThresholds { get; init; }

    /// <summary>The threshold for what is available, armed decreasing. SBC-5 clause 6.5.9.2.</summary>
    public ResourceThreshold AvailableThreshold { get; init; }

    /// <summary>The threshold for what is used, armed increasing.</summary>
    public ResourceThreshold UsedThreshold { get; init; }

    /// <summary>The Control mode page.</summary>
    public ControlSettings Control { get; init; } = ControlSettings.Default;
}
