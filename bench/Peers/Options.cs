using System.Globalization;

namespace Scuse.Bench.Peers;

/// <summary>What the command line asks for.</summary>
sealed record Options(int Rounds, bool Quick, bool Allocations, bool Reactors, bool Spread, string? ResultsFile, string? Only)
{
    public const string Usage = """
        Usage: bench/Peers/run [--rounds N] [--quick] [--only TEXT] [--results FILE] | --reactors [--spread] | --allocations
          --rounds N      alternating rounds of each measurement (5)
          --quick         one short round on a small disk: shows that the comparison works, measures nothing
          --only TEXT     only the measurements with that in their name, such as "64 KiB" or "file:"
          --results FILE  the file whose tables are replaced (bench/RESULTS.md; with --quick or --only none)
          --reactors      measure how targets scale over reactors instead; with --spread how one does that is spread over them
          --allocations   count the managed bytes that reads, writes and unmaps allocate instead
        """;

    const int MaximumRounds = 100;

    /// <summary>Whether a measurement of that name is wanted.</summary>
    public bool Wants(string name) => Only is null || name.Contains(Only, StringComparison.OrdinalIgnoreCase);

    public static Options? Parse(string[] arguments, out string? mistake)
    {
        Options options = new(5, false, false, false, false, null, null);
        mistake = null;
        for (int i = 0; i < arguments.Length; i++)
        {
            string? value = i + 1 < arguments.Length ? arguments[i + 1] : null;
            switch (arguments[i])
            {
                case "--quick":
                    options = options with { Quick = true, Rounds = 1 };
                    break;
                case "--allocations":
                    options = options with { Allocations = true };
                    break;
                case "--reactors":
                    options = options with { Reactors = true };
                    break;
                case "--spread":
                    options = options with { Spread = true };
                    break;
                case "--rounds" when int.TryParse(value, CultureInfo.InvariantCulture, out int rounds) && rounds is > 0 and <= MaximumRounds:
                    options = options with { Rounds = rounds };
                    i++;
                    break;
                case "--only" when value is not null:
                    options = options with { Only = value };
                    i++;
                    break;
                case "--results" when value is not null:
                    options = options with { ResultsFile = value };
                    i++;
                    break;
                default:
                    mistake = $"Do not understand {arguments[i]} {value}.";
                    return null;
            }
        }

        return options;
    }
}
