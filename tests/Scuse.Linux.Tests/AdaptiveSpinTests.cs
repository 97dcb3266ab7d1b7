namespace Scuse.Linux.Tests;

public sealed class AdaptiveSpinTests
{
    const int LongMicroseconds = 1_000_000;

    [Fact]
    public void With_one_command_at_a_time_it_looks_again()
    {
        var spin = new AdaptiveSpin(LongMicroseconds, processors: 2);
        Find(spin, depth: 1);

        Assert.True(LooksAgain(spin));
    }

    [Fact]
    public void With_several_commands_under_way_it_sleeps_at_once()
    {
        var spin = new AdaptiveSpin(LongMicroseconds, processors: 2);
        Find(spin, depth: 4);

        Assert.False(spin.LookAgain());
    }

    [Fact]
    public void When_the_queue_has_become_shallow_it_looks_again()
    {
        var spin = new AdaptiveSpin(LongMicroseconds, processors: 2);
        Find(spin, depth: 32);
        Find(spin, depth: 1);

        Assert.True(LooksAgain(spin));
    }

    [Theory]
    [InlineData(0, 2)]
    [InlineData(50, 1)]
    public void Without_time_or_a_second_processor_it_never_looks(int microseconds, int processors) =>
        Assert.False(new AdaptiveSpin(microseconds, processors).LookAgain());

    [Fact]
    public void It_stops_looking_when_its_time_is_over()
    {
        var spin = new AdaptiveSpin(1, processors: 2);

        Assert.True(SpinWait.SpinUntil(() => !spin.LookAgain(), TimeSpan.FromSeconds(10)));
    }

    // On a busy machine a yield may take so long that the spin rightly gives up: one look of many is enough.
    static bool LooksAgain(AdaptiveSpin spin) => Enumerable.Range(0, 100).Any(_ => spin.LookAgain());

    static void Find(AdaptiveSpin spin, int depth)
    {
        for (int i = 0; i < 200; i++)
        {
            spin.Found(depth, commands: 1);
        }
    }
}
