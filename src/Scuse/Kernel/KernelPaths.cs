namespace Scuse.Cli.Kernel;

/// <summary>Where the kernel shows what is needed here.</summary>
sealed record KernelPaths
{
    public const string ConfigFs = "/sys/kernel/config";

    /// <summary>The target's own folder in configfs.</summary>
    public string Target { get; init; } = ConfigFs + "/target";

    /// <summary>The devices that handlers open.</summary>
    public string Uio { get; init; } = "/sys/class/uio";

    /// <summary>The SCSI devices of this machine.</summary>
    public string ScsiDevices { get; init; } = "/sys/class/scsi_device";

    /// <summary>The modules that are loaded.</summary>
    public string Modules { get; init; } = "/sys/module";

    /// <summary>The processes.</summary>
    public string Processes { get; init; } = "/proc";

    /// <summary>The backstores of all kinds.</summary>
    public string Core => Target + "/core";
}
