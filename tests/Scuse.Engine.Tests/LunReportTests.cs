using Scuse.Engine.Backstores;
using Scuse.Engine.Management;
using Scuse.Ring.Diagnostics;
using Scuse.Target;
using Scuse.Target.Tests;

namespace Scuse.Engine.Tests;

public sealed class LunReportTests : IDisposable
{
    const int LimitMs = 1000;

    readonly Disk _disk = new(commandTimeoutMs: LimitMs);

    public void Dispose() => _disk.Dispose();

    LunStatus Status => LunReport.Of("iqn.2026-11.example:t", _disk.Backstore);

    RingStatus RingAt(long nowMs) => LunReport.SnapshotRing("iqn.2026-11.example:t", _disk.Backstore, _disk.Backstore, nowMs)();

    RingStatus Ring => RingAt(_disk.Target.NowMs);

    [Fact]
    public void A_LUN_waits_for_its_first_handler_and_knows_no_size()
    {
        _disk.Initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);

        Assert.Equal((LunState.WaitingForHandler, 0L, 0, 1), (Status.State, Status.SizeBytes, Status.BlockSize, Status.Held));
        Assert.Null(Status.Handler);
        Assert.Null(Ring.Ring);
    }

    [Fact]
    public void A_LUN_with_a_handler_is_serving_and_tells_what_it_has()
    {
        TestHandler handler = _disk.Attach();
        _disk.Initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);
        handler.TakeOne();

        Assert.Equal((LunState.Serving, 1L << 20, 512, PassLevel.Io), (Status.State, Status.SizeBytes, Status.BlockSize, Status.Level));
        Assert.Equal((1, 0, 0, 0), (Status.Outstanding, Status.WaitingForRoom, Status.Held, Status.Kept));
        Assert.Equal(("test", 1), (Status.Handler!.Name, Status.Handler.Pid));
        Assert.Equal((Disk.DataAreaBytes, 1, 4096L), (Status.DataArea.LimitBytes, Status.DataArea.BlocksInUse, Status.DataArea.BytesInUse));
    }

    [Fact]
    public void Commands_that_find_no_room_wait_for_room_and_are_not_held()
    {
        _disk.Attach();
        _disk.Initiator.Send(Cdbs.Read10(0, 128), dataIn: 64 << 10);
        _disk.Initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);

        Assert.Equal((1, 1, 0), (Status.Outstanding, Status.WaitingForRoom, Status.Held));
        Assert.Equal([CommandState.WithHandler, CommandState.WaitingForMemory], Ring.Commands.Select(command => command.State));
    }

    [Fact]
    public void Commands_of_a_blocked_LUN_are_held()
    {
        _disk.Attach();
        _disk.Backstore.Block();
        _disk.Initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);

        Assert.Equal((LunState.Blocked, 0, 0, 1), (Status.State, Status.Outstanding, Status.WaitingForRoom, Status.Held));
        _disk.Backstore.Unblock();
        Assert.Equal((LunState.Serving, 1, 0), (Status.State, Status.Outstanding, Status.Held));
    }

    [Fact]
    public void A_LUN_that_drains_says_so()
    {
        _disk.Attach();
        _disk.Backstore.Drain(() => { });

        Assert.Equal(LunState.Draining, Status.State);
    }

    [Fact]
    public void Commands_of_a_dead_handler_are_held_for_the_next_and_known_to_have_been_posted()
    {
        TestHandler handler = _disk.Attach();
        _disk.Initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);
        handler.TakeOne();
        _disk.Backstore.Detach(handler.Link, "killed");

        Assert.Equal((LunState.WaitingForHandler, 1), (Status.State, Status.Held));
        CommandStatus command = Assert.Single(Ring.Commands);
        Assert.Equal((CommandState.WaitingForSlot, true, 0), (command.State, command.WasPosted, command.Id));
    }

    [Fact]
    public void The_ring_and_the_engine_s_record_speak_of_the_same_commands()
    {
        _disk.Attach();
        for (uint i = 0; i < 3; i++)
        {
            _disk.Initiator.Send(Cdbs.Read10(i, 1), dataIn: 512);
        }

        _disk.Backstore.Link!.Publish();

        RingStatus status = Ring;
        Assert.True(status.Ring!.IsSound);
        Assert.True(status.Ring.IsReapedKnown);
        Assert.Equal(status.Commands.Select(command => command.Id), status.Ring.Entries.Select(entry => (int)entry.Id));
        Assert.Equal(["READ(10) of 1 blocks at 0", "READ(10) of 1 blocks at 1", "READ(10) of 1 blocks at 2"], status.Commands.Select(command => command.Command));
        Assert.Equal(status.Commands.Select(command => command.Command), status.Ring.Entries.Select(entry => entry.Request!.Command));
        Assert.Equal([(0L, 0L), (1, 1), (2, 2)], status.Ring.Entries.Select(entry => (entry.Request!.Data[0].FirstBlock, entry.Request.Data[0].LastBlock)));
    }

    [Fact]
    public void Answers_that_are_not_reaped_are_told_apart_from_commands_that_are_not_answered()
    {
        TestHandler handler = _disk.Attach();
        _disk.Initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);
        _disk.Initiator.Send(Cdbs.Read10(1, 1), dataIn: 512);
        handler.AnswerWithoutReaping(handler.TakeAll()[1], status: 0x08);

        RingDump ring = Ring.Ring!;

        RingEntryDump answered = Assert.Single(ring.Answered);
        Assert.Equal((2, 0x08), (answered.Id, answered.Answer!.Status));
        Assert.Single(ring.Entries);
    }

    [Fact]
    public void Age_and_time_left_go_by_the_clock_and_the_time_limit()
    {
        _disk.Attach();
        long start = _disk.Target.NowMs;
        _disk.Initiator.Send(Cdbs.Write10(0, 1), dataOut: 512);
        _disk.Initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);

        CommandStatus[] commands = [.. RingAt(start + 400).Commands];

        Assert.Equal([CommandState.Collecting, CommandState.WithHandler], commands.Select(command => command.State));
        Assert.Equal((400L, (long?)null, (long?)null), (commands[0].AgeMs, commands[0].WithHandlerMs, commands[0].TimeLeftMs)); // its initiator is to blame
        Assert.Equal((400L, (long?)400, (long?)(LimitMs - 400)), (commands[1].AgeMs, commands[1].WithHandlerMs, commands[1].TimeLeftMs));
        Assert.Equal((512, 0, 0, 512), (commands[0].DataOutBytes, commands[0].DataInBytes, commands[1].DataOutBytes, commands[1].DataInBytes));
        Assert.NotEmpty(commands[1].Initiator);
        Assert.NotNull(commands[1].Tag);
    }

    [Fact]
    public void A_command_whose_time_is_up_stays_visible_as_overdue_while_its_handler_has_it()
    {
        TestHandler handler = _disk.Attach();
        _disk.Initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);
        handler.TakeOne();

        _disk.Target.Tick(_disk.Target.NowMs + LimitMs + 1000);

        CommandStatus command = Assert.Single(Ring.Commands, command => command.Id != 0);
        Assert.Equal((CommandState.Overdue, "", ""), (command.State, command.Command, command.Initiator));
        Assert.Null(command.TimeLeftMs);
    }

    [Fact]
    public void A_region_can_be_read_although_its_handler_is_gone_meanwhile()
    {
        TestHandler handler = _disk.Attach();
        _disk.Initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);
        handler.Data(handler.TakeOne()).Fill(0x5A);

        using SavedRegion region = LunReport.OpenRegion(_disk.Backstore)!;
        handler.Link.Region.Slice(RingLayoutOf(handler).DataOffset, 1).Span[0] = 0xA5;
        long dataOffset = RingLayoutOf(handler).DataOffset;
        _disk.Backstore.Detach(handler.Link, "killed");

        byte[] bytes = new byte[region.UsedBytes];
        Assert.Equal(bytes.Length, region.Read(bytes, 0));
        Assert.Equal((dataOffset, dataOffset + 4096), (region.RingBytes, region.UsedBytes));
        Assert.Equal((0xA5, 0x5A), (bytes[dataOffset], bytes[dataOffset + 1]));
        Assert.True(RingDump.Read(bytes, region.RegionBytes).IsSound);
        Assert.Null(LunReport.OpenRegion(_disk.Backstore));
    }

    [Fact]
    public void What_supervision_knows_is_added_to_what_the_reactor_knows()
    {
        _disk.Attach();
        DateTimeOffset since = DateTimeOffset.UnixEpoch;
        var state = new HandlerState
        {
            Lun = 0,
            Device = "test",
            IsSupervised = true,
            Restarts = 3,
            Replacements = 2,
            LastEnding = "killed",
            LastEndingAt = since,
            Handler = new HandlerConnection(1, "test", AttachPhase.Leaving, HandlerOrigin.Engine, since),
            Successor = new HandlerConnection(2, "next", AttachPhase.Waiting, HandlerOrigin.Engine, since),
        };

        LunStatus status = LunReport.With(Status, state);

        Assert.Equal((true, 3, 2, "killed", since), (status.IsSupervised, status.Restarts, status.Replacements, status.LastEnding, status.LastEndingAt));
        Assert.Equal((1, AttachPhase.Leaving, HandlerOrigin.Engine, since), (status.Handler!.Pid, status.Handler.Phase, status.Handler.Origin, status.Handler.Since));
        Assert.Equal((2, AttachPhase.Waiting), (status.Successor!.Pid, status.Successor.Phase));
    }

    [Fact]
    public void A_handler_that_took_over_between_the_two_questions_does_not_mix_with_the_one_before()
    {
        _disk.Attach();
        var state = new HandlerState { Lun = 0, Device = "test", Handler = new HandlerConnection(2, "next", AttachPhase.Attached, HandlerOrigin.Engine, DateTimeOffset.UnixEpoch) };

        Assert.Equal((1, (DateTimeOffset?)null), (LunReport.With(Status, state).Handler!.Pid, LunReport.With(Status, state).Handler!.Since));
    }

    [Fact]
    public void A_handler_that_still_opens_its_device_is_shown_although_the_LUN_waits_for_it()
    {
        var state = new HandlerState { Lun = 0, Device = "test", Handler = new HandlerConnection(2, "next", AttachPhase.Opening, HandlerOrigin.Engine, DateTimeOffset.UnixEpoch) };

        LunStatus status = LunReport.With(Status, state);

        Assert.Equal((LunState.WaitingForHandler, AttachPhase.Opening), (status.State, status.Handler!.Phase));
    }

    static Ring.RingLayout RingLayoutOf(TestHandler handler) => handler.Link.Ring.Layout;
}
