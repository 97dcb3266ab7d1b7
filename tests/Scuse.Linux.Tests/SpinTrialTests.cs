namespace Scuse.Linux.Tests;

/// <summary>On a clock of microseconds.</summary>
public sealed class SpinTrialTests
{
    const long Second = 1_000_000;
    long _now;

    [Fact]
    public void Looks_when_more_commands_get_done_that_way()
    {
        var trial = new SpinTrial(Second);

        Run(trial, 2 * Second, sleeping: 50, looking: 20);

        Assert.InRange(ShareOfLooking(trial, sleeping: 50, looking: 20), 0.9, 1);
    }

    [Theory]
    [InlineData(20, 50)]
    [InlineData(20, 20)]
    [InlineData(50, 49)] // hardly more
    public void Sleeps_when_looking_gets_no_more_done(int sleeping, int looking)
    {
        var trial = new SpinTrial(Second);

        Run(trial, 2 * Second, sleeping, looking);

        Assert.InRange(ShareOfLooking(trial, sleeping, looking), 0, 0.1);
    }

    [Fact]
    public void Changes_its_mind_when_the_machine_does()
    {
        var trial = new SpinTrial(Second);
        Run(trial, 2 * Second, sleeping: 50, looking: 20);

        Run(trial, 2 * Second, sleeping: 50, looking: 500);

        Assert.InRange(ShareOfLooking(trial, sleeping: 50, looking: 500), 0, 0.1);
    }

    [Fact]
    public void A_pause_in_a_trial_does_not_count()
    {
        var trial = new SpinTrial(Second);
        trial.Came(1, _now);
        for (int i = 0; i < 100; i++)
        {
            Run(trial, Second / 200, sleeping: 50, looking: 20); // each time another pause before it has an end
            _now += Second;
        }

        Assert.False(trial.Looks);
    }

    [Fact]
    public void Few_commands_are_no_reason_to_look()
    {
        var trial = new SpinTrial(Second);

        Run(trial, 2 * Second, sleeping: 4000, looking: 2000);

        Assert.InRange(ShareOfLooking(trial, sleeping: 4000, looking: 2000), 0, 0.1);
    }

    double ShareOfLooking(SpinTrial trial, int sleeping, int looking)
    {
        long looked = 0, from = _now;
        while (_now < from + 2 * Second)
        {
            long before = _now;
            Step(trial, sleeping, looking);
            looked += trial.Looks ? _now - before : 0;
        }

        return (double)looked / (_now - from);
    }

    void Run(SpinTrial trial, long microseconds, int sleeping, int looking)
    {
        for (long end = _now + microseconds; _now < end;)
        {
            Step(trial, sleeping, looking);
        }
    }

    /// <summary>One command, which takes so many microseconds in each way.</summary>
    void Step(SpinTrial trial, int sleeping, int looking)
    {
        _now += trial.Looks ? looking : sleeping;
        trial.Came(1, _now);
    }
}
