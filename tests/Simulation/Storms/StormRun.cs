using System.Globalization;

namespace Scuse.Simulation.Storms;

/// <summary>What came of a storm.</summary>
/// <param name="Seed">Its seed.</param>
/// <param name="Steps">How many steps it made.</param>
/// <param name="Counts">What it was made of.</param>
/// <param name="Failure">What must not have happened, and how to see it again; null when nothing did.</param>
sealed record StormResult(int Seed, int Steps, StormCounts Counts, string? Failure);

/// <summary>Storms by seed.</summary>
static class StormRun
{
    /// <summary>One storm. A failure is looked for again with less weather, so that the report names what it takes.</summary>
    public static StormResult Run(int seed, int steps, StormFault fault = StormFault.None, Weather weather = Weather.All, bool shrink = true, bool tellsAll = false)
    {
        StormResult result = RunOnce(seed, steps, fault, weather, tellsAll, out IReadOnlyList<string> log);
        if (result.Failure is null)
        {
            return result;
        }

        for (int bit = 1; shrink && bit <= (int)Weather.All; bit <<= 1)
        {
            if (((int)weather & bit) != 0 && RunOnce(seed, result.Steps, fault, weather & ~(Weather)bit, tellsAll, out IReadOnlyList<string> calmerLog) is { Failure: not null } calmer)
            {
                (result, weather, log) = (calmer, weather & ~(Weather)bit, calmerLog);
            }
        }

        string without = weather == Weather.All ? "" : $" --weather {string.Join(',', Enum.GetValues<Weather>().Where(one => one is not (Weather.None or Weather.All) && (weather & one) != 0))}";
        string planted = fault == StormFault.None ? "" : $" --fault {fault}";
        return result with
        {
            Failure = string.Create(CultureInfo.InvariantCulture, $"""
                seed {seed}, step {result.Steps}: {result.Failure}
                again: tests/Simulation/run --storm {seed} --steps {result.Steps}{without}{planted}
                {new StormOptions(seed, fault, weather)}
                {string.Join('\n', log.TakeLast(tellsAll ? int.MaxValue : 40))}
                """),
        };
    }

    static StormResult RunOnce(int seed, int steps, StormFault fault, Weather weather, bool tellsAll, out IReadOnlyList<string> log)
    {
        using var storm = new Storm(new StormOptions(seed, fault, weather), tellsAll);
        string? failure = null;
        try
        {
            storm.Run(steps);
        }
        catch (StormException exception)
        {
            failure = exception.Message;
        }
#pragma warning disable CA1031 // whatever the engine throws is what the storm looks for
        catch (Exception exception)
#pragma warning restore CA1031
        {
            failure = exception.ToString();
        }

        log = storm.Log;
        return new StormResult(seed, storm.Step, storm.Counts, failure);
    }
}
