using System.Globalization;
using Scuse.Fuzz.Targets;

namespace Scuse.Fuzz.Running;

/// <summary>The command line of the long form; tests/Fuzz/run tells it.</summary>
static class FuzzCommand
{
    /// <summary>Exit code: something was found.</summary>
    public const int Found = 1;

    /// <summary>Exit code: the command line is wrong.</summary>
    public const int Wrong = 2;

    const long DefaultInputs = 10_000_000;

    static readonly Dictionary<string, Func<FuzzTarget>> s_targets = new(StringComparer.Ordinal)
    {
        ["ring-answers"] = static () => new RingAnswers(),
        ["ring-memory"] = static () => new RingMemory(),
        ["ring-dump"] = static () => new RingDumps(),
        ["attach-messages"] = static () => new AttachMessages(),
        ["engine-answers"] = static () => new EngineAnswers(),
        ["scsi-commands"] = static () => new ScsiCommands(),
        ["iscsi-pdus"] = static () => new IscsiPdus(),
        ["iscsi-login-keys"] = static () => new IscsiLoginKeys(),
    };

    // Faults that the tests plant to see them found; not among the targets that are listed.
    static readonly Dictionary<string, Func<FuzzTarget>> s_planted = new(StringComparer.Ordinal)
    {
        ["planted-exception"] = static () => new PlantedFault(PlantedFault.Kind.Exception),
        ["planted-overrun"] = static () => new PlantedFault(PlantedFault.Kind.Overrun),
        ["planted-hang"] = static () => new PlantedFault(PlantedFault.Kind.Hang),
        ["planted-leak"] = static () => new PlantedFault(PlantedFault.Kind.Leak),
        ["planted-wrong-disk"] = static () => new IscsiPdus(IscsiWorld.Fault.WrongDisk),
        ["planted-kept-memory"] = static () => new IscsiPdus(IscsiWorld.Fault.KeptMemory),
        ["planted-race"] = static () => new PlantedFault(PlantedFault.Kind.Race),
    };

    public static IEnumerable<string> Targets => s_targets.Keys;

    public static int Run(string[] args)
    {
        List<string> names = [];
        long inputs = DefaultInputs;
        ulong seed = (ulong)DateTime.UtcNow.Ticks;
        int hangSeconds = 20;
        string results = "artifacts/fuzz";
        string? replay = null;
        bool race = true;
        try
        {
            for (int i = 0; i < args.Length; i++)
            {
                string Value() => ++i < args.Length ? args[i] : throw new FormatException($"{args[i - 1]} wants a value");
                switch (args[i])
                {
                    case "--list":
                        Console.Out.WriteLine(string.Join('\n', Targets));
                        return 0;
                    case "--target":
                        names.Add(Value());
                        break;
                    case "--inputs":
                        inputs = long.Parse(Value(), NumberStyles.AllowThousands, CultureInfo.InvariantCulture);
                        break;
                    case "--seed":
                        seed = ulong.Parse(Value(), CultureInfo.InvariantCulture);
                        break;
                    case "--hang-seconds":
                        hangSeconds = int.Parse(Value(), CultureInfo.InvariantCulture);
                        break;
                    case "--results":
                        results = Value();
                        break;
                    case "--no-race":
                        race = false;
                        break;
                    case "--replay":
                        replay = Value();
                        break;
                    default:
                        throw new FormatException($"'{args[i]}' is not known");
                }
            }

            if (replay is not null && names.Count != 1)
            {
                throw new FormatException("--replay wants one --target");
            }

            return RunAll(names.Count == 0 ? [.. Targets] : names, new FuzzPlan(inputs, seed, Path.Combine(AppContext.BaseDirectory, "corpus"), results, hangSeconds, race), replay);
        }
        catch (FormatException exception)
        {
            Console.Error.WriteLine($"fuzz: {exception.Message}");
            return Wrong;
        }
    }

    static int RunAll(List<string> names, FuzzPlan plan, string? replay)
    {
        bool clean = true;
        foreach (string name in names)
        {
            if (!s_targets.TryGetValue(name, out Func<FuzzTarget>? make) && !s_planted.TryGetValue(name, out make))
            {
                throw new FormatException($"'{name}' is not a target; there are {string.Join(", ", Targets)}");
            }

            FuzzTarget target = make();
            var run = new FuzzRun(target, plan, Console.Out);
            if (replay is null ? run.Run() : run.Replay(replay))
            {
                target.Dispose();
            }
            else
            {
                clean = false; // and the target in no state to be put away
            }
        }

        return clean ? 0 : Found;
    }
}
