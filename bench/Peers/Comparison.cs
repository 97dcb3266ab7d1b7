using System.Globalization;
using Scuse.Peers;

namespace Scuse.Bench.Peers;

/// <summary>Measures tgt, Scuse and what they are compared with in turns, and writes down what came of it.</summary>
static class Comparison
{
    const long DiskBytes = 1L << 30;
    const long QuickDiskBytes = 128L << 20;

    /// <summary>Runs the whole comparison; 0 unless something that is asked for does not hold.</summary>
    /// <exception cref="PeerException">A target did not start, gave wrong data, or an initiator failed.</exception>
    public static async Task<int> RunAsync(Options options)
    {
        Work[] works = [.. Work.All.Where(work => options.Wants(work.Name))];
        bool withManyLuns = options.Wants("100 logical units");
        if (works.Length == 0 && !withManyLuns)
        {
            throw new PeerException($"There is nothing with '{options.Only}' in its name.");
        }

        var results = new Results();
        using (var contenders = new Contenders(options.Quick ? QuickDiskBytes : DiskBytes))
        {
            for (int round = 0; round < options.Rounds; round++)
            {
                foreach (Work work in works)
                {
                    await RoundAsync(work, round, contenders, results, options);
                }
            }

            await contenders.CheckAllAsync();
        }

        if (withManyLuns)
        {
            results.ManyLuns = await ManyLuns.MeasureAsync(options.Rounds, options.Quick);
        }

        string text = Tables.Write(results);
        Console.Write(text);
        if ((options.ResultsFile ?? (options.Quick || options.Only is not null ? null : ResultsFile.Default)) is { } file)
        {
            await ResultsFile.ReplaceAsync(file, await Machine.DescribeAsync(options), text, Plot.Draw(results));
            await Console.Error.WriteLineAsync($"written to {file}");
        }

        return options.Quick || (results.Works.All(results.Holds) && Promise.All(results).All(static promise => promise.Holds)) ? 0 : 3;
    }

    static async Task RoundAsync(Work work, int round, Contenders contenders, Results results, Options options)
    {
        List<(Contender Contender, ITarget Target)> targets = [];
        foreach (Contender contender in work.Contenders.Where(Contenders.IsThere))
        {
            targets.Add((contender, await contenders.GetAsync(contender)));
        }

        if (round % 2 != 0)
        {
            targets.Reverse(); // who goes first changes from round to round: nobody always meets the warmer machine
        }

        using BesideLoad beside = await BesideLoad.StartAsync(work.Beside);
        foreach ((Contender contender, ITarget target) in targets)
        {
            Sample sample;
            try
            {
                sample = await work.Load.MeasureAsync(target, options.Quick);
            }
            catch (PeerException failure) when (Contenders.IsExtra(contender))
            {
                await Console.Error.WriteLineAsync($"round {round + 1}: {work.Name}, {Contenders.NameOf(contender)} has failed, and is left out here: {failure.Message}");
                contenders.Drop(contender);
                continue;
            }

            results.Add(work, contender, sample);
            await Console.Error.WriteLineAsync(string.Create(
                CultureInfo.InvariantCulture,
                $"round {round + 1}: {work.Name}, {Contenders.NameOf(contender)}: {sample.OperationsPerSecond:0} a second, {sample.CpuMicrosecondsPerOperation:0.0} us of processor each"));
        }
    }
}
