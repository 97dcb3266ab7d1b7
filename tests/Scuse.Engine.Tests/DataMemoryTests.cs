using Scuse.Engine.Backstores;
using Scuse.Linux;
using Scuse.Ring;
using Scuse.Target;
using Scuse.Target.Tests;

namespace Scuse.Engine.Tests;

public sealed class DataMemoryTests : IDisposable
{
    const int Block = RingAbi.PageBytes;
    const int Mailbox = RingAbi.PageBytes;

    readonly Queue<Action> _posted = new();
    readonly List<Lun> _luns = [];

    public void Dispose() => _luns.ForEach(static lun => lun.Dispose());

    DataMemory Memory(int limitBlocks) => new(limitBlocks * (long)Block, nowMs: 0, _posted.Enqueue);

    Lun Attach(DataMemory memory, int blocks = 1024)
    {
        var lun = new Lun(memory, blocks);
        _luns.Add(lun);
        return lun;
    }

    void RunPosted()
    {
        while (_posted.TryDequeue(out Action? action))
        {
            action();
        }
    }

    /// <summary>A region and the commands that want memory in it, in their order.</summary>
    sealed class Lun : IDisposable
    {
        const int RingBytes = 16 * Block - RingAbi.MailboxBytes;
        static readonly MailboxFlags s_flags = MailboxFlags.OutOfOrder | MailboxFlags.TaskManagement;

        readonly MemFd _file;
        readonly MappedRegion _mapping;
        readonly Queue<int> _wants = new();
        bool _isGone;

        public Lun(DataMemory memory, int blocks)
        {
            RingLayout layout = RingLayout.Create(RingBytes, blocks * (long)Block);
            _file = MemFd.Create("test", layout.RegionBytes);
            _mapping = MappedRegion.Map(_file.Handle, layout.RegionBytes);
            TargetRing.Format(_mapping.Address, layout, s_flags);
            Ring = new TargetRing(_mapping.Address, layout, s_flags);
            Region = new RegionMemory(layout, _file, _mapping, Ring);
            Region.Join(memory, keepsApart: false, Pump);
        }

        public RegionMemory Region { get; }

        public TargetRing Ring { get; }

        /// <summary>What the commands hold, oldest first.</summary>
        public List<(ExtentList Out, ExtentList In)> Live { get; } = [];

        public int Waiting => _wants.Count;

        public Action? Served { get; set; }

        public int HeldBlocks => (int)(Region.HeldBytes / Block);

        public long AllocatedBytes => FileRange.GetAllocatedBytes(_file.Handle);

        public HandlerRing Handler => new(_mapping.Address, _mapping.LengthBytes);

        /// <summary>A command comes that needs so many blocks; its data is written at once.</summary>
        public Lun Want(int blocks)
        {
            _wants.Enqueue(blocks);
            if (_wants.Count == 1)
            {
                Pump();
            }

            return this;
        }

        /// <summary>The first that waits is aborted.</summary>
        public void Withdraw() => _wants.Dequeue();

        public void End(int index)
        {
            (ExtentList dataOut, ExtentList dataIn) = Live[index];
            Live.RemoveAt(index);
            Region.Give(dataOut.AsSpan(), dataIn.AsSpan());
            Pump();
        }

        public void Pump()
        {
            while (_wants.TryPeek(out int blocks))
            {
                (ExtentList Out, ExtentList In) extents = (new ExtentList(), new ExtentList());
                if (!Region.TryTake(blocks / 2 * Block, (blocks - (blocks / 2)) * Block, extents.Out, extents.In, owner: 1))
                {
                    return;
                }

                _wants.Dequeue();
                Live.Add(extents);
                Touch(extents.Out);
                Touch(extents.In);
                Served?.Invoke();
            }
        }

        void Touch(ExtentList extents)
        {
            foreach (DataExtent extent in extents.AsSpan())
            {
                _mapping.Slice(extent.Offset, (int)extent.Length).Span.Fill(0xEE);
            }
        }

        public void Leave()
        {
            Region.Retire();
            Region.Leave();
            Dispose();
        }

        public void Dispose()
        {
            if (!_isGone)
            {
                _isGone = true;
                _mapping.Dispose();
                _file.Dispose();
            }
        }
    }

    // ---- growing ----

    [Fact]
    public void A_region_is_counted_with_all_that_it_has_touched_and_no_more()
    {
        DataMemory memory = Memory(100);
        Lun a = Attach(memory).Want(7).Want(3);
        Lun b = Attach(memory).Want(20);

        a.End(0);
        a.Want(5);

        Assert.Equal((10, 20), (a.HeldBlocks, b.HeldBlocks));
        Assert.Equal(30 * Block, memory.HeldBytes);
        Assert.False(memory.IsTight);
    }

    [Fact]
    public void What_lies_free_in_other_regions_is_given_back_before_anybody_waits()
    {
        DataMemory memory = Memory(1000);
        Lun a = Attach(memory).Want(400).Want(600);
        a.End(1);
        long before = a.AllocatedBytes;

        Lun b = Attach(memory).Want(10).Want(590);

        Assert.Equal((2, 0), (b.Live.Count, b.Waiting));
        Assert.Equal((400, 600), (a.HeldBlocks, b.HeldBlocks));
        Assert.Equal(before - (600 * Block), a.AllocatedBytes);
        Assert.Equal(memory.LimitBytes, memory.HeldBytes);
    }

    [Fact]
    public void For_a_single_block_a_good_piece_is_given_back_so_that_not_every_block_costs_a_call()
    {
        DataMemory memory = Memory(1000);
        Lun a = Attach(memory).Want(1).Want(999);
        a.End(1);

        Attach(memory).Want(1).Want(1);

        Assert.Equal(1000 - 256, a.HeldBlocks);
    }

    [Fact]
    public void A_region_with_nothing_in_use_gets_one_command_whatever_the_others_hold()
    {
        DataMemory memory = Memory(100);
        Lun greedy = Attach(memory).Want(100).Want(1);
        Lun waiting = Attach(memory).Want(1).Want(60);
        Assert.Equal((1, 1), (greedy.Waiting, waiting.Waiting));

        Lun modest = Attach(memory).Want(90).Want(1);

        Assert.Equal((1, 1), (modest.Live.Count, modest.Waiting));
        modest.End(0);
        Assert.Equal((1, 0), (modest.Live.Count, modest.Waiting));
    }

    [Fact]
    public void Who_waits_is_served_as_soon_as_somebody_gives_back()
    {
        DataMemory memory = Memory(100);
        Lun a = Attach(memory).Want(50).Want(50);
        Lun b = Attach(memory).Want(1).Want(30);
        Assert.Equal(1, b.Waiting);

        a.End(1);
        Assert.Equal(1, b.Waiting); // not in the middle of another's work
        RunPosted();

        Assert.Equal(0, b.Waiting);
        Assert.False(memory.SomebodyWaits);
    }

    [Fact]
    public void Those_who_wait_are_served_in_turn_one_growth_each()
    {
        DataMemory memory = Memory(4 * 10 + 64);
        Lun holder = Attach(memory).Want(10);
        for (int i = 0; i < 16; i++)
        {
            holder.Want(4);
        }

        Lun[] waiting = [.. Enumerable.Range(0, 3).Select(_ => Attach(memory).Want(10))];
        foreach (Lun lun in waiting)
        {
            lun.Want(4).Want(4);
        }

        List<string> seen = [];
        while (waiting.Any(static lun => lun.Waiting > 0))
        {
            holder.End(holder.Live.Count - 1);
            RunPosted();
            seen.Add(string.Join(' ', waiting.Select(static lun => 2 - lun.Waiting)));
        }

        Assert.Equal(["1 0 0", "1 1 0", "1 1 1", "2 1 1", "2 2 1", "2 2 2"], seen);
    }

    [Fact]
    public void Who_has_been_served_stands_at_the_end_of_the_line_again()
    {
        DataMemory memory = Memory(40 + (3 * 4) + 6);
        Lun holder = Attach(memory).Want(20).Want(20).Want(6);
        Lun[] waiting = [.. Enumerable.Range(0, 3).Select(_ => Attach(memory).Want(4))];
        foreach (Lun lun in waiting)
        {
            lun.Want(1).Want(1);
        }

        Assert.Equal([2, 2, 2], waiting.Select(static lun => lun.Waiting));
        holder.End(2); // room for all that is wanted, but each is asked in its turn
        List<int> order = [];
        foreach (Lun lun in waiting)
        {
            lun.Served = () => order.Add(Array.IndexOf(waiting, lun));
        }

        RunPosted();

        Assert.Equal([0, 1, 2, 0, 1, 2], order);
    }

    [Fact]
    public void A_greedy_region_has_to_let_others_have_their_fair_share()
    {
        DataMemory memory = Memory(64);
        Lun greedy = Attach(memory);
        for (int i = 0; i < 200; i++)
        {
            greedy.Want(1);
        }

        Lun late = Attach(memory);
        for (int i = 0; i < 200; i++)
        {
            late.Want(1);
        }

        Assert.Equal((64, 1), (greedy.Live.Count, late.Live.Count));
        for (int i = 0; i < 70; i++)
        {
            greedy.End(0);
            late.End(0);
            RunPosted();
        }

        Assert.InRange(late.Live.Count, 30, 34);
        Assert.InRange(greedy.Live.Count, 30, 34);
        Assert.InRange(memory.HeldBytes, 60 * Block, 65 * Block);
    }

    [Fact]
    public void The_greedy_get_more_again_when_nobody_else_wants_it()
    {
        DataMemory memory = Memory(64);
        Lun greedy = Attach(memory);
        for (int i = 0; i < 40; i++)
        {
            greedy.Want(1);
        }

        Lun other = Attach(memory).Want(1).Want(40);
        greedy.Want(2); // beyond half of all, while somebody waits
        Assert.Equal((1, 1), (greedy.Waiting, other.Waiting));

        other.Withdraw();
        memory.Tick(250);
        RunPosted();

        Assert.Equal(0, greedy.Waiting);
    }

    [Fact]
    public void A_command_that_was_withdrawn_keeps_nobody_else_waiting()
    {
        DataMemory memory = Memory(100);
        Lun a = Attach(memory).Want(50).Want(50);
        Lun aborted = Attach(memory).Want(1).Want(99);
        Lun b = Attach(memory).Want(1).Want(10);

        aborted.Withdraw();
        a.End(1);
        RunPosted();

        Assert.Equal(0, b.Waiting);
    }

    [Fact]
    public void A_region_that_goes_gives_its_share_back()
    {
        DataMemory memory = Memory(100);
        Lun dead = Attach(memory).Want(60).Want(40).Want(1);
        Lun b = Attach(memory).Want(1).Want(10);

        dead.Leave();
        RunPosted();

        Assert.Equal(0, b.Waiting);
        Assert.Equal(11 * Block, memory.HeldBytes);
    }

    [Fact]
    public void Commands_of_a_region_that_is_replaced_get_their_memory_anyway()
    {
        DataMemory memory = Memory(100);
        Attach(memory).Want(50).Want(50);
        Lun fresh = Attach(memory);

        Assert.True(fresh.Region.TryTakeAnyway(80 * Block, 0, new ExtentList(), new ExtentList(), owner: 1));
        Assert.True(fresh.Region.TryTakeAnyway(40 * Block, 0, new ExtentList(), new ExtentList(), owner: 1));
        Assert.Equal(220 * Block, memory.HeldBytes);
    }

    [Fact]
    public void Whatever_happens_the_limit_holds_but_for_one_command_each_and_nobody_waits_for_ever()
    {
        const int Largest = 40;
        int seed = Random.Shared.Next();
        var random = new Random(seed);
        for (int round = 0; round < 60; round++)
        {
            DataMemory memory = Memory(random.Next(50, 400));
            List<Lun> luns = [.. Enumerable.Range(0, random.Next(1, 8)).Select(_ => Attach(memory, blocks: random.Next(Largest, 200)))];
            for (int step = 0; step < 400; step++)
            {
                Lun lun = luns[random.Next(luns.Count)];
                switch (random.Next(10))
                {
                    case <= 4:
                        lun.Want(random.Next(1, Largest));
                        break;
                    case <= 7 when lun.Live.Count > 0:
                        lun.End(random.Next(lun.Live.Count));
                        break;
                    case 8 when lun.Waiting > 0 && random.Next(4) == 0:
                        lun.Withdraw();
                        lun.Pump();
                        break;
                    case 9:
                        if (random.Next(20) == 0)
                        {
                            luns.Remove(lun);
                            lun.Leave();
                            luns.Add(Attach(memory));
                        }

                        memory.Tick(round * 1_000_000 + step * 250);
                        RunPosted();
                        break;
                }

                Assert.True(luns.Sum(static lun => lun.Region.HeldBytes) == memory.HeldBytes, $"seed {seed}");
                Assert.True(memory.HeldBytes <= memory.LimitBytes + (luns.Count * Largest * Block), $"seed {seed}");
                Assert.True(luns.All(static lun => lun.Waiting == 0 || lun.Live.Count > 0), $"seed {seed}"); // with nothing in use one is served
            }

            for (int step = 0; luns.Any(static lun => lun.Waiting > 0); step++)
            {
                Assert.True(step < 10_000, $"seed {seed}: somebody waits for ever");
                luns.Where(static lun => lun.Live.Count > 0).MinBy(_ => random.Next())!.End(0);
                RunPosted();
            }

            luns.ForEach(static lun => lun.Leave());
            Assert.Equal(0, memory.HeldBytes);
        }
    }

    // ---- giving back what is not needed ----

    /// <summary>Ticks as a reactor would, for so many milliseconds.</summary>
    static void Pass(DataMemory memory, int milliseconds)
    {
        for (int i = 0; i < milliseconds; i += 250)
        {
            memory.Tick(memory.NowMs + 250);
        }
    }

    [Fact]
    public void A_region_that_is_idle_costs_the_mailboxs_page_and_nothing_more()
    {
        DataMemory memory = Memory(10_000);
        Lun lun = Attach(memory).Want(300);
        Assert.Equal(PostResult.Posted, lun.Ring.TryPost([0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0], [], [], out ushort id));
        lun.Ring.Publish();
        lun.Region.TouchRing();
        for (int i = 0; i < 500; i++)
        {
            HandlerRing handler = lun.Handler;
            handler.TryTake(new HandlerCommand());
            handler.Answer(id, 0, []);
            handler.Publish();
            Assert.True(lun.Ring.TryReap(out _));
            lun.Ring.TryPost([0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0], [], [], out id);
            lun.Ring.Publish();
        }

        lun.End(0);
        long used = lun.AllocatedBytes;
        Pass(memory, 4_000);
        Assert.Equal(used, lun.AllocatedBytes);
        Assert.Equal(300 * Block, memory.HeldBytes);

        Pass(memory, 8_000);
        Assert.Equal(0, memory.HeldBytes);
        Assert.True(lun.AllocatedBytes > Mailbox); // a command is still in the ring

        HandlerRing last = lun.Handler;
        last.TryTake(new HandlerCommand());
        last.Answer(id, 0, []);
        last.Publish();
        Assert.True(lun.Ring.TryReap(out _));
        Pass(memory, 500);
        Assert.Equal(Mailbox, lun.AllocatedBytes);
    }

    [Fact]
    public void A_ring_with_nothing_but_notices_in_it_is_idle()
    {
        DataMemory memory = Memory(100);
        Lun lun = Attach(memory);
        HandlerRing handler = lun.Handler;
        for (int i = 0; i < 200; i++)
        {
            lun.Ring.TryPostTaskManagement(RingAbi.TaskManagementAbortTask, [1]);
            lun.Ring.Publish();
        }

        lun.Region.TouchRing();
        while (handler.TryTake(new HandlerCommand()))
        {
        }

        handler.Publish();
        Pass(memory, 11_000);

        Assert.Equal(Mailbox, lun.AllocatedBytes);
        Assert.Null(lun.Ring.Violation);
    }

    [Fact]
    public void A_region_in_use_gives_back_the_tail_it_has_not_needed_lately()
    {
        DataMemory memory = Memory(10_000);
        Lun lun = Attach(memory).Want(100).Want(900);
        lun.End(1);
        for (int i = 0; i < 12; i++)
        {
            lun.Want(50).End(1);
            Pass(memory, 1_000);
        }

        Assert.Equal(150, lun.HeldBlocks);
        Assert.Equal(Mailbox + (150 * Block), lun.AllocatedBytes);
    }

    [Fact]
    public void A_short_tail_is_not_worth_a_call_while_the_rest_is_in_use()
    {
        DataMemory memory = Memory(10_000);
        Lun lun = Attach(memory).Want(100).Want(100);
        lun.End(1);

        Pass(memory, 20_000);

        Assert.Equal(200, lun.HeldBlocks);
    }

    [Fact]
    public void Giving_back_is_done_in_steps()
    {
        int stepBlocks = (int)(DataMemory.GiveBackPerTickBytes / Block);
        DataMemory memory = Memory(100_000);
        Lun[] luns = [.. Enumerable.Range(0, 3).Select(_ => Attach(memory, stepBlocks).Want(stepBlocks))];
        foreach (Lun lun in luns)
        {
            lun.End(0);
        }

        Pass(memory, 2 * DataMemory.WindowMs - 250);
        List<int> held = [];
        for (int i = 0; i < 5; i++)
        {
            Pass(memory, 250);
            held.Add(luns.Sum(static lun => lun.HeldBlocks) / stepBlocks);
        }

        Assert.Equal([2, 1, 0, 0, 0], held);
        Assert.All(luns, static lun => Assert.Equal(Mailbox, lun.AllocatedBytes));
    }

    [Fact]
    public void What_was_given_back_can_be_used_again()
    {
        DataMemory memory = Memory(100);
        Lun lun = Attach(memory).Want(50);
        lun.End(0);
        Pass(memory, 11_000);

        lun.Want(60);

        Assert.Equal((60, 60 * Block), (lun.HeldBlocks, memory.HeldBytes));
    }

    // ---- from the initiator's side ----

    [Fact]
    public void A_command_that_waits_for_another_logical_units_memory_goes_on_when_that_is_given_back()
    {
        using var a = new Disk(globalDataAreaBytes: Disk.DataAreaBytes);
        using var b = new Disk(beside: a);
        TestHandler handlerOfA = a.Attach(), handlerOfB = b.Attach();
        ScsiTask large = a.Initiator.Send(Cdbs.Read10(0, 128), dataIn: Disk.DataAreaBytes);
        b.Initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);
        b.Initiator.Send(Cdbs.Read10(1, 1), dataIn: 512);
        Assert.Single(handlerOfB.TakeAll()); // the first: nothing of B's was in use

        handlerOfA.Answer(handlerOfA.TakeOne());
        a.Reactor.RunPosted();
        Assert.Empty(handlerOfB.TakeAll()); // A's answer is still being sent
        large.Release();
        a.Reactor.RunPosted();

        Assert.Equal(1, handlerOfB.TakeOne().CdbMemory.Span[5]);
    }

    [Fact]
    public void The_memory_of_a_handler_that_died_is_free_when_its_last_answer_is_sent()
    {
        using var disk = new Disk();
        TestHandler dead = disk.Attach();
        ScsiTask task = disk.Initiator.Send(Cdbs.Read10(0, 128), dataIn: Disk.DataAreaBytes);
        dead.Answer(dead.TakeOne());
        disk.Backstore.Detach(dead.Link, "killed");
        Assert.Equal(Disk.DataAreaBytes, disk.Memory.HeldBytes);

        task.Release();

        Assert.Equal(0, disk.Memory.HeldBytes);
    }

    [Fact]
    public void Commands_of_a_handler_that_died_have_memory_with_the_next_although_there_is_none()
    {
        using var disk = new Disk(globalDataAreaBytes: Disk.DataAreaBytes);
        TestHandler dead = disk.Attach();
        disk.Initiator.Send(Cdbs.Read10(0, 64), dataIn: Disk.DataAreaBytes / 2);
        disk.Initiator.Send(Cdbs.Read10(1, 64), dataIn: Disk.DataAreaBytes / 2);
        Assert.Equal(2, dead.TakeAll().Count);

        disk.Backstore.Detach(dead.Link, "killed");
        TestHandler next = disk.Attach();

        Assert.Equal(2, next.TakeAll().Count);
        Assert.Equal(Disk.DataAreaBytes, disk.Memory.HeldBytes);
    }
}
