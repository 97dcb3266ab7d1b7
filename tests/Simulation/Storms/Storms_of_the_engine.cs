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
    [InlineData(nameof(StormFault.LoseWrite))]
    [InlineData(nameof(StormFault.StaleData))]
    [InlineData(nameof(StormFault.StaleToCompare))]
    [InlineData(nameof(StormFault.LoseFlush))]
    [InlineData(nameof(StormFault.RepeatOldWrite))]
    [InlineData(nameof(StormFault.AnswerTwice))]
    [InlineData(nameof(StormFault.LoseAnswer))]
    [InlineData(nameof(StormFault.KeepMemory))]
    [InlineData(nameof(StormFault.StartBeforeKill))]
    [InlineData(nameof(StormFault.ShowForeignData))]
    public void Show_a_planted_fault(string fault)
    {
        for (int seed = 1; seed <= 60; seed++)
        {
            if (StormRun.Run(seed, steps: 1500, Enum.Parse<StormFault>(fault), shrink: false) is { Failure: { } failure })
            {
                output.WriteLine(failure[..Math.Min(failure.Length, 600)]);
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
