namespace Scuse.Simulation.Model;

/// <summary>What an exhaustive search has found.</summary>
/// <param name="States">How many different states there are.</param>
/// <param name="Transitions">How many moves lead from one to another.</param>
/// <param name="Depth">How many moves the farthest state is away from the first.</param>
/// <param name="Failure">What must not be, with the moves that lead there; null when all is well.</param>
sealed record Searched(int States, long Transitions, int Depth, string? Failure);

/// <summary>Visits every state of the model that can be reached, nearest first, so that what it finds is found on the shortest way.</summary>
static class Exhaustive
{
    public const int AllCommands = 0b111, TheWrites = 0b011, OneWriteAndTheRead = 0b101;

    /// <summary>Searches.</summary>
    /// <param name="losses">How often a handler may crash, break the rules or be replaced.</param>
    /// <param name="engineCrashes">How often the engine may crash.</param>
    /// <param name="commands">A bit for each command that is sent at all.</param>
    /// <param name="fault">The planted fault.</param>
    public static Searched Run(int losses, int engineCrashes, int commands = AllCommands, ModelFault fault = ModelFault.None)
    {
        var rules = new Rules(fault, engineCrashes);
        var seen = new HashSet<Key>();
        List<(int Parent, Move Move)> ways = [];
        List<(World World, int Index)> layer = [], next = [];
        List<Move> moves = [];
        long transitions = 0;
        int depth = 0;

        World first = World.Initial(losses, engineCrashes, commands);
        seen.Add(first.ToKey());
        ways.Add((-1, default));
        layer.Add((first, 0));
        for (; layer.Count > 0; depth++)
        {
            foreach ((World world, int index) in layer)
            {
                rules.Moves(world, moves);
                foreach (Move move in moves)
                {
                    transitions++;
                    World after = world;
                    string? wrong = null;
                    try
                    {
                        rules.Do(ref after, move);
                        if (!seen.Add(after.ToKey()))
                        {
                            continue;
                        }

                        wrong = Rules.Check(after) ?? rules.CheckProgress(after);
                    }
                    catch (RuleException exception)
                    {
                        wrong = exception.Message;
                    }

                    ways.Add((index, move));
                    if (wrong is not null)
                    {
                        return new Searched(seen.Count, transitions, depth + 1, $"{wrong}\n{Way(ways)}");
                    }

                    next.Add((after, ways.Count - 1));
                }
            }

            (layer, next) = (next, layer);
            next.Clear();
        }

        return new Searched(seen.Count, transitions, depth - 1, null);
    }

    static string Way(List<(int Parent, Move Move)> ways)
    {
        List<string> steps = [];
        for (int at = ways.Count - 1; at > 0; at = ways[at].Parent)
        {
            steps.Add(ways[at].Move.ToString());
        }

        steps.Reverse();
        return string.Join('\n', steps.Select(static (step, number) => $"  {number + 1}. {step}"));
    }
}
