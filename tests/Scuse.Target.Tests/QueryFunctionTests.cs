using Scuse.Scsi;

namespace Scuse.Target.Tests;

/// <summary>QUERY TASK, QUERY TASK SET, QUERY ASYNCHRONOUS EVENT and I_T NEXUS RESET: SAM-5 clauses 7.6 to 7.10, RFC 7144.</summary>
public class QueryFunctionTests
{
    readonly FakeBackstore _disk = new();
    readonly ScsiTarget _target;
    readonly Initiator _initiator;
    readonly Initiator _other;

    public QueryFunctionTests()
    {
        _target = new ScsiTarget("iqn.2026-11.example:t", [new LogicalUnit(0, _disk), new LogicalUnit(5, new FakeBackstore())]);
        _initiator = new Initiator(_target);
        _other = new Initiator(_target, "iqn.2026-11.example:b,i,0x000000000002");
    }

    TaskManagementResponse Ask(TaskManagementFunction function, ScsiTask? referenced = null, Initiator? by = null)
    {
        Initiator initiator = by ?? _initiator;
        initiator.Answers.Clear();
        initiator.Manage(function, referenced);
        return Assert.Single(initiator.Answers);
    }

    [Fact]
    public void QUERY_TASK_succeeds_while_the_task_is_there_and_is_complete_when_it_has_ended()
    {
        ScsiTask read = _initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);

        Assert.Equal(TaskManagementResponse.FunctionSucceeded, Ask(TaskManagementFunction.QueryTask, read));
        _disk.Answer(read);

        Assert.Equal(TaskManagementResponse.FunctionComplete, Ask(TaskManagementFunction.QueryTask, read));
        Assert.Equal(TaskManagementResponse.FunctionComplete, Ask(TaskManagementFunction.QueryTask));
    }

    [Fact]
    public void QUERY_TASK_SET_asks_for_the_tasks_of_its_own_nexus_alone()
    {
        ScsiTask read = _initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);

        Assert.Equal(TaskManagementResponse.FunctionSucceeded, Ask(TaskManagementFunction.QueryTaskSet));
        Assert.Equal(TaskManagementResponse.FunctionComplete, Ask(TaskManagementFunction.QueryTaskSet, by: _other));
        _initiator.Manage(TaskManagementFunction.AbortTask, read);

        Assert.Equal(TaskManagementResponse.FunctionComplete, Ask(TaskManagementFunction.QueryTaskSet));
    }

    [Fact]
    public void QUERY_ASYNCHRONOUS_EVENT_tells_of_a_unit_attention_and_leaves_it_pending()
    {
        Assert.Equal(TaskManagementResponse.FunctionComplete, Ask(TaskManagementFunction.QueryAsynchronousEvent));
        _target.Establish(_disk.Unit, AdditionalSense.CapacityDataChanged);

        Assert.Equal(TaskManagementResponse.FunctionSucceeded, Ask(TaskManagementFunction.QueryAsynchronousEvent));
        Assert.Equal(0x16_2A_09, _initiator.Information);
        _target.Establish(_disk.Unit, AdditionalSense.ModeParametersChanged);
        Ask(TaskManagementFunction.QueryAsynchronousEvent);

        Assert.Equal(0x26_2A_09, _initiator.Information);
        Assert.Equal("06/2A/09", Initiator.OutcomeOf(_initiator.Send(Cdbs.TestUnitReady)));
    }

    [Theory]
    [InlineData(TaskManagementFunction.QueryTask)]
    [InlineData(TaskManagementFunction.QueryTaskSet)]
    [InlineData(TaskManagementFunction.QueryAsynchronousEvent)]
    [InlineData(TaskManagementFunction.ClearAca)]
    public void A_function_for_a_logical_unit_that_is_not_there_says_so(TaskManagementFunction function)
    {
        _initiator.Manage(function, lun: 3);

        Assert.Equal([TaskManagementResponse.LunDoesNotExist], _initiator.Answers);
    }

    [Fact]
    public void I_T_NEXUS_RESET_ends_what_the_nexus_has_in_every_logical_unit_and_is_answered_when_the_device_has_let_go()
    {
        ScsiTask write = _initiator.Send(Cdbs.Write10(0, 1), dataOut: 512);
        _target.DataArrived(write);
        ScsiTask elsewhere = _initiator.Send(Cdbs.Write10(0, 1), dataOut: 512, lun: 5);
        ScsiTask theirs = _other.Send(Cdbs.Read10(0, 1), dataIn: 512);

        _initiator.Manage(TaskManagementFunction.NexusReset);
        Assert.Equal([write, elsewhere], _initiator.Aborted);
        Assert.Empty(_initiator.Answers);
        _disk.Answer(write);

        Assert.Equal([TaskManagementResponse.FunctionComplete], _initiator.Answers);
        Assert.Empty(_other.Aborted);
        _disk.Answer(theirs);
        Assert.Equal("Good", _other.Outcome);
        Assert.Equal("06/29/07", Initiator.OutcomeOf(_initiator.Send(Cdbs.TestUnitReady)));
        Assert.Equal("06/29/07", Initiator.OutcomeOf(_initiator.Send(Cdbs.TestUnitReady, lun: 5)));
        Assert.Equal("Good", Initiator.OutcomeOf(_other.Send(Cdbs.TestUnitReady)));
    }

    [Fact]
    public void I_T_NEXUS_RESET_gives_up_what_RESERVE_holds()
    {
        _initiator.Send([0x16, 0, 0, 0, 0, 0]);
        Assert.Equal("ReservationConflict", Initiator.OutcomeOf(_other.Send(Cdbs.TestUnitReady)));

        _initiator.Manage(TaskManagementFunction.NexusReset);

        Assert.Equal("Good", Initiator.OutcomeOf(_other.Send(Cdbs.TestUnitReady)));
    }

    // ---- REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS, SPC-4 clause 6.36 ----

    byte[] Report(byte flags, byte allocation, int room = 64)
    {
        ScsiTask task = _initiator.Send([0xA3, 0x0D, flags, 0, 0, 0, 0, 0, 0, allocation, 0, 0], dataIn: room);
        Assert.Equal("Good", Initiator.OutcomeOf(task));
        byte[] data = new byte[task.DataInLength];
        task.DataIn.CopyTo(data);
        return data;
    }

    [Fact]
    public void The_functions_are_reported() => Assert.Equal([0xFC, 0x07, 0, 0], Report(0, 64));

    [Fact]
    public void With_REPD_the_timeouts_come_too_and_none_is_indicated() =>
        Assert.Equal([0xFC, 0x07, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Report(0x80, 64));

    [Fact]
    public void Less_room_than_the_report_cuts_it() => Assert.Equal([0xFC, 0x07, 0, 12, 0], Report(0x80, 5));

    [Fact]
    public void Less_room_than_four_bytes_is_refused() =>
        Assert.Equal("05/24/00", Initiator.OutcomeOf(_initiator.Send([0xA3, 0x0D, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0], dataIn: 3)));

    [Fact]
    public void The_target_answers_it_at_every_pass_level() =>
        Assert.Equal((Responder.TargetCore, Responder.TargetCore), (PassTable.For(PassLevel.Io, [0xA3, 0x0D]), PassTable.For(PassLevel.All, [0xA3, 0x0D])));
}
