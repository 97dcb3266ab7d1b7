namespace Scuse.Simulation.Schedules;

/// <summary>What an exploration found.</summary>
/// <param name="Runs">How many schedules ran.</param>
/// <param name="Points">The most points of decision that one of them had.</param>
/// <param name="Failure">What went wrong, with the schedule and its trace; null when nothing did.</param>
sealed record Explored(int Runs, int Points, string? Failure);

/// <summary>
/// Runs every schedule of a scenario that leaves the beaten track (each end runs until it sleeps, each store is seen when it should be) at no more than so many
/// points. Most faults in such protocols need but two; that is what makes it worth while.
/// </summary>
static class Exploration
{
    public static Explored Run(Scenario scenario, int deviations, bool onlyAtMailbox, DuelFault fault = DuelFault.None)
    {
        using var duel = new Duel(scenario, fault, onlyAtMailbox);
        int runs = 0, points = 0;
        string? failure = null;
        for (int bound = 0; bound <= deviations && failure is null; bound++)
        {
            runs = 0; // once more with one deviation more, so that what is found is as short as can be
            failure = Explore([], 0, bound);
        }

        return new Explored(runs, points, failure);

        string? Explore(List<Deviation> schedule, int from, int bound)
        {
            runs++;
            if (duel.Run(schedule) is { } wrong)
            {
                return Describe(duel, scenario, onlyAtMailbox, schedule, wrong);
            }

            points = Math.Max(points, duel.Alternatives.Count);
            if (schedule.Count == bound)
            {
                return null;
            }

            DeviationKind[] alternatives = [.. duel.Alternatives];
            for (int point = from; point < alternatives.Length; point++)
            {
                schedule.Add(new Deviation(point, alternatives[point]));
                if (Explore(schedule, point + 1, bound) is { } failure)
                {
                    return failure;
                }

                schedule.RemoveAt(schedule.Count - 1);
            }

            return null;
        }
    }

    /// <summary>One schedule again, with its trace.</summary>
    public static string Replay(Scenario scenario, bool onlyAtMailbox, IReadOnlyList<Deviation> schedule, DuelFault fault = DuelFault.None)
    {
        using var duel = new Duel(scenario, fault, onlyAtMailbox);
        string? wrong = duel.Run(schedule, tracing: true);
        return string.Join('\n', duel.Trace.Append(wrong ?? "all went well"));
    }

    static string Describe(Duel duel, Scenario scenario, bool onlyAtMailbox, IReadOnlyList<Deviation> schedule, string wrong)
    {
        duel.Run(schedule, tracing: true);
        return $"""
            {wrong}
            again: tests/Simulation/run --schedule {scenario.Name}:{string.Join(',', schedule)}{(onlyAtMailbox ? " --only-mailbox" : "")}
            {string.Join('\n', duel.Trace)}
            """;
    }
}
