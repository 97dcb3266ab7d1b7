extern alias Traced;
using Traced::Scuse.Ring;

namespace Scuse.Simulation.Schedules;

/// <summary>The real two ends of the ring; the handler ends at any access to shared memory.</summary>
public class Crashes_at_every_access(ITestOutputHelper output)
{
    const MailboxFlags All = MailboxFlags.OutOfOrder | MailboxFlags.ReadLength | MailboxFlags.TaskManagement;
    const MailboxFlags InOrder = MailboxFlags.ReadLength | MailboxFlags.TaskManagement;

    [Theory]
    [InlineData(264)] // two commands, wraps and pads all the time
    [InlineData(456)]
    [InlineData(1000)]
    public void Lose_no_command_and_repeat_none_that_was_answered(int ringBytes)
    {
        int points = 0;
        for (int seed = 0; seed < 12; seed++)
        {
            points += CrashSweep.Run(seed, ringBytes, seed % 4 == 3 ? InOrder : All);
        }

        output.WriteLine($"{points} crash points");
        Assert.True(points > 1000, $"only {points} crash points");
    }

    [Theory]
    [InlineData(nameof(CrashFault.TailBeforeAnswer))]
    [InlineData(nameof(CrashFault.RepeatAnswered))]
    [InlineData(nameof(CrashFault.ForgetTaken))]
    [InlineData(nameof(CrashFault.ReuseRegion))]
    public void Show_a_planted_fault(string fault)
    {
        BrokenPromiseException found = Assert.Throws<BrokenPromiseException>(() =>
        {
            for (int seed = 0; seed < 12; seed++)
            {
                CrashSweep.Run(seed, 456, All, Enum.Parse<CrashFault>(fault));
            }
        });

        output.WriteLine(found.Message);
    }
}
