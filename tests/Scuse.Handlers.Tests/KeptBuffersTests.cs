using Scuse.Ring;
using Scuse.Scsi;

namespace Scuse.Handlers.Tests;

public sealed class KeptBuffersTests
{
    const MailboxFlags Keeping = MailboxFlags.OutOfOrder | MailboxFlags.ReadLength | MailboxFlags.TaskManagement | MailboxFlags.KeepBuffer;

    static readonly byte[] s_write = [0x0A, 0, 0, 0, 1, 0];

    [Fact]
    public async Task A_handler_may_keep_what_was_written_and_give_it_back_later_from_any_thread()
    {
        (KeptBuffers Hold, DataBuffer Data) kept = (null!, default);
        RawDevice device = null!;
        using FakeTarget target = new FakeTarget(Keeping).Serve(_ => device = new RawDevice(command =>
        {
            kept = (new KeptBuffers(), command.DataOut);
            return new CommandResult { KeepBuffers = kept.Hold };
        }));
        byte[] data = [.. Enumerable.Repeat((byte)7, 512)];

        PostedCommand write = target.Post(s_write, data);
        Answer answer = target.Take(write);
        Assert.True(device.CanKeep);
        Assert.Equal((ScsiStatus.Good, ResponseFlags.KeepBuffer, 1), (answer.Status, answer.Flags, target.Kept));
        Assert.Equal(data, kept.Data.ToArray());
        await Task.Run(kept.Hold.Dispose);

        Assert.Equal([write.Id], target.FreeKept());
        Assert.Equal(0, target.Kept);
        kept.Hold.Dispose(); // once is enough, twice does no harm
        Assert.Equal(ResponseFlags.KeepBuffer, target.Execute(s_write, data).Flags);
        kept.Hold.Dispose();
        Assert.Single(target.FreeKept());
    }

    [Fact]
    public void Commands_go_on_while_others_are_kept_and_kept_buffers_stay_as_they_are()
    {
        List<(KeptBuffers Hold, DataBuffer Data, ReadOnlyMemory<byte> Cdb)> kept = [];
        using FakeTarget target = new FakeTarget(Keeping).Serve(_ => new RawDevice(command =>
        {
            if (kept.Count < 100)
            {
                kept.Add((new KeptBuffers(), command.DataOut, command.Cdb));
                return new CommandResult { KeepBuffers = kept[^1].Hold };
            }

            return CommandResult.Good;
        }));
        List<ushort> ids = [];
        for (int i = 0; i < 200; i++)
        {
            byte[] data = [.. Enumerable.Repeat((byte)i, 512)];
            PostedCommand write = target.Post([0x0A, 0, 0, (byte)i, 1, 0], data);
            if (i < 100)
            {
                ids.Add(write.Id);
            }

            Assert.Equal(i < 100, target.Take(write, free: i >= 100).Flags == ResponseFlags.KeepBuffer);
        }

        for (int i = 0; i < 100; i++)
        {
            Assert.True(kept[i].Data.ToArray().All(b => b == i));
            Assert.Equal(i, kept[i].Cdb.Span[3]);
            kept[i].Hold.Dispose();
        }

        List<ushort> freed = [];
        while (freed.Count < 100)
        {
            freed.AddRange(target.FreeKept());
        }

        Assert.Equal(ids, freed.Order());
        Assert.Equal(0, target.Kept);
    }

    [Fact]
    public void What_was_given_back_before_the_answer_is_not_kept()
    {
        using FakeTarget target = new FakeTarget(Keeping).Serve(_ => new RawDevice(_ =>
        {
            KeptBuffers hold = new();
            hold.Dispose();
            return new CommandResult { KeepBuffers = hold };
        }));

        Assert.Equal((ResponseFlags.None, 0), (target.Execute(s_write, new byte[512]).Flags, target.Kept));
    }

    [Fact]
    public void One_hold_for_two_commands_fails_the_second()
    {
        KeptBuffers hold = new();
        using FakeTarget target = new FakeTarget(Keeping).Serve(_ => new RawDevice(_ => new CommandResult { KeepBuffers = hold }));

        Assert.Equal(ScsiStatus.Good, target.Execute(s_write, new byte[512]).Status);
        Answer second = target.Execute(s_write, new byte[512]);

        Assert.Equal((ScsiStatus.CheckCondition, "04/44/00", ResponseFlags.None), (second.Status, second.SenseText, second.Flags));
        Assert.Contains("a KeptBuffers is for one command", target.HandlerErrors.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Where_the_target_cannot_do_without_the_buffers_the_answer_waits_for_them()
    {
        KeptBuffers hold = new();
        RawDevice device = null!;
        using FakeTarget target = new FakeTarget(MailboxFlags.OutOfOrder | MailboxFlags.ReadLength).Serve(_ => device = new RawDevice(command =>
            command.Cdb.Span[0] == 0x0A ? new CommandResult { KeepBuffers = hold } : CommandResult.Good));
        PostedCommand write = target.Post(s_write, new byte[512]);

        Assert.Equal(ScsiStatus.Good, target.Execute([0, 0, 0, 0, 0, 0]).Status);
        Assert.False(device.CanKeep);
        Assert.False(target.HasAnswerTo(write));
        hold.Dispose();

        Answer answer = target.Take(write);
        Assert.Equal((ScsiStatus.Good, ResponseFlags.None), (answer.Status, answer.Flags));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_is_kept_can_be_read_after_the_target_is_gone(bool canKeep)
    {
        (KeptBuffers Hold, DataBuffer Data) kept = (null!, default);
        byte[] seenAtClose = [];
        using FakeTarget target = new(canKeep ? Keeping : MailboxFlags.OutOfOrder);
        target.Serve(_ => new ClosingRawDevice(
            command =>
            {
                kept = (new KeptBuffers(), command.DataOut);
                return new CommandResult { KeepBuffers = kept.Hold };
            },
            () => seenAtClose = kept.Data.ToArray()));
        target.Post(s_write, [.. Enumerable.Repeat((byte)9, 512)]);
        SpinWait.SpinUntil(() => kept.Hold is not null, 5000);
        Thread.Sleep(20);

        target.Socket.Dispose();

        Assert.Equal(0, await target.ExitCode());
        Assert.Equal(512, seenAtClose.Count(b => b == 9));
        kept.Hold.Dispose();
    }

    sealed class ClosingRawDevice(Func<ScsiCommand, CommandResult> execute, Action close) : CommandHandler
    {
        public override ValueTask<CommandResult> ExecuteAsync(ScsiCommand command) => new(execute(command));

        public override ValueTask CloseAsync()
        {
            close();
            return ValueTask.CompletedTask;
        }
    }
}
