using System.Diagnostics;
using Scuse.Simulation.Schedules;

namespace Scuse.Simulation;

/// <summary>The long forms, and single runs again, by the command line. Whatever it does not know is the test runner's.</summary>
static class CommandLine
{
    public const string Usage = """
        tests/Simulation/run [--schedules DEVIATIONS]        every schedule of the ring's two ends with up to so many deviations; default 3
        tests/Simulation/run --schedule NAME:LIST [--only-mailbox] [--fault FAULT]       one schedule again, access by access
        """;

    /// <summary>Null when the arguments are not for here.</summary>
    public static int? Run(string[] args)
    {
        if (args.Length == 0 || args[0] is not ("--schedules" or "--schedule" or "--help-simulation"))
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
        var fault = DuelFault.None;
        while (args.TryDequeue(out string? arg))
        {
            switch (arg)
            {
                case "--schedule":
                    schedule = args.Dequeue();
                    break;
                case "--schedules":
                    deviations = args.Count > 0 && !args.Peek().StartsWith('-') ? Number(args) : 3;
                    break;
                case "--only-mailbox":
                    onlyMailbox = true;
                    break;
                case "--fault":
                    fault = Enum.Parse<DuelFault>(args.Dequeue());
                    break;
                default:
                    throw new FormatException($"{arg} is not known");
            }
        }

        if (schedule is not null)
        {
            string[] parts = schedule.Split(':');
            Scenario scenario = Scenario.All.FirstOrDefault(scenario => scenario.Name == parts[0]) ?? throw new FormatException($"there is no scenario {parts[0]}");
            Console.WriteLine(Exploration.Replay(scenario, onlyMailbox, [.. parts[^1].Split(',', StringSplitOptions.RemoveEmptyEntries).Select(Deviation.Parse)], fault));
            return 0;
        }

        return deviations is { } most && !ExploreSchedules(most) ? 1 : 0;
    }

    static int Number(Queue<string> args) => int.Parse(args.Dequeue(), System.Globalization.CultureInfo.InvariantCulture);

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
