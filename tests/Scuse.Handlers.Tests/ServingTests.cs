using Scuse.Ring;
using Scuse.Ring.Attach;
using Scuse.Scsi;

namespace Scuse.Handlers.Tests;

public sealed class ServingTests
{
    static readonly byte[] s_pattern = [.. Enumerable.Range(0, 4096).Select(i => (byte)(i * 7))];

    [Fact]
    public void What_is_written_is_read_back()
    {
        using FakeTarget target = new FakeTarget().Serve(device => new ArrayDisk(device));

        Assert.Equal(ScsiStatus.Good, target.Write(8, s_pattern).Status);
        Answer read = target.Read(8, 8);

        Assert.Equal(ScsiStatus.Good, read.Status);
        Assert.Equal(s_pattern, read.Data);
    }

    [Fact]
    public void A_new_size_is_told_to_the_target_and_holds_at_once()
    {
        GrowingDisk disk = null!;
        using FakeTarget target = new FakeTarget().Serve(device => disk = new GrowingDisk(device), new DeviceMessage { Device = "disk", SizeBytes = 1 << 20, Level = "all" });
        disk.GrowTo(2 << 20);

        Assert.Equal(2 << 20, target.ReceiveSize());
        Answer capacity = target.Execute([0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], dataInLength: 8);

        Assert.Equal([0, 0, 0x0F, 0xFF, 0, 0, 0x02, 0], capacity.Data);
        Assert.Throws<InvalidOperationException>(() => disk.GrowTo(513));
    }

    [Fact]
    public void It_works_with_a_doorbell_each_time_for_targets_without_waiting_flags()
    {
        using FakeTarget target = new FakeTarget().Serve(device => new ArrayDisk(device), waitFlags: false);

        target.Write(0, s_pattern);
        Thread.Sleep(20); // long enough to be asleep
        Assert.Equal(s_pattern, target.Read(0, 8).Data);
    }

    [Fact]
    public void A_sleeping_handler_is_woken()
    {
        using FakeTarget target = new FakeTarget().Serve(device => new ArrayDisk(device), args: ["--spin-us", "0"]);

        for (int i = 0; i < 20; i++)
        {
            Thread.Sleep(2);
            Assert.Equal(ScsiStatus.Good, target.Read(0, 1).Status);
        }
    }

    [Fact]
    public void Flush_unmap_and_zero_writes_reach_the_methods_that_are_overridden()
    {
        FullDisk disk = null!;
        using FakeTarget target = new FakeTarget().Serve(device => disk = new FullDisk(device));
        byte[] cdb = new byte[16];
        byte[] unmap = new byte[24];
        unmap[1] = 22; // UNMAP DATA LENGTH
        unmap[3] = 16; // UNMAP BLOCK DESCRIPTOR DATA LENGTH
        unmap[15] = 4; // LBA
        unmap[19] = 2; // blocks

        target.Write(0, s_pattern, fua: true);
        int length = Cdb.WriteSynchronizeCache16(cdb);
        Assert.Equal(ScsiStatus.Good, target.Execute(cdb.AsSpan(0, length)).Status);
        length = Cdb.WriteUnmap10(cdb, 24);
        Assert.Equal(ScsiStatus.Good, target.Execute(cdb.AsSpan(0, length), unmap).Status);
        length = Cdb.WriteWriteSame16(cdb, 1, 2, ndob: true);
        Assert.Equal(ScsiStatus.Good, target.Execute(cdb.AsSpan(0, length)).Status);

        Assert.Equal(["write 0+4096 ForceUnitAccess", "flush", "unmap 2048+1024", "zero 512+1024 keep"], disk.Calls);
    }

    [Fact]
    public void At_level_all_D_SENSE_gives_sense_data_in_descriptor_format_until_a_reset_SPC_4_7_5_8()
    {
        using FakeTarget target = new FakeTarget().Serve(device => new ArrayDisk(device), new() { Device = "disk", SizeBytes = 1 << 20, Serial = "SER42", Level = "all" });
        byte[] beyond = [0x28, 0, 0, 0, 0xFF, 0xFF, 0, 0, 1, 0];
        byte[] list = [0, 0, 0, 0, 0x0A, 0x0A, 0x04, 0x10, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0];

        Assert.Equal(0x70, target.Execute(beyond, dataInLength: 512).Sense[0]);
        Assert.Equal(ScsiStatus.Good, target.Execute([0x15, 0x10, 0, 0, 16, 0], list).Status);
        Assert.Equal([0x72, 0x05, 0x21, 0x00], target.Execute(beyond, dataInLength: 512).Sense[..4]);
        target.PostTaskManagement(5);

        Assert.Equal(0x70, target.Execute(beyond, dataInLength: 512).Sense[0]);
    }

    [Fact]
    public void At_level_all_control_commands_are_answered_from_the_devices_own_word()
    {
        using FakeTarget target = new FakeTarget().Serve(device => new ArrayDisk(device), new() { Device = "disk", SizeBytes = 1 << 20, Serial = "SER42", Level = "all" });

        Answer capacity = target.Execute([0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], dataInLength: 8);
        Answer inquiry = target.Execute([0x12, 1, 0x80, 0, 255, 0], dataInLength: 255);

        Assert.Equal([0, 0, 0x07, 0xFF, 0, 0, 2, 0], capacity.Data);
        Assert.True(inquiry.Flags.HasFlag(ResponseFlags.ReadLength));
        Assert.Equal("SER42"u8, inquiry.Data.AsSpan(4, (int)inquiry.ReadLength - 4).Trim((byte)' '));
    }

    [Fact]
    public void A_mailbox_without_READ_LEN_gets_none()
    {
        using FakeTarget target = new FakeTarget(MailboxFlags.OutOfOrder).Serve(device => new ArrayDisk(device));

        Assert.Equal(ResponseFlags.None, target.Execute([0x12, 0, 0, 0, 255, 0], dataInLength: 255).Flags);
    }

    [Theory]
    [InlineData(MailboxFlags.OutOfOrder, 255)] // all of the buffer goes to the initiator
    [InlineData(MailboxFlags.OutOfOrder | MailboxFlags.ReadLength, 0)] // and here only what is said
    public void What_is_not_filled_of_a_buffer_is_cleared_where_all_of_it_is_taken(MailboxFlags flags, int clearedTo)
    {
        using FakeTarget target = new FakeTarget(flags).Serve(device => new ArrayDisk(device));

        Answer inquiry = target.Execute([0x12, 0, 0, 0, 255, 0], dataInLength: 255);

        int length = inquiry.Data[4] + 5;
        Assert.True(length < 255);
        Assert.Equal(clearedTo == 255 ? (byte)0 : (byte)0xCC, inquiry.Data.AsSpan(length).ToArray().Distinct().Single());
    }

    [Fact]
    public void A_length_of_none_is_cleared_as_well_since_the_kernel_takes_it_for_all()
    {
        using FakeTarget target = new FakeTarget().Serve(_ => new RawDevice(_ => CommandResult.GoodWith(0)));

        Answer inquiry = target.Execute([0x12, 0, 0, 0, 36, 0], dataInLength: 36);

        Assert.Equal((ResponseFlags.ReadLength, 0u), (inquiry.Flags, inquiry.ReadLength));
        Assert.Equal(new byte[36], inquiry.Data);
    }

    [Fact]
    public void A_read_past_the_last_block_never_reaches_the_handler()
    {
        using FakeTarget target = new FakeTarget().Serve(device => new ScriptedDisk(device, () => throw new InvalidOperationException("reached")));

        Answer read = target.Read(2047, 2);

        Assert.Equal((ScsiStatus.CheckCondition, "05/21/00"), (read.Status, read.SenseText));
    }

    [Fact]
    public void Commands_that_wait_are_answered_in_the_order_in_which_they_end()
    {
        WaitingDisk disk = null!;
        using FakeTarget target = new FakeTarget().Serve(device => disk = new WaitingDisk(device));
        PostedCommand first = target.Post([0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0], dataInLength: 512);
        PostedCommand second = target.Post([0x28, 0, 0, 0, 0, 1, 0, 0, 1, 0], dataInLength: 512);

        disk.Gate(512).SetResult();
        Assert.Equal(ScsiStatus.Good, target.Take(second).Status);
        Assert.False(target.HasAnswer);
        disk.Gate(0).SetResult();

        Assert.Equal(ScsiStatus.Good, target.Take(first).Status);
    }

    [Fact]
    public void A_command_that_waits_holds_up_no_other()
    {
        WaitingDisk disk = null!;
        using FakeTarget target = new FakeTarget().Serve(device => disk = new WaitingDisk(device));
        PostedCommand waiting = target.Post([0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0], dataInLength: 512);

        Assert.Equal(ScsiStatus.Good, target.Write(8, s_pattern).Status);

        disk.Gate(0).SetResult();
        target.Take(waiting);
    }

    [Fact]
    public void An_aborted_command_sees_its_token_and_is_answered_all_the_same()
    {
        WaitingDisk disk = null!;
        using FakeTarget target = new FakeTarget().Serve(device => disk = new WaitingDisk(device));
        PostedCommand read = target.Post([0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0], dataInLength: 512);
        SpinWait.SpinUntil(() => disk.LastAborted.CanBeCanceled, 5000);

        target.PostTaskManagement(RingAbi.TaskManagementAbortTask, read.Id);
        Answer answer = target.Take(read);

        Assert.Equal((ScsiStatus.CheckCondition, "0B/00/00"), (answer.Status, answer.SenseText));
    }

    [Theory]
    [InlineData(RingAbi.TaskManagementAbortTask, TaskManagementFunction.AbortTask)]
    [InlineData(RingAbi.TaskManagementAbortTaskSet, TaskManagementFunction.AbortTaskSet)]
    [InlineData(RingAbi.TaskManagementClearTaskSet, TaskManagementFunction.ClearTaskSet)]
    [InlineData(RingAbi.TaskManagementLogicalUnitReset, TaskManagementFunction.LogicalUnitReset)]
    [InlineData(RingAbi.TaskManagementTargetColdReset, TaskManagementFunction.TargetColdReset)]
    [InlineData(RingAbi.TaskManagementPreemptAndAbort, TaskManagementFunction.PreemptAndAbort)]
    public void Task_management_is_told_with_its_function_and_the_commands_it_concerns(byte type, TaskManagementFunction function)
    {
        WaitingDisk disk = null!;
        using FakeTarget target = new FakeTarget().Serve(device => disk = new WaitingDisk(device));
        PostedCommand first = target.Post([0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0], dataInLength: 512);
        PostedCommand second = target.Post([0x28, 0, 0, 0, 0, 1, 0, 0, 1, 0], dataInLength: 512);

        target.PostTaskManagement(type, first.Id, second.Id, 999);
        Answer[] answers = [target.Take(first), target.Take(second)];

        Assert.All(answers, answer => Assert.Equal("0B/00/00", answer.SenseText));
        Assert.Equal([new TaskManagementNotice(function, 2)], disk.Notices);
    }

    [Fact]
    public async Task A_notice_that_is_worked_on_holds_up_no_command_but_the_closing()
    {
        NoticedDisk disk = null!;
        using FakeTarget target = new();
        target.Serve(device => disk = new NoticedDisk(device));

        target.PostTaskManagement(RingAbi.TaskManagementLogicalUnitReset);
        Assert.Equal(ScsiStatus.Good, target.Read(0, 1).Status);
        target.RemoveDevice();
        await Task.Delay(50);
        Assert.False(disk.Closed.Task.IsCompleted);
        disk.Gate.SetException(new IOException("no reset here"));

        Assert.Equal(0, await target.ExitCode());
        Assert.True(disk.Closed.Task.IsCompleted);
        Assert.StartsWith("task management failed: IOException: no reset here", target.HandlerErrors.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_raw_handler_hears_of_task_management_too()
    {
        RawDevice device = null!;
        using FakeTarget target = new FakeTarget().Serve(_ => device = new RawDevice(_ => CommandResult.Good));

        target.PostTaskManagement(RingAbi.TaskManagementTargetWarmReset);
        target.Execute([0, 0, 0, 0, 0, 0]);

        Assert.Equal([new TaskManagementNotice(TaskManagementFunction.TargetWarmReset, 0)], device.Notices);
    }

    [Fact]
    public void A_command_after_an_aborted_one_has_a_token_that_is_not_set()
    {
        WaitingDisk disk = null!;
        using FakeTarget target = new FakeTarget().Serve(device => disk = new WaitingDisk(device));
        PostedCommand read = target.Post([0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0], dataInLength: 512);
        SpinWait.SpinUntil(() => disk.LastAborted.CanBeCanceled, 5000);
        target.PostTaskManagement(RingAbi.TaskManagementAbortTask, read.Id);
        target.Take(read);

        disk.Gate(0).SetResult();

        Assert.Equal(ScsiStatus.Good, target.Read(0, 1).Status);
    }

    [Theory]
    [InlineData("read", "03/11/00")]
    [InlineData("space", "07/27/07")]
    [InlineData("plain", "04/44/00")]
    public void Exceptions_become_sense_data_whether_thrown_at_once_or_later(string kind, string sense)
    {
        Exception failure = kind switch
        {
            "read" => ScsiException.MediumErrorRead(5),
            "space" => ScsiException.SpaceExhausted(),
            _ => new IOException("cable\npulled"),
        };
        using FakeTarget target = new FakeTarget().Serve(device => new ScriptedDisk(device, () => throw failure));
        using FakeTarget later = new FakeTarget().Serve(device => new ScriptedDisk(device, async () =>
        {
            await Task.Yield();
            throw failure;
        }));

        Assert.Equal((ScsiStatus.CheckCondition, sense), (target.Read(0, 1).Status, target.Read(0, 1).SenseText));
        Assert.Equal((ScsiStatus.CheckCondition, sense), (later.Read(0, 1).Status, later.Read(0, 1).SenseText));
    }

    [Fact]
    public void A_status_without_sense_data_is_passed_on()
    {
        using FakeTarget target = new FakeTarget().Serve(device => new ScriptedDisk(device, () => throw ScsiException.Busy()));

        Assert.Equal(ScsiStatus.Busy, target.Read(0, 1).Status);
    }

    [Fact]
    public void The_bad_block_is_in_the_information_field()
    {
        using FakeTarget target = new FakeTarget().Serve(device => new ScriptedDisk(device, () => throw ScsiException.MediumErrorRead(0x1234)));

        Assert.Equal([0x00, 0x00, 0x12, 0x34], target.Read(0, 1).Sense[3..7]);
    }

    [Fact]
    public void Unexpected_exceptions_are_logged_once_for_each_kind()
    {
        using FakeTarget target = new FakeTarget().Serve(device => new ScriptedDisk(device, () => throw new IOException("cable\npulled")));

        target.Read(0, 1);
        target.Read(0, 1);

        Assert.Equal("read failed: IOException: cable pulled (reported as HARDWARE ERROR; told once)\n", target.HandlerErrors.ToString());
    }

    [Fact]
    public async Task A_ring_that_makes_no_sense_ends_the_handler_with_a_line()
    {
        using FakeTarget target = new();
        target.Serve(device => new ArrayDisk(device));

        target.BreakRing();

        Assert.Equal(1, await target.ExitCode());
        Assert.StartsWith("the target broke the ring: ", target.HandlerErrors.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_million_reads_that_complete_at_once_allocate_nothing()
    {
        ArrayDisk disk = null!;
        using FakeTarget target = new FakeTarget().Serve(device => disk = new AllocationCountingDisk(device));
        target.ReadMany(50_000); // slots, tiers of the compiler

        long before = ((AllocationCountingDisk)disk).AllocatedByServingThread();
        int good = target.ReadMany(1_000_000);
        target.Read(0, 1);
        long after = ((AllocationCountingDisk)disk).AllocatedByServingThread();

        // The runtime allocates a few bytes of its own now and then; an allocation per command would be 24 MB.
        Assert.Equal(1_000_000, good);
        Assert.InRange(after - before, 0, 1000);
    }

    [Theory]
    [InlineData("0")]
    [InlineData("50")]
    public void Of_many_reads_that_complete_on_other_threads_none_is_forgotten_by_a_sleeping_handler(string spinMicroseconds)
    {
        using FakeTarget target = new FakeTarget().Serve(
            device => new ScriptedDisk(device, async () => await Task.Yield()), args: ["--spin-us", spinMicroseconds]);

        Assert.Equal(50_000, target.ReadMany(50_000));
    }

    [Fact]
    public void A_raw_handler_gets_the_CDB_and_both_ways_of_data()
    {
        List<string> seen = [];
        using FakeTarget target = new FakeTarget().Serve(_ => new RawDevice(command =>
        {
            seen.Add($"{Convert.ToHexString(command.Cdb.Span)} {command.Direction} out {command.DataOut.Length} in {command.DataIn.Length}");
            command.DataIn.Slice(0, Math.Min(4, command.DataIn.Length)).Clear();
            return command.Direction == TransferDirection.In ? CommandResult.GoodWith(4) : CommandResult.Good;
        }));

        Answer inquiry = target.Execute([0x12, 0, 0, 0, 36, 0], dataInLength: 36);
        target.Execute([0x15, 0x10, 0, 0, 8, 0], new byte[8]);
        target.Execute([0xC1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], new byte[8]);

        Assert.Equal("all", target.Ready!.Level);
        Assert.Equal((ResponseFlags.ReadLength, 4u), (inquiry.Flags, inquiry.ReadLength));
        Assert.Equal("120000002400 In out 0 in 36", seen[0]);
        Assert.Equal("151000000800 Out out 8 in 0", seen[1]);
        Assert.EndsWith("Unknown out 8 in 8", seen[2], StringComparison.Ordinal);
    }

    [Fact]
    public void A_raw_handler_can_return_data_with_sense_data_of_its_own()
    {
        byte[] sense = [0xF0, 0, 0x20, 0, 0, 0, 10, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        using FakeTarget target = new FakeTarget().Serve(_ => new RawDevice(_ =>
            new CommandResult { Status = ScsiStatus.CheckCondition, SenseBytes = sense, DataInLength = 100 }));

        Answer read = target.Execute([0x08, 0, 0, 0, 1, 0], dataInLength: 512);

        Assert.Equal((ScsiStatus.CheckCondition, ResponseFlags.ReadLength, 100u), (read.Status, read.Flags, read.ReadLength));
        Assert.Equal(sense, read.Sense[..18]);
    }

    [Fact]
    public void A_raw_handler_can_say_that_it_does_not_know_the_operation_code()
    {
        using FakeTarget target = new FakeTarget().Serve(_ => new RawDevice(_ => CommandResult.UnknownOperation));

        Assert.Equal(ResponseFlags.UnknownOp, target.Execute([0xC0, 0, 0, 0, 0, 0]).Flags);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Random_reads_and_writes_agree_with_a_plain_array(int seed)
    {
        const int blocks = 512;
        Random random = new(seed);
        byte[] model = new byte[blocks * 512];
        using FakeTarget target = new FakeTarget().Serve(
            device => new Memory.MemoryHandler(device.SizeBytes, 512), new() { Device = "disk", SizeBytes = blocks * 512 }, waitFlags: seed == 1);

        for (int i = 0; i < 2000; i++)
        {
            int lba = random.Next(blocks - 16), count = random.Next(1, 17);
            if (random.Next(2) == 0)
            {
                byte[] data = new byte[count * 512];
                random.NextBytes(data);
                data.CopyTo(model, lba * 512);
                Assert.Equal(ScsiStatus.Good, target.Write(lba, data).Status);
            }
            else
            {
                Assert.True(model.AsSpan(lba * 512, count * 512).SequenceEqual(target.Read(lba, count).Data), $"seed {seed}, step {i}, LBA {lba}, {count} blocks");
            }
        }
    }
}

/// <summary>Tells what the serving thread has allocated so far, as of its last read.</summary>
sealed class AllocationCountingDisk(DeviceInfo device) : ArrayDisk(device)
{
    long _allocated;

    public long AllocatedByServingThread() => Volatile.Read(ref _allocated);

    public override ValueTask ReadAsync(long offset, DataBuffer into, CancellationToken aborted)
    {
        Volatile.Write(ref _allocated, GC.GetAllocatedBytesForCurrentThread());
        return base.ReadAsync(offset, into, aborted);
    }
}
