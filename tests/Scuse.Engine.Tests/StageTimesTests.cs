using Scuse.Engine.Backstores;
using Scuse.Engine.Management;

namespace Scuse.Engine.Tests;

public sealed class StageTimesTests
{
    /// <summary>A command that waits for 100 ns, brings its data for 2,000, waits for 300, is away for 40,000 and is sent for 500,000.</summary>
    static CommandTimes Command(uint serviceNs)
    {
        var times = new CommandTimes();
        times.Begin(1_000);
        times.Waited(1_100);
        times.Collected(3_100);
        times.Waited(3_400);
        times.Answered(serviceNs, 43_400);
        return times;
    }

    [Fact]
    public void Every_stage_has_its_part_and_together_they_are_the_whole()
    {
        var stages = new StageTimes();
        stages.Add(Command(serviceNs: 30_000), 543_400);

        Assert.Equal([400, 2_000, 10_000, 30_000, 500_000, 542_400], Enum.GetValues<CommandStage>().Select(stages.SumNs));
        Assert.All(Enum.GetValues<CommandStage>(), stage => Assert.Equal(1, stages.Count(stage)));
    }

    [Fact]
    public void Without_the_handlers_own_time_all_of_it_is_the_rings()
    {
        var stages = new StageTimes();
        stages.Add(Command(serviceNs: 0), 543_400);

        Assert.Equal((40_000, 0), (stages.SumNs(CommandStage.Ring), stages.Count(CommandStage.Handler)));
    }

    [Fact]
    public void A_handler_that_boasts_is_believed_only_as_far_as_it_had_the_command()
    {
        var stages = new StageTimes();
        stages.Add(Command(serviceNs: uint.MaxValue), 543_400);

        Assert.Equal((0, 40_000), (stages.SumNs(CommandStage.Ring), stages.SumNs(CommandStage.Handler)));
    }

    [Fact]
    public void A_command_that_begins_anew_has_forgotten_the_one_before()
    {
        CommandTimes times = Command(serviceNs: 30_000);
        times.Begin(1_000_000);

        Assert.False(times.IsAnswered);
        times.Waited(1_000_001);
        times.Collected(1_000_003);
        times.Answered(0, 1_000_010);
        Assert.Equal((1, 2, 7, (long?)null), (times.Queue, times.NetworkIn, times.Ring, times.Handler));
    }

    [Fact]
    public void Percentiles_are_at_most_a_quarter_too_high()
    {
        var stages = new StageTimes();
        var random = new Random(7);
        List<long> all = [];
        for (int i = 0; i < 10_000; i++)
        {
            long ns = (long)Math.Exp(random.NextDouble() * Math.Log(60e9));
            all.Add(ns);
            var times = new CommandTimes();
            times.Begin(0);
            times.Answered(0, ns);
            stages.Add(times, ns);
        }

        all.Sort();
        foreach (double share in (double[])[0.01, 0.5, 0.9, 0.99, 0.999, 1])
        {
            long exact = all[(int)Math.Ceiling(all.Count * share) - 1];
            Assert.InRange(stages.PercentileNs(CommandStage.Ring, share), exact, Math.Max(128, exact + (exact / 4)));
        }

        Assert.Equal(all[^1], stages.MostNs(CommandStage.Ring));
        Assert.Equal(0, stages.PercentileNs(CommandStage.Handler, 0.5));
    }

    [Fact]
    public void A_copy_stays_as_it_was()
    {
        var stages = new StageTimes();
        StageTimes none = StageTimes.SumOf([stages]);
        stages.Add(Command(serviceNs: 0), 543_400);
        StageTimes one = StageTimes.SumOf([stages]);
        stages.Add(Command(serviceNs: 0), 543_400);

        Assert.Equal((0, 1, 2), (none.Count(CommandStage.Total), one.Count(CommandStage.Total), stages.Count(CommandStage.Total)));
    }
}
