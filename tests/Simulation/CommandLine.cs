using System.Diagnostics;
using Scuse.Simulation.Model;
using Scuse.Simulation.Schedules;
using Scuse.Simulation.Storms;

namespace Scuse.Simulation;

/// <summary>The long forms, and single runs again, by the command line. Whatever it does not know is the test runner's.</summary>
static class CommandLine
{
    public const string Usage = """
        tests/Simulation/run --steps STEPS [--seed SEED]     storms of so many steps in all, from this seed on; default 1
        tests/Simulation/run --states [LOSSES [CRASHES]]     every state of the model, with so many losses of handlers and crashes of the engine; default 2 and 1
        tests/Simulation/run --storm SEED --steps STEPS [--weather LIST] [--fault FAULT]     one storm again
        tests/Simulation/run --schedules DEVIATIONS          every schedule of the ring's two ends with up to so many deviations; default 3
        tests/Simulation/run --schedule NAME:LIST [--only-mailbox] [--fault FAULT]       one schedule again, access by access
        """;

    /// <summary>Null when the arguments are not for here.</summary>
    public static int? Run(string[] args)
    {
        if (args.Length == 0 || args[0] is not ("--schedules" or "--schedule" or "--steps" or "--seed" or "--storm" or "--states" or "--help-simulation"))
        {
            return null;
        }

        try
        {
            return Run(new Queue<string>(args));
        }
        catch (Exception exception) when (exception is FormatException or InvalidOperationException or ArgumentException)
        {
            Console.Error.WriteLine($"{exception.Message}\n{Usage}");
            return 2;
        }
    }

    static int Run(Queue<string> args)
    {
        string? schedule = null;
        int? deviations = null;
        bool onlyMailbox = false;
        string? fault = null;
        int? steps = null, storm = null;
        (int Losses, int Crashes)? states = null;
        int seed = 1;
        var weather = Weather.All;
        while (args.TryDequeue(out string? arg))
        {
            switch (arg)
            {
                case "--schedule":
                    schedule = args.Dequeue();
                    break;
                case "--schedules":
                    deviations = NumberOr(args, 3);
                    break;
                case "--states":
                    states = (NumberOr(args, 2), NumberOr(args, 1));
                    break;
                case "--only-mailbox":
                    onlyMailbox = true;
                    break;
                case "--fault":
                    fault = args.Dequeue();
                    break;
                case "--steps":
                    steps = Number(args);
                    break;
                case "--seed":
                    seed = Number(args);
                    break;
                case "--storm":
                    storm = Number(args);
                    break;
                case "--weather":
                    weather = Enum.Parse<Weather>(args.Dequeue());
                    break;
                default:
                    throw new FormatException($"{arg} is not known");
            }
        }

        if (schedule is not null)
        {
            string[] parts = schedule.Split(':');
            Scenario scenario = Scenario.All.FirstOrDefault(scenario => scenario.Name == parts[0]) ?? throw new FormatException($"there is no scenario {parts[0]}");
            Console.WriteLine(Exploration.Replay(scenario, onlyMailbox, [.. parts[^1].Split(',', StringSplitOptions.RemoveEmptyEntries).Select(Deviation.Parse)], fault is null ? DuelFault.None : Enum.Parse<DuelFault>(fault)));
            return 0;
        }

        StormFault planted = fault is null ? StormFault.None : Enum.Parse<StormFault>(fault);
        if (storm is { } one)
        {
            StormResult result = StormRun.Run(one, steps ?? 1500, planted, weather, shrink: false, tellsAll: true);
            Console.WriteLine(result.Failure ?? $"seed {one}, {result.Steps} steps: all went well; {result.Counts}");
            return result.Failure is null ? 0 : 1;
        }

        if (states is { } bounds && !SearchModel(bounds.Losses, bounds.Crashes))
        {
            return 1;
        }

        if (steps is { } all && !Storm(seed, all, planted))
        {
            return 1;
        }

        return deviations is { } most && !ExploreSchedules(most) ? 1 : 0;
    }

    static int NumberOr(Queue<string> args, int without) => args.Count > 0 && !args.Peek().StartsWith('-') ? Number(args) : without;

    static int Number(Queue<string> args) => int.Parse(args.Dequeue(), System.Globalization.CultureInfo.InvariantCulture);

    static bool SearchModel(int losses, int crashes)
    {
        var time = Stopwatch.StartNew();
        Searched searched = Exhaustive.Run(losses, crashes);
        Console.WriteLine($"model, {losses} losses and {crashes} engine crashes: {searched.States} states, {searched.Transitions} transitions, depth {searched.Depth}, {searched.Failure ?? "all went well"} ({time.Elapsed.TotalSeconds:F0} s)");
        return searched.Failure is null;
    }

    static bool Storm(int firstSeed, int steps, StormFault fault)
    {
        const int StepsEach = 5_000;
        var time = Stopwatch.StartNew();
        var counts = new StormCounts();
        int made = 0, seed = firstSeed;
        for (; made < steps; seed++)
        {
            StormResult result = StormRun.Run(seed, Math.Min(StepsEach, steps - made), fault);
            if (result.Failure is not null)
            {
                Console.WriteLine(result.Failure);
                return false;
            }

            made += result.Steps;
            counts.Add(result.Counts);
        }

        Console.WriteLine($"storms: {made} steps, seeds {firstSeed} to {seed - 1}, all went well ({time.Elapsed.TotalSeconds:F0} s); {counts}");
        return true;
    }

    static bool ExploreSchedules(int deviations)
    {
        bool clean = true;
        foreach (Scenario scenario in Scenario.All)
        {
            var time = Stopwatch.StartNew();
            Explored explored = Exploration.Run(scenario, deviations, onlyAtMailbox: false);
            Console.WriteLine($"schedules of {scenario.Name}: {explored.Runs} with up to {deviations} deviations at {explored.Points} points, {explored.Failure ?? "all went well"} ({time.Elapsed.TotalSeconds:F0} s)");
            clean &= explored.Failure is null;
        }

        return clean;
    }
}
