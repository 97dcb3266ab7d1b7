namespace Scuse.Simulation.Storms;

/// <summary>The engine's own backstore, queue and target in bad weather, against what initiators may rely on.</summary>
public class Storms_of_the_engine(ITestOutputHelper output)
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void Lose_nothing_undo_nothing_and_pass(int part)
    {
        var counts = new StormCounts();
        for (int seed = part * 1000; seed < (part * 1000) + 50; seed++)
        {
            StormResult result = StormRun.Run(seed, steps: 1500);
            Assert.True(result.Failure is null, result.Failure);
            counts.Add(result.Counts);
        }

        output.WriteLine(counts.ToString());
        Assert.True(counts is { Sent: > 5000, Attached: > 300, Dropped: > 100, Replaced: > 50, Restarts: > 20 }, counts.ToString());
    }

    [Theory]
    [InlineData(nameof(StormFault.LoseWrite), "reads as")]
    [InlineData(nameof(StormFault.StaleData), "reads as|compares equal")]
    [InlineData(nameof(StormFault.StaleToCompare), "compares equal|have both found|reads as")]
    [InlineData(nameof(StormFault.LoseFlush), "reads as|compares equal")]
    [InlineData(nameof(StormFault.RepeatOldWrite), "reads as|compares equal")]
    [InlineData(nameof(StormFault.AnswerTwice), "answered twice")]
    [InlineData(nameof(StormFault.LoseAnswer), "in fair weather this is left|goes before it")]
    [InlineData(nameof(StormFault.KeepMemory), "when all is quiet|in fair weather this is left")]
    [InlineData(nameof(StormFault.StartBeforeKill), "reads as|compares equal")]
    [InlineData(nameof(StormFault.ShowForeignData), "which another session had")]
    [InlineData(nameof(StormFault.ForgetOrder), "goes before it")]
    public void Show_a_planted_fault(string fault, string byWhat)
    {
        for (int seed = 1; seed <= 300; seed++)
        {
            if (StormRun.Run(seed, steps: 1500, Enum.Parse<StormFault>(fault), shrink: false) is { Failure: { } failure })
            {
                output.WriteLine(failure[..Math.Min(failure.Length, 600)]);
                Assert.Matches(byWhat, failure.Split('\n')[0]);
                return;
            }
        }

        Assert.Fail("no storm found it");
    }

    [Fact]
    public void Are_the_same_when_replayed()
    {
        StormResult first = StormRun.Run(5, 1500), second = StormRun.Run(5, 1500);

        Assert.Equal(first.Counts.ToString(), second.Counts.ToString());
    }
}
