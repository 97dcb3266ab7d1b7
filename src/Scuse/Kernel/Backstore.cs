namespace Scuse.Cli.Kernel;

/// <summary>A user backstore of the kernel, as it stands now.</summary>
/// <param name="Name">Where it is below <c>core</c>: <c>user_0/disk</c>.</param>
/// <param name="Config">What it was made with, <c>SUBTYPE/TEXT</c>: which handler's it is, and what that is told.</param>
/// <param name="UioDevice">What its handler opens, <c>uio0</c>; null as long as there is none.</param>
/// <param name="Handler">Who has that open; null: nobody.</param>
sealed record Backstore(string Name, string Config, string? UioDevice, HandlerProcess? Handler)
{
    /// <summary>Whether its folder has been looked into; otherwise nothing is known of it but what is above.</summary>
    public bool IsKnown { get; init; }

    /// <summary>Its capacity in bytes, as the kernel was told.</summary>
    public long SizeBytes { get; init; }

    /// <summary>The length of a logical block in bytes.</summary>
    public int BlockSize { get; init; }

    /// <summary>Whether it can be mapped and served.</summary>
    public bool IsEnabled { get; init; }

    /// <summary>Whether new commands are held back (<c>action/block_dev</c>).</summary>
    public bool IsHeldBack { get; init; }

    /// <summary>Whether who changes it waits until a handler has answered the kernel's notice; null where the kernel does not say.</summary>
    public bool? WaitsForAnswers { get; init; }

    /// <summary>After how long a command that the handler does not answer fails; 0: never; null where the kernel does not say.</summary>
    public int? CommandSeconds { get; init; }

    /// <summary>Where initiators find it.</summary>
    public IReadOnlyList<Mapping> Mappings { get; init; } = [];

    /// <summary>The folder's own name.</summary>
    public string DeviceName => Name[(Name.IndexOf('/', StringComparison.Ordinal) + 1)..];

    /// <summary>What the configuration begins with.</summary>
    public string Subtype => Config.Split('/', 2)[0];

    /// <summary>What a person would do about it; null when all is well.</summary>
    public string State => !IsKnown ? "not known" : !IsEnabled ? "not enabled" : Handler is null ? "no handler" : IsHeldBack ? "held back" : "served";
}

/// <summary>Who serves a backstore.</summary>
/// <param name="Pid">The process.</param>
/// <param name="Name">What it is called.</param>
sealed record HandlerProcess(int Pid, string Name)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Name} (pid {Pid})";
}

/// <summary>A logical unit through which a backstore is seen.</summary>
/// <param name="Fabric">The kernel's word for the way: <c>loopback</c>, <c>iscsi</c>.</param>
/// <param name="Target">The target's name.</param>
/// <param name="Group">The target portal group's folder: <c>tpgt_1</c>.</param>
/// <param name="Lun">The number.</param>
/// <param name="Disk">The disk of this machine that it is, <c>/dev/sda</c>; null where it is none, or not yet one.</param>
sealed record Mapping(string Fabric, string Target, string Group, int Lun, string? Disk)
{
    /// <summary>The disks of this machine: the kernel's loopback fabric.</summary>
    public const string Loopback = "loopback";

    /// <summary>The kernel's own iSCSI target.</summary>
    public const string Iscsi = "iscsi";
}

/// <summary>What a new backstore is to be.</summary>
/// <param name="DeviceName">Its folder's name.</param>
/// <param name="Config">The configuration: <c>SUBTYPE/TEXT</c>.</param>
/// <param name="SizeBytes">The capacity in bytes that the handler is asked for; more than 0.</param>
/// <param name="BlockSize">The length of a logical block in bytes.</param>
sealed record NewBackstore(string DeviceName, string Config, long SizeBytes, int BlockSize)
{
    /// <summary>The number of its HBA; null: the lowest that is free.</summary>
    public int? Hba { get; init; }

    /// <summary>The unit serial number; null: the handler makes one of the machine's id and the name.</summary>
    public string? Serial { get; init; }

    /// <summary>After how long a command that the handler does not answer fails, in seconds; 0: never; null: as the kernel has it, 30.</summary>
    public int? CommandSeconds { get; init; }

    /// <summary>Whether who changes it is to wait for the handler's answer, without an end.</summary>
    public bool WaitsForAnswers { get; init; }
}
