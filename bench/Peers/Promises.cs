using System.Globalization;

namespace Scuse.Bench.Peers;

/// <summary>Something that must hold beside the ratios, with what was measured.</summary>
sealed record Promise(string What, string Measured, bool Holds)
{
    /// <summary>All that the results tell something of.</summary>
    public static IReadOnlyList<Promise> All(Results results)
    {
        List<Promise> promises = [];
        foreach (Work work in results.Works.Where(static work => work.AndInProcess))
        {
            double share = results.Share(work, Contender.InProcess);
            promises.Add(new($"the hop to another process costs at most 10 %: {work.Name}", Text($"{1 - share:P1} of {results.Rate(work, Contender.InProcess) / 1000:0.0} k/s"), share >= 0.9));
        }

        if (results.Works.Contains(Work.FixedRate))
        {
            double scuse = results.Cpu(Work.FixedRate, Contender.Memory), tgt = results.Cpu(Work.FixedRate, Contender.Tgt);
            promises.Add(new("processor time for a read at 20,000 a second, engine and handler, is below tgt's", Text($"{scuse:0.0} us, tgt {tgt:0.0} us"), scuse < tgt));
        }

        if (results.Works.Contains(Work.LightRead))
        {
            double p99 = results.Light(Work.LightRead, Contender.Memory, static report => report.P99Us), median = results.Light(Work.LightRead, Contender.Tgt, static report => report.P50Us);
            promises.Add(new("p99 at QD32 is below tgt's median", Text($"{p99:0} us, tgt's median {median:0} us"), p99 < median));
            double p999 = results.Light(Work.LightRead, Contender.Memory, static report => report.P999Us);
            promises.Add(new("p99.9 at QD32 is under 1 ms", Text($"{p999:0} us"), p999 < 1000));
        }

        if (results.ManyLuns is { } many)
        {
            promises.Add(new("100 logical units with 10 sessions each have together 80 % of what one has with one session", Text($"{many.Sum:P0} of {many.One.Operations / many.One.Seconds / 1000:0.0} k/s"), many.Sum >= 0.8));
            promises.Add(new("the slowest of these sessions has half of the mean at least", Text($"{many.Fairness:P0}"), many.Fairness >= 0.5));
        }

        return promises;
    }

    static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
