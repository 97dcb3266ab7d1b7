namespace Scuse.Simulation.Model;

/// <summary>Every state of the ring's and its recovery's model, in all orders of all that can happen.</summary>
public class The_model(ITestOutputHelper output)
{
    [Theory]
    [InlineData(Exhaustive.AllCommands, 0, 0)] // handlers are lost by time limits alone
    [InlineData(Exhaustive.TheWrites, 2, 1)]
    [InlineData(Exhaustive.OneWriteAndTheRead, 2, 1)]
    public void Keeps_every_promise_in_every_state(int commands, int losses, int engineCrashes)
    {
        Searched searched = Exhaustive.Run(losses, engineCrashes, commands);

        output.WriteLine($"{searched.States} states, {searched.Transitions} transitions, depth {searched.Depth}");
        Assert.True(searched.Failure is null, searched.Failure);
        Assert.True(searched.States > 50_000, $"only {searched.States} states");
    }

    public static TheoryData<string> Faults => [.. Enum.GetNames<ModelFault>().Where(static name => name != nameof(ModelFault.None))];

    [Theory]
    [MemberData(nameof(Faults))]
    public void Shows_a_planted_fault_by_the_shortest_way_to_it(string fault)
    {
        var planted = Enum.Parse<ModelFault>(fault);

        foreach (int commands in (int[])[Exhaustive.TheWrites, Exhaustive.OneWriteAndTheRead])
        {
            Searched searched = Exhaustive.Run(losses: 2, engineCrashes: 1, commands, planted);
            if (searched.Failure is not null)
            {
                output.WriteLine($"after {searched.States} states: {searched.Failure}");
                return;
            }
        }

        Assert.Fail("no state shows it");
    }
}
