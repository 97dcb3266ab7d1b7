namespace Scuse.Bench.Peers;

/// <summary>Whom a load is put on; the names are those of the tables.</summary>
enum Contender
{
    Tgt,
    Memory,
    File,
    Ceiling,
    CeilingWithData,
    InProcess,
    Istgt,
    Nbd,
}

/// <summary>One line of the comparison: a load, what the machine does beside it, who is compared with tgt, and how many times faster that is to be.</summary>
/// <param name="Name">What the tables call it.</param>
/// <param name="Load">The load.</param>
/// <param name="Ratio">The rate that is asked for, in multiples of tgt's; null: it is only told.</param>
sealed record Work(string Name, Load Load, double? Ratio = null)
{
    /// <summary>What the initiator's ceiling must be reached by, where that counts instead of the ratio.</summary>
    public const double CeilingShare = 0.95;

    /// <summary>What runs beside it.</summary>
    public Beside Beside { get; init; }

    /// <summary>Who is compared with tgt.</summary>
    public Contender Of { get; init; } = Contender.Memory;

    /// <summary>Whether it is enough to come near the initiator's ceiling.</summary>
    public bool OrCeiling { get; init; }

    /// <summary>Whether the initiator's ceiling is measured, only to be told.</summary>
    public bool AndCeiling { get; init; }

    /// <summary>Whether the same engine with the handler in its process is measured as well.</summary>
    public bool AndInProcess { get; init; }

    /// <summary>Reads by an initiator that is not the limit.</summary>
    public static Work LightRead { get; } = new("4 KiB random read, QD32, light client", new Light(4 << 10, 32), 10) { AndInProcess = true };

    /// <summary>Reads while others want the processors.</summary>
    public static Work Loaded { get; } = new("4 KiB random read, QD32, beside two busy loops", new IscsiPerf(4 << 10, 32), 4) { Beside = Beside.Burns };

    /// <summary>As many reads a second as anybody can do: what counts is what they cost.</summary>
    public static Work FixedRate { get; } = new("4 KiB random read, 20,000 a second", new Light(4 << 10, 32) { Rate = 20_000 });

    /// <summary>Everything that is compared.</summary>
    public static IReadOnlyList<Work> All { get; } =
    [
        new("4 KiB random read, QD1", new IscsiPerf(4 << 10, 1), 7) { AndCeiling = true },
        new("4 KiB random read, QD1, cores kept awake", new IscsiPerf(4 << 10, 1), 3) { Beside = Beside.Yields, AndCeiling = true },
        new("4 KiB random read, QD32", new IscsiPerf(4 << 10, 32), 6) { OrCeiling = true, AndInProcess = true },
        new("4 KiB random read, QD128", new IscsiPerf(4 << 10, 128), 6) { OrCeiling = true },
        LightRead,
        new("4 KiB write, QD32", new QemuImg(4 << 10, 32, Write: true, 150_000), 2) { OrCeiling = true },
        new("64 KiB read, QD32", new QemuImg(64 << 10, 32, Write: false, 60_000), 3.5) { AndCeiling = true },
        new("64 KiB write, QD32", new QemuImg(64 << 10, 32, Write: true, 40_000), 2.7) { AndCeiling = true },
        new("1 MiB read, QD8", new QemuImg(1 << 20, 8, Write: false, 5_000), 3) { AndCeiling = true },
        new("1 MiB write, QD8", new QemuImg(1 << 20, 8, Write: true, 4_000), 3) { AndCeiling = true },
        new("file: 4 KiB random read, QD32", new IscsiPerf(4 << 10, 32), 4) { Of = Contender.File },
        new("file: 64 KiB read, QD32", new QemuImg(64 << 10, 32, Write: false, 60_000), 2.5) { Of = Contender.File },
        new("file: 1 MiB write, QD8", new QemuImg(1 << 20, 8, Write: true, 4_000), 2.5) { Of = Contender.File },
        Loaded,
        FixedRate,
    ];

    /// <summary>Everybody that the load is put on.</summary>
    public IEnumerable<Contender> Contenders =>
    [
        Contender.Tgt, Of,
        .. OrCeiling || AndCeiling ? new[] { Contender.Ceiling, Contender.CeilingWithData } : [],
        .. AndInProcess ? new[] { Contender.InProcess } : [],
        .. Load.SpeaksNbd && Of == Contender.Memory ? new[] { Contender.Istgt, Contender.Nbd } : [],
    ];
}
