using System.Globalization;
using System.Text;
using Scuse.Peers;

namespace Scuse.Bench.Peers;

/// <summary>Measures tgt and Scuse in turns and writes the table.</summary>
static class Comparison
{
    const long DiskBytes = 1L << 30;
    const long QuickDiskBytes = 128L << 20;
    static readonly TimeSpan FillDeadline = TimeSpan.FromMinutes(2);

    /// <summary>Runs the whole comparison; 0 unless an expectation does not hold.</summary>
    /// <exception cref="PeerException">A target did not start, gave wrong data, or an initiator failed.</exception>
    public static async Task<int> RunAsync(Options options)
    {
        long diskBytes = options.Quick ? QuickDiskBytes : DiskBytes;
        using TgtTarget tgt = await TgtTarget.StartAsync(diskBytes);
        using ScuseTarget scuse = await ScuseTarget.StartAsync(diskBytes);
        ITarget[] targets = [tgt, scuse];

        await CheckDataAsync(targets, diskBytes);
        foreach (ITarget target in targets)
        {
            await QemuBench.RunAsync(FillDeadline, target.Url, 1 << 20, 8, (int)(diskBytes >> 20), write: true, pattern: 0x6b);
        }

        Dictionary<Workload, Series> results = Workload.All.ToDictionary(workload => workload, _ => new Series());
        for (int round = 0; round < options.Rounds; round++)
        {
            foreach (Workload workload in Workload.All)
            {
                // Who goes first changes from round to round: neither always meets the warmer machine.
                foreach (ITarget target in round % 2 == 0 ? targets : [.. targets.Reverse()])
                {
                    Sample sample = await workload.MeasureAsync(target, options.Quick);
                    (target == tgt ? results[workload].Tgt : results[workload].Scuse).Add(sample);
                    await Console.Error.WriteLineAsync(string.Create(
                        CultureInfo.InvariantCulture,
                        $"round {round + 1}: {workload.Name}, {target.Name}: {sample.OperationsPerSecond:0} a second, {sample.CpuMicrosecondsPerOperation:0.0} us of processor each"));
                }
            }
        }

        // The disk must still tell the truth after the load: a fast target that lost data has measured nothing.
        await CheckDataAsync(targets, diskBytes);
        string table = Table(results);
        Console.Write(table);
        if ((options.ResultsFile ?? (options.Quick ? null : ResultsFile.Default)) is { } file)
        {
            await ResultsFile.ReplaceAsync(file, await Machine.DescribeAsync(options), table);
            await Console.Error.WriteLineAsync($"written to {file}");
        }

        return options.Quick || results.All(result => result.Value.Holds(result.Key)) ? 0 : 3;
    }

    /// <summary>Writes a pattern of its own to each target at several places, and reads it back on another session.</summary>
    static async Task CheckDataAsync(ITarget[] targets, long diskBytes)
    {
        long[] places = [0, 4096 - 512, diskBytes / 3 & ~511L, diskBytes - (3 << 20)];
        const int LengthBytes = 3 << 20;
        foreach ((int number, ITarget target) in targets.Index())
        {
            byte Pattern(int place) => (byte)(0x10 * (number + 1) + place);
            long[] disjoint = [.. places.Select((place, i) => i == 1 ? place + LengthBytes : place)];
            string[] writes = [.. disjoint.Select((offset, i) => $"write -q -P {Pattern(i)} {offset} {LengthBytes}")];
            await IoAsync(target, writes);
            await IoAsync(target, [.. writes.Select(write => write.Replace("write", "read", StringComparison.Ordinal))]);
        }
    }

    static async Task IoAsync(ITarget target, string[] commands)
    {
        Outcome outcome = await Peer.RunAsync("qemu-io", ["-f", "raw", "-t", "none", .. commands.SelectMany(command => new[] { "-c", command }), target.Url]);
        if (outcome.ExitCode != 0 || outcome.Text.Contains("Pattern verification failed", StringComparison.Ordinal))
        {
            throw new PeerException($"{target.Name} did not return the data that was written to it; nothing was measured.\n{outcome.Text}");
        }
    }

    static string Table(Dictionary<Workload, Series> results)
    {
        StringBuilder text = new();
        text.Append("| work | tgt | scuse | ratio | expected | holds | tgt CPU us/op | scuse CPU us/op |\n");
        text.Append("|---|---|---|---|---|---|---|---|\n");
        foreach ((Workload workload, Series series) in results)
        {
            string expected = workload.ExpectedRatio is { } bound ? string.Create(CultureInfo.InvariantCulture, $">= {bound}") : "-";
            string holds = workload.ExpectedRatio is null ? "-" : series.Holds(workload) ? "yes" : "NO";
            text.Append(CultureInfo.InvariantCulture, $"| {workload.Name} | {Rate(series.Tgt, workload)} | {Rate(series.Scuse, workload)} ");
            text.Append(CultureInfo.InvariantCulture, $"| {series.Ratio:0.00} | {expected} | {holds} | {Cpu(series.Tgt):0.0} | {Cpu(series.Scuse):0.0} |\n");
        }

        return text.ToString();
    }

    static string Rate(List<Sample> samples, Workload workload)
    {
        bool small = workload.BlockBytes <= 4 << 10;
        double[] rates = [.. samples.Select(sample => small ? sample.OperationsPerSecond / 1000 : sample.OperationsPerSecond * workload.BlockBytes / (1 << 20))];
        string unit = small ? "k/s" : "MiB/s";
        return string.Create(CultureInfo.InvariantCulture, $"{Statistics.Median(rates):0.#} {unit} ({rates.Min():0.#} - {rates.Max():0.#})");
    }

    static double Cpu(List<Sample> samples) => Statistics.Median([.. samples.Select(sample => sample.CpuMicrosecondsPerOperation)]);

    /// <summary>The samples of one workload on both targets.</summary>
    sealed class Series
    {
        public List<Sample> Tgt { get; } = [];

        public List<Sample> Scuse { get; } = [];

        /// <summary>The median rate of Scuse by that of tgt.</summary>
        public double Ratio => Rate(Scuse) / Rate(Tgt);

        public bool Holds(Workload workload) => workload.ExpectedRatio is not { } bound || Ratio >= bound;

        static double Rate(List<Sample> samples) => Statistics.Median([.. samples.Select(sample => sample.OperationsPerSecond)]);
    }
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
