using Scuse.Target;
using Scuse.Target.Tests;

namespace Scuse.Engine.Tests;

/// <summary>Tasks that end without an answer, several at once: what the first one leaves must not set the others going.</summary>
public sealed class DroppedTaskTests : IDisposable
{
    readonly Disk _disk = new();

    public void Dispose() => _disk.Dispose();

    /// <summary>The first write has all the room there is; the second waits for it.</summary>
    ScsiTask[] SendTwoWritesOfTheWholeDataArea()
    {
        _disk.Attach();
        ScsiTask[] tasks =
        [
            _disk.Initiator.Send(Cdbs.Write10(0, 128), dataOut: Disk.DataAreaBytes),
            _disk.Initiator.Send(Cdbs.Write10(0, 128), dataOut: Disk.DataAreaBytes),
        ];
        Assert.Equal([tasks[0]], _disk.Initiator.Wanted);
        return tasks;
    }

    [Fact]
    public void A_lost_nexus_hears_nothing_of_the_room_that_its_own_tasks_leave()
    {
        SendTwoWritesOfTheWholeDataArea();

        _disk.Target.Detach(_disk.Initiator.Nexus);

        Assert.Single(_disk.Initiator.Wanted);
        Assert.Empty(_disk.Initiator.Completed);
        Assert.Equal(0, _disk.Backstore.Waiting);
        Assert.Equal(0, _disk.Target.LogicalUnits.Single().TaskCount);
    }

    [Theory]
    [InlineData(TaskManagementFunction.AbortTaskSet)]
    [InlineData(TaskManagementFunction.LogicalUnitReset)]
    public void Tasks_aborted_together_get_nothing_of_what_they_leave(TaskManagementFunction function)
    {
        ScsiTask[] tasks = SendTwoWritesOfTheWholeDataArea();

        _disk.Initiator.Manage(function);

        Assert.Single(_disk.Initiator.Wanted);
        Assert.Equal(tasks, _disk.Initiator.Aborted);
        Assert.Empty(_disk.Initiator.Completed);
        Assert.Equal([TaskManagementResponse.FunctionComplete], _disk.Initiator.Answers);
        Assert.Equal(0, _disk.Backstore.Waiting);
    }
}
