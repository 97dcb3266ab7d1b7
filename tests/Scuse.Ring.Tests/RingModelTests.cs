using System.Runtime.InteropServices;

namespace Scuse.Ring.Tests;

/// <summary>Both ends over one region, against what must hold whatever they do.</summary>
public sealed class RingModelTests
{
    sealed record Live(byte[] Cdb, DataExtent[] Out, DataExtent[] In);

    [Theory]
    [InlineData(264, RingFixture.AllFlags)]
    [InlineData(1000, RingFixture.AllFlags)]
    [InlineData(3968, RingFixture.AllFlags)]
    [InlineData(1000, MailboxFlags.TaskManagement)]
    [InlineData(65528, RingFixture.AllFlags)]
    public void Whatever_both_ends_do_every_command_is_answered_once_and_no_block_is_shared(int ringBytes, MailboxFlags flags)
    {
        var seed = Random.Shared.Next();
        try
        {
            Run(ringBytes, flags, new Random(seed), steps: 60_000);
        }
        catch (Exception e)
        {
            throw new InvalidOperationException($"seed {seed}", e);
        }
    }

    static void Run(int ringBytes, MailboxFlags flags, Random random, int steps)
    {
        using var ring = new RingFixture(ringBytes, flags, dataBytes: 96 * 4096, maxOutstanding: 40);
        var posted = new Dictionary<ushort, Live>();
        var taken = new List<ushort>();
        var answered = new Dictionary<ushort, (RingAnswer Answer, byte[] Sense)>();
        var kept = new Dictionary<ushort, Live>();
        var (outExtents, inExtents) = (new ExtentList(), new ExtentList());
        long postedCount = 0, reapedCount = 0;

        for (var step = 0; step < steps; step++)
        {
            switch (random.Next(8))
            {
                case 0 or 1:
                    Post();
                    break;
                case 2:
                    if (random.Next(4) == 0)
                        ring.Target.TryPostTaskManagement(RingAbi.TaskManagementAbortTask, posted.Keys.Take(random.Next(5)).ToArray());
                    break;
                case 3:
                    ring.Target.Publish();
                    break;
                case 4:
                    Take();
                    break;
                case 5:
                    Answer();
                    break;
                case 6:
                    ring.Handler.Publish();
                    break;
                default:
                    Reap();
                    break;
            }
            Assert.Null(ring.Target.Violation);
            Assert.Equal(posted.Count, ring.Target.Outstanding);
            Assert.Equal(kept.Count, ring.Target.Kept);
            Assert.InRange(ring.Target.CommandRingBytesInUse, 0, ringBytes - 1);
            Assert.Equal(posted.Values.Concat(kept.Values).Sum(BlocksOf), ring.Area.BlocksInUse);
        }

        // Then everything is let run out.
        for (var round = 0; posted.Count > 0; round++)
        {
            Assert.InRange(round, 0, 1000);
            ring.Target.Publish();
            Take();
            while (taken.Count > 0)
                Answer();
            ring.Handler.Publish();
            Reap();
        }
        ring.Target.Publish();
        Take();
        ring.Handler.Publish();
        Reap();
        Assert.Equal(postedCount, reapedCount);
        Assert.Equal(0, ring.Target.CommandRingBytesInUse);
        Assert.True(postedCount > steps / 100, $"only {postedCount} commands");

        void Post()
        {
            outExtents.Clear();
            inExtents.Clear();
            var outBytes = random.Next(3) == 0 ? random.Next(1, 20_000) : 0;
            var inBytes = random.Next(3) == 0 ? random.Next(1, 40_000) : 0;
            if (!ring.Area.TryAllocate(outBytes, outExtents))
                return;
            if (!ring.Area.TryAllocate(inBytes, inExtents))
            {
                ring.Area.Free(outExtents.AsSpan());
                return;
            }
            var cdb = new byte[random.Next(20) == 0 ? random.Next(9, 261) : random.Next(3) switch { 0 => 6, 1 => 10, _ => 16 }];
            random.NextBytes(cdb);
            cdb[0] = cdb.Length switch { 6 => 0x08, 10 => 0x28, 16 => 0x88, _ => 0x7F };
            if (cdb[0] == 0x7F)
                cdb[7] = (byte)(cdb.Length - 8);

            var live = new Live(cdb, outExtents.AsSpan().ToArray(), inExtents.AsSpan().ToArray());
            var result = ring.Target.TryPost(cdb, live.Out, live.In, out var id);
            if (result != PostResult.Posted)
            {
                Assert.Equal(result == PostResult.NoFreeId, result != PostResult.TooLarge && posted.Count + kept.Count == 40);
                ring.Area.Free(live.Out);
                ring.Area.Free(live.In);
                return;
            }
            Assert.InRange(id, 1, 40);
            Assert.False(kept.ContainsKey(id));
            posted.Add(id, live);
            Fill(live, id);
            postedCount++;
        }

        void Take()
        {
            while (ring.Handler.TryTake(ring.Command))
            {
                if (ring.Command.Kind == HandlerCommandKind.TaskManagement)
                    continue;
                var live = posted[ring.Command.Id];
                Assert.True(live.Cdb.AsSpan().SequenceEqual(ring.Command.Cdb));
                var bidirectional = live.Out.Length > 0 && live.In.Length > 0;
                Assert.True(ring.Command.Data.SequenceEqual(bidirectional ? live.Out : [.. live.Out, .. live.In]));
                Assert.True(ring.Command.BidiDataIn.SequenceEqual(bidirectional ? live.In : []));
                Assert.DoesNotContain(ring.Command.Id, taken);
                AssertFilled(live, ring.Command.Id);
                taken.Add(ring.Command.Id);
                if (random.Next(3) == 0)
                    break;
            }
        }

        void Answer()
        {
            if (taken.Count == 0)
                return;
            var index = random.Next(taken.Count);
            var id = taken[index];
            taken.RemoveAt(index);
            var sense = new byte[random.Next(2) == 0 ? 0 : random.Next(1, 100)];
            random.NextBytes(sense);
            var keep = random.Next(50) == 0 && flags.HasFlag(MailboxFlags.KeepBuffer);
            var answer = new RingAnswer(id, sense.Length > 0 ? RingFixture.CheckCondition : RingFixture.Busy,
                keep ? ResponseFlags.KeepBuffer : (ResponseFlags)random.Next(4), (uint)random.Next());
            ring.Handler.Answer(id, answer.Status, sense, answer.Flags, answer.ReadLength);
            Array.Resize(ref sense, RingAbi.SenseBytes);
            answered.Add(id, (answer, sense));
        }

        void Reap()
        {
            var sense = new byte[RingAbi.SenseBytes];
            while (ring.Target.TryReap(out var answer))
            {
                Assert.True(answered.Remove(answer.Id, out var expected), $"id {answer.Id} was not answered");
                Assert.Equal(expected.Answer, answer);
                ring.Target.CopySense(sense);
                Assert.True(sense.AsSpan().SequenceEqual(expected.Sense));
                Assert.True(posted.Remove(answer.Id, out var live));
                AssertFilled(live!, answer.Id);
                reapedCount++;
                if (answer.Flags.HasFlag(ResponseFlags.KeepBuffer))
                    kept.Add(answer.Id, live!);
                else
                    Free(live!);
            }
            if (kept.Count > 3)
            {
                var (id, live) = kept.First();
                kept.Remove(id);
                ring.Target.ReleaseKept(id);
                Free(live);
            }
        }

        void Free(Live live)
        {
            ring.Area.Free(live.Out);
            ring.Area.Free(live.In);
        }

        // Every byte of a command's data carries its id as long as it lives: two commands on one block would show.
        void Fill(Live live, ushort id)
        {
            foreach (var extent in live.Out.Concat(live.In))
                ring.At(extent.Offset, (int)extent.Length).Fill((byte)id);
        }

        void AssertFilled(Live live, ushort id)
        {
            foreach (var extent in live.Out.Concat(live.In))
                Assert.True(ring.At(extent.Offset, (int)extent.Length).IndexOfAnyExcept((byte)id) < 0, $"data of id {id} was overwritten");
        }
    }

    static int BlocksOf(Live live) => live.Out.Concat(live.In).Sum(e => (int)((e.Length + 4095) / 4096));

    [Theory]
    [InlineData(264)]
    [InlineData(4000)]
    [InlineData(262016)]
    public async Task Two_threads_that_sleep_by_the_waiting_flags_lose_no_command_and_no_wake_up(int ringBytes)
    {
        var commands = ringBytes == 262016 ? 1_000_000 : 200_000;
        using var ring = new RingFixture(ringBytes, dataBytes: 4096, maxOutstanding: 256);
        using var handlerDoorbell = new SemaphoreSlim(0);
        using var targetDoorbell = new SemaphoreSlim(0);
        var token = TestContext.Current.CancellationToken;

        var handler = Task.Factory.StartNew(() => Serve(ring, commands, handlerDoorbell, targetDoorbell), token, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        var target = Task.Factory.StartNew(() => Drive(ring, commands, handlerDoorbell, targetDoorbell), token, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        await Task.WhenAll(handler, target).WaitAsync(TimeSpan.FromSeconds(120), token);

        Assert.Null(ring.Target.Violation);
        Assert.Equal(0, ring.Target.Outstanding);
        Assert.Equal(0, ring.Target.CommandRingBytesInUse);
    }

    // A lost wake-up shows as a sleeper that nobody wakes within this time.
    static readonly TimeSpan LostWakeUp = TimeSpan.FromSeconds(20);

    static void Drive(RingFixture ring, int commands, SemaphoreSlim handlerDoorbell, SemaphoreSlim targetDoorbell)
    {
        var target = ring.Target;
        var numbers = new int[257];
        Span<byte> cdb = stackalloc byte[16];
        for (int posted = 0, reaped = 0; reaped < commands;)
        {
            while (posted < commands)
            {
                cdb.Clear();
                cdb[0] = 0x88;
                MemoryMarshal.Write(cdb[8..], posted);
                if (target.TryPost(cdb[..(posted % 3 == 0 ? 16 : 14)], [], [], out var id) != PostResult.Posted)
                    break;
                numbers[id] = posted++;
            }
            if (target.Publish() && target.HandlerWantsDoorbell(waitFlagsInForce: true))
                handlerDoorbell.Release();

            var before = reaped;
            while (target.TryReap(out var answer))
            {
                if ((int)answer.ReadLength != numbers[answer.Id])
                    throw new InvalidOperationException($"id {answer.Id} was command {numbers[answer.Id]} and got the answer to {answer.ReadLength}");
                reaped++;
            }
            if (target.Violation is not null)
                throw new InvalidOperationException(target.Violation);
            if (reaped != before || reaped == commands)
                continue;

            target.AnnounceSleep();
            if (!target.HasAnswers && !targetDoorbell.Wait(LostWakeUp))
                throw new TimeoutException($"the target slept through its wake-up: {posted} posted, {reaped} reaped");
            target.EndSleep();
        }
    }

    static void Serve(RingFixture ring, int commands, SemaphoreSlim handlerDoorbell, SemaphoreSlim targetDoorbell)
    {
        var handler = ring.Handler;
        var command = new HandlerCommand();
        (ushort Id, int Number) deferred = default;
        for (var answered = 0; answered < commands;)
        {
            var before = answered;
            while (handler.TryTake(command))
            {
                var number = MemoryMarshal.Read<int>(command.Cdb[8..]);
                // Every seventh waits until a later one has been answered, if there is a later one.
                if (deferred.Id == 0 && number % 7 == 0)
                {
                    deferred = (command.Id, number);
                    continue;
                }
                handler.Answer(command.Id, RingFixture.Good, [], ResponseFlags.ReadLength, (uint)number);
                answered++;
                AnswerDeferred();
            }
            AnswerDeferred();
            if (handler.Publish() && handler.TargetWantsDoorbell(waitFlagsInForce: true))
                targetDoorbell.Release();
            if (answered != before || answered == commands)
                continue;

            handler.AnnounceSleep();
            if (!handler.HasCommands && !handlerDoorbell.Wait(LostWakeUp))
                throw new TimeoutException($"the handler slept through its wake-up: {answered} answered");
            handler.EndSleep();

            void AnswerDeferred()
            {
                if (deferred.Id == 0)
                    return;
                handler.Answer(deferred.Id, RingFixture.Good, [], ResponseFlags.ReadLength, (uint)deferred.Number);
                deferred = default;
                answered++;
            }
        }
    }

    [Theory]
    [InlineData(RingFixture.AllFlags)]
    [InlineData(MailboxFlags.None)]
    public void After_warm_up_no_command_allocates_managed_memory(MailboxFlags flags)
    {
        using var ring = new RingFixture(16384, flags);
        var (extents, ids, sense) = (new ExtentList(), new ushort[20], new byte[96]);
        Cycles(1000);

        var before = GC.GetAllocatedBytesForCurrentThread();
        Cycles(20_000);
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        Assert.Equal(0, allocated);

        void Cycles(int count)
        {
            Span<byte> cdb = stackalloc byte[16];
            cdb[0] = 0x88;
            for (var cycle = 0; cycle < count; cycle++)
            {
                extents.Clear();
                var posted = 0;
                ring.Area.TryAllocate(20_000, extents);
                while (posted < ids.Length && ring.Target.TryPost(cdb, [], extents.AsSpan(), out _) == PostResult.Posted)
                    posted++;
                ring.Target.TryPostTaskManagement(RingAbi.TaskManagementAbortTask, ids);
                ring.Target.Publish();
                var taken = 0;
                while (ring.Handler.TryTake(ring.Command))
                {
                    if (ring.Command.Kind == HandlerCommandKind.Command)
                        ids[taken++] = ring.Command.Id;
                }
                while (taken > 0)
                    ring.Handler.Answer(ids[--taken], RingFixture.CheckCondition, sense);
                ring.Handler.Publish();
                while (ring.Target.TryReap(out _))
                    ring.Target.CopySense(sense);
                ring.Area.Free(extents.AsSpan());
            }
        }
    }
}
