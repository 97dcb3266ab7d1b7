using Scuse.Engine;
using Scuse.Engine.Backstores;
using Scuse.Target;

namespace Scuse.Simulation.Storms;

/// <summary>Faults planted in the storm's own wrappers, each of which its checks must find.</summary>
enum StormFault
{
    None,

    /// <summary>The handler answers a write that it has not done.</summary>
    LoseWrite,

    /// <summary>The handler returns what a block held before.</summary>
    StaleData,

    /// <summary>The handler returns what a block held before, to COMPARE AND WRITE and its like alone.</summary>
    StaleToCompare,

    /// <summary>The handler answers a flush that it has not done.</summary>
    LoseFlush,

    /// <summary>The next handler does an old, answered write again.</summary>
    RepeatOldWrite,

    /// <summary>A command is answered twice.</summary>
    AnswerTwice,

    /// <summary>An answer gets lost.</summary>
    LoseAnswer,

    /// <summary>A command's memory is never given back.</summary>
    KeepMemory,

    /// <summary>The next handler starts before the one that was given up is dead.</summary>
    StartBeforeKill,

    /// <summary>The engine lets blocks with one nexus's bytes come to another's reads.</summary>
    ShowForeignData,

    /// <summary>The engine is not told which commands are ORDERED or HEAD OF QUEUE.</summary>
    ForgetOrder,
}

/// <summary>What may go wrong in a storm; each can be left out to find what a failure needs.</summary>
[Flags]
enum Weather
{
    None = 0,
    Kills = 1,
    Stops = 2,
    Hostility = 4,
    Aborts = 8,
    SessionLoss = 16,
    Replacement = 32,
    Blocking = 64,
    RingReset = 128,
    EngineRestart = 256,
    All = 511,
}

/// <summary>One disk, as the seed has it.</summary>
sealed class StormOptions
{
    public const int BlockSize = 512, Blocks = 40, DataAreaBytes = 16 * 4096;

    public StormOptions(int seed, StormFault fault, Weather weather)
    {
        var random = new Random(seed);
        Seed = seed;
        Fault = fault;
        Weather = weather;
        Lun = new LunOptions
        {
            Number = 0,
            Spec = "storm",
            DeviceName = "storm",
            DataAreaBytes = DataAreaBytes,
            CommandRingBytes = 512 + (8 * random.Next(450)),
            CommandTimeoutMs = random.Next(5) switch { 0 => 0, 1 => 300, _ => 2_000 },
            QueueFullTimeoutMs = random.Next(4) switch { 0 => 0, 1 => 150, _ => -1 },
            AllowStaleDataIn = fault == StormFault.ShowForeignData,
            OnHandlerLoss = random.Next(5) switch { 0 => HandlerLossPolicy.Busy, 1 => HandlerLossPolicy.Fail, _ => HandlerLossPolicy.Hold },
        };
        GlobalDataAreaBytes = random.Next(3) == 0 ? 4096 * random.Next(1, 12) : 1 << 30;
        Level = random.Next(5) == 0 ? PassLevel.All : PassLevel.Io;
        HasCache = random.Next(3) == 0;
        Lanes = seed % 2 == 0 ? 1 : 1 + (seed / 2 % 3);
        Sessions = random.Next(1, 4);
        QueueDepth = random.Next(1, 12);
        Abilities = [.. HandlerLink.Abilities.Where(_ => random.Next(2) == 0)];
        Calmness = random.Next(4) switch { 0 => 8, 1 => 40, _ => 150 };
    }

    public int Seed { get; }

    public StormFault Fault { get; }

    public Weather Weather { get; }

    public LunOptions Lun { get; }

    /// <summary>How much memory all regions may hold together; often less than one data area.</summary>
    public long GlobalDataAreaBytes { get; }

    public PassLevel Level { get; }

    /// <summary>Whether the disk has a volatile cache. A handler's death leaves it as it is, else no handler could be replaced; a loss of power does not.</summary>
    public bool HasCache { get; }

    public int Sessions { get; }

    /// <summary>Over how many reactors the target is spread, each with a ring of its own.</summary>
    public int Lanes { get; }

    public int QueueDepth { get; }

    public string[] Abilities { get; }

    /// <summary>Whether some handlers answer reads without filling them.</summary>
    public bool CanBeLazy => Seed % 3 == 0 && Fault is StormFault.None or StormFault.ShowForeignData;

    /// <summary>One step in so many is bad weather.</summary>
    public int Calmness { get; }

    public override string ToString() =>
        $"level {Level}, {Lun.OnHandlerLoss}, limit {Lun.CommandTimeoutMs} ms, qfull {Lun.QueueFullTimeoutMs}, ring {Lun.CommandRingBytes}, memory {GlobalDataAreaBytes}, {Sessions} sessions of {QueueDepth}, {Lanes} lanes, cache {HasCache}, [{string.Join(' ', Abilities)}]";
}
