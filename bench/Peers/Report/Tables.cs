using System.Globalization;
using System.Text;
using Scuse.Peers;

namespace Scuse.Bench.Peers;

/// <summary>The results as tables in Markdown.</summary>
static class Tables
{
    static readonly Contender[] s_others = [Contender.Istgt, Contender.Nbd];

    public static string Write(Results results)
    {
        StringBuilder text = new();
        WriteRatios(text, results);
        WritePromises(text, results);
        WriteLatencies(text, results);
        WriteOthers(text, results);
        return text.ToString();
    }

    static void WriteRatios(StringBuilder text, Results results)
    {
        if (results.Works.Count == 0)
        {
            return;
        }

        text.Append("| work | tgt | scuse | ratio | asked | of the ceiling | of it with data | holds | tgt CPU us/op | scuse CPU us/op |\n");
        text.Append("|---|---|---|---|---|---|---|---|---|---|\n");
        foreach (Work work in results.Works)
        {
            string asked = work.Ratio is { } bound ? Text($"{bound}{(work.OrCeiling ? $" or {Work.CeilingShare:P0}" : "")}") : "-";
            text.Append(CultureInfo.InvariantCulture, $"| {work.Name} | {Rates(results, work, Contender.Tgt)} | {Rates(results, work, work.Of)} ");
            text.Append(CultureInfo.InvariantCulture, $"| {results.Ratio(work):0.00} | {asked} | {ShareOf(results, work, Contender.Ceiling)} | {ShareOf(results, work, Contender.CeilingWithData)} ");
            text.Append(CultureInfo.InvariantCulture, $"| {(work.Ratio is null ? "-" : results.Holds(work) ? "yes" : "NO")} | {results.Cpu(work, Contender.Tgt):0.0} | {results.Cpu(work, work.Of):0.0} |\n");
        }
    }

    static void WritePromises(StringBuilder text, Results results)
    {
        if (Promise.All(results) is { Count: > 0 } promises)
        {
            text.Append("\n| what must hold | measured | holds |\n|---|---|---|\n");
            foreach (Promise promise in promises)
            {
                text.Append(CultureInfo.InvariantCulture, $"| {promise.What} | {promise.Measured} | {(promise.Holds ? "yes" : "NO")} |\n");
            }
        }
    }

    /// <summary>How long reads took, as the light client saw it: the percentiles, and how many took longer than so many milliseconds.</summary>
    static void WriteLatencies(StringBuilder text, Results results)
    {
        Work work = Work.LightRead;
        if (!results.Works.Contains(work))
        {
            return;
        }

        text.Append(CultureInfo.InvariantCulture, $"\nLatency of {work.Name}, in us; behind it, of a million reads, how many took longer than so many milliseconds.\n\n");
        text.Append("| | p50 | p99 | p99.9 | max | 1 ms | 2 ms | 4 ms | 8 ms | 16 ms |\n|---|---|---|---|---|---|---|---|---|---|\n");
        foreach (Contender contender in work.Contenders.Where(contender => results.Has(work, contender)))
        {
            double Figure(Func<LightReport, double> figure) => results.Light(work, contender, figure);
            double Above(int index) => Figure(report => report.AboveMs[index] * 1e6 / report.Operations);
            text.Append(CultureInfo.InvariantCulture, $"| {Contenders.NameOf(contender)} | {Figure(static report => report.P50Us):0} | {Figure(static report => report.P99Us):0} | {Figure(static report => report.P999Us):0} ");
            text.Append(CultureInfo.InvariantCulture, $"| {Figure(static report => report.MaxUs):0} | {Above(0):0} | {Above(1):0} | {Above(2):0} | {Above(3):0} | {Above(4):0} |\n");
        }
    }

    static void WriteOthers(StringBuilder text, Results results)
    {
        Contender[] others = [.. s_others.Where(other => results.Works.Any(work => results.Has(work, other)))];
        if (others.Length == 0)
        {
            return;
        }

        text.Append("\nWhat people use besides, on the same file as tgt, as multiples of tgt's rate. NBD is another protocol, without SCSI.\n\n");
        text.Append(CultureInfo.InvariantCulture, $"| work | scuse | {string.Join(" | ", others.Select(Contenders.NameOf))} |\n|---|---|{string.Concat(Enumerable.Repeat("---|", others.Length))}\n");
        foreach (Work work in results.Works.Where(work => others.Any(other => results.Has(work, other))))
        {
            IEnumerable<string> ratios = others.Select(other => results.Has(work, other) ? Text($"{results.Rate(work, other) / results.Rate(work, Contender.Tgt):0.00}") : "-");
            text.Append(CultureInfo.InvariantCulture, $"| {work.Name} | {results.Ratio(work):0.00} | {string.Join(" | ", ratios)} |\n");
        }
    }

    static string ShareOf(Results results, Work work, Contender of) => results.Has(work, of) ? Text($"{results.Share(work, of):P0}") : "-";

    static string Rates(Results results, Work work, Contender contender)
    {
        bool small = work.Load.BlockBytes <= 4 << 10;
        double Scale(double perSecond) => small ? perSecond / 1000 : perSecond * work.Load.BlockBytes / (1 << 20);
        double[] rates = [.. results.Of(work, contender).Select(sample => Scale(sample.OperationsPerSecond))];
        return Text($"{Statistics.Median(rates):0.#} {(small ? "k/s" : "MiB/s")} ({rates.Min():0.#} - {rates.Max():0.#})");
    }

    static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
