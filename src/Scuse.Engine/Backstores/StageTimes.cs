using System.Numerics;
using Scuse.Engine.Management;

namespace Scuse.Engine.Backstores;

/// <summary>
/// How long the commands of one logical unit have spent in each stage since it was first used: for each stage a histogram with four buckets to each doubling of time. It is always on: a command
/// costs it some additions.
/// </summary>
/// <remarks>Touched only by the owning reactor. It takes up memory from the first command on.</remarks>
sealed class StageTimes
{
    public const int Stages = (int)CommandStage.Total + 1;

    const int SubBits = 2, LeastBit = 6, MostBit = 36; // from 64 ns to a minute
    const int Buckets = (MostBit - LeastBit + 1) << SubBits;

    readonly long[] _sums = new long[Stages], _most = new long[Stages];
    long[]? _counts;

    /// <summary>Counts a command whose answer has just been sent.</summary>
    public void Add(CommandTimes times, long nowNs)
    {
        _counts ??= new long[Stages * Buckets];
        (long networkOut, long total) = times.Sent(nowNs);
        Add(CommandStage.Queue, times.Queue);
        Add(CommandStage.NetworkIn, times.NetworkIn);
        Add(CommandStage.Ring, times.Ring);
        if (times.Handler is { } handler)
        {
            Add(CommandStage.Handler, handler);
        }

        Add(CommandStage.NetworkOut, networkOut);
        Add(CommandStage.Total, total);
    }

    void Add(CommandStage stage, long ns)
    {
        _counts![((int)stage * Buckets) + BucketOf(ns)]++;
        _sums[(int)stage] += ns;
        _most[(int)stage] = Math.Max(_most[(int)stage], ns);
    }

    /// <summary>All of them together, as they are now.</summary>
    public static StageTimes SumOf(IEnumerable<StageTimes> all)
    {
        var sum = new StageTimes();
        foreach (StageTimes each in all)
        {
            for (int i = 0; i < Stages; i++)
            {
                sum._sums[i] += each._sums[i];
                sum._most[i] = Math.Max(sum._most[i], each._most[i]);
            }

            if (each._counts is not { } counts)
            {
                continue;
            }

            sum._counts ??= new long[Stages * Buckets];
            for (int i = 0; i < counts.Length; i++)
            {
                sum._counts[i] += counts[i];
            }
        }

        return sum;
    }

    public long Count(CommandStage stage)
    {
        long count = 0;
        foreach (long bucket in Of(stage))
        {
            count += bucket;
        }

        return count;
    }

    public long SumNs(CommandStage stage) => _sums[(int)stage];

    public long MostNs(CommandStage stage) => _most[(int)stage];

    /// <summary>So long or less took that share of the commands, in nanoseconds: the upper end of a bucket, at most a quarter too high.</summary>
    public long PercentileNs(CommandStage stage, double share)
    {
        ReadOnlySpan<long> buckets = Of(stage);
        double wanted = Count(stage) * share;
        long seen = 0;
        for (int i = 0; i < buckets.Length; i++)
        {
            seen += buckets[i];
            if (buckets[i] > 0 && seen >= wanted)
            {
                return Math.Min(UpperEnd(i), MostNs(stage));
            }
        }

        return 0;
    }

    ReadOnlySpan<long> Of(CommandStage stage) => _counts is null ? default : _counts.AsSpan((int)stage * Buckets, Buckets);

    static int BucketOf(long ns)
    {
        if (ns < 1 << LeastBit)
        {
            return 0;
        }

        int bit = BitOperations.Log2((ulong)ns);
        return bit > MostBit ? Buckets - 1 : ((bit - LeastBit) << SubBits) + (int)((ns >> (bit - SubBits)) & ((1 << SubBits) - 1));
    }

    static long UpperEnd(int bucket)
    {
        int bit = (bucket >> SubBits) + LeastBit, part = bucket & ((1 << SubBits) - 1);
        return (((1L << SubBits) + part + 1) << (bit - SubBits)) - 1;
    }
}
