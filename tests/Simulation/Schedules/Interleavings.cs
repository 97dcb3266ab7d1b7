namespace Scuse.Simulation.Schedules;

/// <summary>The real two ends of the ring against each other, in every order of accesses within the bounds.</summary>
public class Interleavings(ITestOutputHelper output)
{
    public static TheoryData<string> Scenarios => [.. Scenario.All.Select(static scenario => scenario.Name)];

    [Theory]
    [MemberData(nameof(Scenarios))]
    public void At_every_access_lose_no_wake_up_and_show_no_half_entry(string scenario) => RunClean(scenario, deviations: 2, onlyAtMailbox: false);

    [Theory]
    [MemberData(nameof(Scenarios))]
    public void At_mailbox_accesses_lose_no_wake_up_and_show_no_half_entry(string scenario) => RunClean(scenario, deviations: 3, onlyAtMailbox: true);

    void RunClean(string name, int deviations, bool onlyAtMailbox)
    {
        Explored explored = Exploration.Run(Scenario.All.Single(scenario => scenario.Name == name), deviations, onlyAtMailbox);

        output.WriteLine($"{explored.Runs} schedules of up to {explored.Points} points");
        Assert.True(explored.Failure is null, explored.Failure);
        Assert.True(explored.Runs > 1000, $"only {explored.Runs} schedules");
    }

    [Theory]
    [InlineData("one-by-one", nameof(DuelFault.HandlerSleepsAtOnce))]
    [InlineData("one-by-one", nameof(DuelFault.TargetSleepsAtOnce))]
    [InlineData("one-by-one", nameof(DuelFault.HandlerSilencesLate))]
    [InlineData("one-by-one", nameof(DuelFault.TargetLooksEarly))]
    [InlineData("one-by-one", nameof(DuelFault.NoFences))]
    [InlineData("full-ring", nameof(DuelFault.NoReleases))]
    [InlineData("full-ring", nameof(DuelFault.NoAcquires))]
    public void Show_a_planted_fault(string name, string fault)
    {
        Scenario scenario = Scenario.All.Single(scenario => scenario.Name == name);
        Explored explored = Exploration.Run(scenario, deviations: 3, onlyAtMailbox: true, Enum.Parse<DuelFault>(fault));

        Assert.NotNull(explored.Failure);
        output.WriteLine($"found by schedule {explored.Runs}: {explored.Failure[..Math.Min(400, explored.Failure.Length)]}");
    }

    [Fact]
    public void Are_the_same_when_replayed()
    {
        Deviation[] schedule = [Deviation.Parse("7s"), Deviation.Parse("21v")];

        Assert.Equal(Exploration.Replay(Scenario.All[0], onlyAtMailbox: false, schedule), Exploration.Replay(Scenario.All[0], onlyAtMailbox: false, schedule));
    }
}
