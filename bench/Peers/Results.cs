using Scuse.Peers;

namespace Scuse.Bench.Peers;

/// <summary>All that was measured.</summary>
sealed class Results
{
    readonly Dictionary<(Work Work, Contender Contender), List<Sample>> _samples = [];

    /// <summary>What was measured of a hundred logical units; null: nothing.</summary>
    public ManyLuns? ManyLuns { get; set; }

    /// <summary>The lines there are figures for, in their order.</summary>
    public IReadOnlyList<Work> Works => [.. Work.All.Where(work => _samples.ContainsKey((work, work.Of)))];

    public void Add(Work work, Contender contender, Sample sample)
    {
        if (!_samples.TryGetValue((work, contender), out List<Sample>? samples))
        {
            _samples.Add((work, contender), samples = []);
        }

        samples.Add(sample);
    }

    public bool Has(Work work, Contender contender) => _samples.ContainsKey((work, contender));

    public IReadOnlyList<Sample> Of(Work work, Contender contender) => _samples[(work, contender)];

    /// <summary>Commands a second: the median.</summary>
    public double Rate(Work work, Contender contender) => Median(work, contender, static sample => sample.OperationsPerSecond);

    /// <summary>Processor time for a command, in microseconds: the median.</summary>
    public double Cpu(Work work, Contender contender) => Median(work, contender, static sample => sample.CpuMicrosecondsPerOperation);

    /// <summary>A figure of the light client's: the median.</summary>
    public double Light(Work work, Contender contender, Func<LightReport, double> figure) => Median(work, contender, sample => figure(sample.Light!));

    /// <summary>The rate by tgt's.</summary>
    public double Ratio(Work work) => Rate(work, work.Of) / Rate(work, Contender.Tgt);

    /// <summary>The rate by that of somebody else.</summary>
    public double Share(Work work, Contender of) => Rate(work, work.Of) / Rate(work, of);

    /// <summary>Whether a line has what is asked of it.</summary>
    public bool Holds(Work work) =>
        work.Ratio is not { } asked || Ratio(work) >= asked || (work.OrCeiling && Share(work, Contender.Ceiling) >= Work.CeilingShare);

    double Median(Work work, Contender contender, Func<Sample, double> figure) => Statistics.Median([.. Of(work, contender).Select(figure)]);
}

static class Statistics
{
    /// <summary>The middle value, or the mean of the two middle ones.</summary>
    public static double Median(double[] values)
    {
        double[] sorted = [.. values.Order()];
        int middle = sorted.Length / 2;
        return sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }
}
