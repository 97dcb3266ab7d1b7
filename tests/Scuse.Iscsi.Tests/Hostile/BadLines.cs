using Scuse.Iscsi.Tests.Rig;

namespace Scuse.Iscsi.Tests.Hostile;

/// <summary>Every command is completed, once and with the right data, over lines that lose, damage and break.</summary>
public class BadLines
{
    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(2, 1, 3)]
    [InlineData(3, 1, 1)]
    public void At_level_1_what_is_lost_or_damaged_is_sent_again(int seed, int level, int connections)
    {
        RecoveringInitiator initiator = Run(seed, level, connections, new(Loses: 0.05, Damages: 0.1, Breaks: 0));
        Assert.True(initiator is { Lost: > 100, Damaged: > 100, Snacks: > 100, Broken: 0 }, "the weather was too fine to tell anything");
    }

    [Theory]
    [InlineData(11, 1)]
    [InlineData(12, 2)]
    [InlineData(13, 3)]
    [InlineData(14, 4)]
    public void At_level_2_tasks_outlive_their_connections_too(int seed, int connections)
    {
        RecoveringInitiator initiator = Run(seed, 2, connections, new(Loses: 0.03, Damages: 0.05, Breaks: 0.05));
        Assert.True(initiator is { Broken: > 30, Claims: > 30, Lost: > 30, Damaged: > 30 }, "the weather was too fine to tell anything");
    }

    static RecoveringInitiator Run(int seed, int level, int connections, RecoveringInitiator.Weather weather)
    {
        var node = new Node(new IscsiOptions { ErrorRecoveryLevel = 2, LoginsPerSecond = 0 }, segmentBytes: 512);
        var initiator = new RecoveringInitiator(node, seed, level, connections, weather);
        initiator.Run(400);
        Assert.Equal((1, 0), (node.Server.Sessions.Count, initiator.Session.OutstandingTasks));
        return initiator;
    }
}
