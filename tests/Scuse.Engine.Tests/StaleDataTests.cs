using Scuse.Engine.Backstores;
using Scuse.Ring;
using Scuse.Target;
using Scuse.Target.Tests;

namespace Scuse.Engine.Tests;

/// <summary>What a handler that answers without filling its Data-In can show to whom.</summary>
public sealed class StaleDataTests : IDisposable
{
    const byte Secret = 0x5E;
    const int Block = RingAbi.PageBytes;

    readonly Disk _disk = new();

    public void Dispose() => _disk.Dispose();

    static Initiator Another(Disk disk) => new(disk.Target, "iqn.2026-11.example:b,i,0x000000000002");

    /// <summary>A read whose bytes the handler fills, all the way until its blocks are free again.</summary>
    static void ReadSecret(Disk disk, TestHandler handler, Initiator initiator, int bytes)
    {
        ScsiTask task = initiator.Send(Cdbs.Read10(0, (ushort)(bytes / Disk.BlockSize)), dataIn: bytes);
        HandlerCommand command = handler.TakeOne();
        handler.Data(command).Fill(Secret);
        handler.Answer(command);
        Assert.Equal(Secret, task.DataIn.ToArray()[0]);
        task.Release();
        initiator.Completed.Clear();
    }

    static void WriteSecret(Disk disk, TestHandler handler, Initiator initiator, int bytes)
    {
        ScsiTask task = initiator.Send(Cdbs.Write10(0, (ushort)(bytes / Disk.BlockSize)), dataOut: bytes);
        task.DataOut.CopyFrom(Enumerable.Repeat(Secret, bytes).ToArray());
        disk.Target.DataArrived(task);
        handler.Answer(handler.TakeOne());
        task.Release();
        initiator.Completed.Clear();
    }

    /// <summary>What a read brings when the handler answers and fills nothing.</summary>
    static byte[] ReadUnfilled(TestHandler handler, Initiator initiator, int bytes)
    {
        ScsiTask task = initiator.Send(Cdbs.Read10(0, (ushort)(bytes / Disk.BlockSize)), dataIn: bytes);
        handler.Answer(handler.TakeOne());
        byte[] seen = task.DataIn.ToArray();
        task.Release();
        initiator.Completed.Clear();
        return seen;
    }

    [Fact]
    public void What_one_initiator_read_is_not_shown_to_another()
    {
        TestHandler handler = _disk.Attach();
        ReadSecret(_disk, handler, _disk.Initiator, 3 * Block);

        byte[] seen = ReadUnfilled(handler, Another(_disk), 4 * Block);

        Assert.All(seen, static value => Assert.Equal(0, value));
    }

    [Fact]
    public void What_one_initiator_wrote_is_not_shown_to_another()
    {
        TestHandler handler = _disk.Attach();
        WriteSecret(_disk, handler, _disk.Initiator, 3 * Block);

        Assert.All(ReadUnfilled(handler, Another(_disk), 2 * Block), static value => Assert.Equal(0, value));
    }

    [Fact]
    public void What_lies_behind_a_short_write_is_still_anothers()
    {
        TestHandler handler = _disk.Attach();
        Initiator other = Another(_disk);
        WriteSecret(_disk, handler, other, Block);
        ScsiTask write = _disk.Initiator.Send(Cdbs.Write10(0, 1), dataOut: Disk.BlockSize); // into the same block
        _disk.Target.DataArrived(write);
        handler.Answer(handler.TakeOne());
        write.Release();

        Assert.All(ReadUnfilled(handler, _disk.Initiator, Block), static value => Assert.Equal(0, value));
    }

    [Fact]
    public void What_the_engine_itself_compared_is_shown_to_nobody()
    {
        TestHandler handler = _disk.Attach();
        ScsiTask verify = _disk.Initiator.Send(Cdbs.Verify10(0, 8), dataOut: Block);
        verify.DataOut.CopyFrom(Enumerable.Repeat(Secret, Block).ToArray());
        _disk.Target.DataArrived(verify);
        handler.Answer(handler.TakeOne()); // a flush
        HandlerCommand read = handler.TakeOne();
        handler.Data(read).Fill(Secret);
        handler.Answer(read);
        Assert.Equal("Good", _disk.Initiator.Outcome);
        verify.Release();

        Assert.All(ReadUnfilled(handler, _disk.Initiator, Block), static value => Assert.Equal(0, value));
    }

    [Fact]
    public void The_engines_own_reading_does_not_see_what_an_initiator_read()
    {
        TestHandler handler = _disk.Attach();
        ReadSecret(_disk, handler, _disk.Initiator, Block);
        ScsiTask verify = _disk.Initiator.Send(Cdbs.Verify10(0, 8), dataOut: Block);
        _disk.Target.DataArrived(verify);
        handler.Answer(handler.TakeOne()); // a flush

        HandlerCommand read = handler.TakeOne();

        Assert.True(handler.Data(read).IndexOfAnyExcept((byte)0) < 0);
    }

    [Fact]
    public void Nothing_is_cleared_for_the_one_whose_bytes_they_are()
    {
        TestHandler handler = _disk.Attach();
        ReadSecret(_disk, handler, _disk.Initiator, 2 * Block);

        Assert.All(ReadUnfilled(handler, _disk.Initiator, 2 * Block), static value => Assert.Equal(Secret, value));
    }

    [Fact]
    public void An_initiator_that_logs_in_again_is_another()
    {
        TestHandler handler = _disk.Attach();
        ReadSecret(_disk, handler, _disk.Initiator, Block);
        _disk.Target.Detach(_disk.Initiator.Nexus);
        var again = new Initiator(_disk.Target);

        Assert.All(ReadUnfilled(handler, again, Block), static value => Assert.Equal(0, value));
    }

    [Fact]
    public void A_logical_unit_that_allows_it_shows_what_there_is()
    {
        using var disk = new Disk(allowStaleDataIn: true);
        TestHandler handler = disk.Attach();
        ReadSecret(disk, handler, disk.Initiator, Block);

        Assert.All(ReadUnfilled(handler, Another(disk), Block), static value => Assert.Equal(Secret, value));
    }

    [Fact]
    public void Whoever_uses_blocks_in_whatever_order_sees_only_zeros_and_its_own_bytes()
    {
        int seed = Random.Shared.Next();
        var random = new Random(seed);
        TestHandler handler = _disk.Attach();
        Initiator[] initiators = [_disk.Initiator, Another(_disk), new(_disk.Target, "iqn.2026-11.example:c,i,0x000000000003")];
        List<(int Who, ScsiTask Task, HandlerCommand Command)> live = [];
        for (int step = 0; step < 5_000; step++)
        {
            if (random.Next(2) == 0 && _disk.Backstore.Waiting == 0)
            {
                int who = random.Next(initiators.Length);
                ushort blocks = (ushort)random.Next(1, 30);
                bool isWrite = random.Next(2) == 0;
                ScsiTask task = isWrite
                    ? initiators[who].Send(Cdbs.Write10(0, blocks), dataOut: blocks * Disk.BlockSize)
                    : initiators[who].Send(Cdbs.Read10(0, blocks), dataIn: blocks * Disk.BlockSize);
                if (_disk.Backstore.Waiting > 0)
                {
                    initiators[who].Manage(TaskManagementFunction.AbortTask, task);
                    continue;
                }

                if (isWrite)
                {
                    task.DataOut.CopyFrom(Enumerable.Repeat((byte)(who + 1), random.Next(task.DataOut.Length + 1)).ToArray()); // perhaps not all of it
                    _disk.Target.DataArrived(task);
                }

                live.Add((who, task, handler.TakeOne()));
            }
            else if (live.Count > 0)
            {
                var (who, task, command) = live[random.Next(live.Count)];
                live.RemoveAll(one => one.Task == task);
                byte own = (byte)(who + 1);
                if (task.DataIn.Length > 0)
                {
                    Assert.True(task.DataIn.ToArray().All(value => value == 0 || value == own), $"seed {seed}, step {step}");
                    handler.Data(command)[..random.Next(handler.Data(command).Length)].Fill(own);
                }

                handler.Answer(command);
                task.Release();
            }
        }
    }

    [Fact]
    public void Ids_of_nexuses_never_come_back()
    {
        uint[] ids = [.. Enumerable.Range(0, 3).Select(_ =>
        {
            Nexus nexus = _disk.Target.Attach("iqn.2026-11.example:x,i,0x000000000009");
            _disk.Target.Detach(nexus);
            return nexus.Id;
        })];

        Assert.Equal(ids.Distinct().Order(), ids);
        Assert.DoesNotContain(BlockOwners.Clean, ids);
    }

    [Fact]
    public void Blocks_are_clean_once_they_were_given_back()
    {
        var owners = new BlockOwners();
        owners.TakeForOut(0, 8, owner: 1);
        owners.Forget(4, 4);
        int at = 0;

        Assert.True(owners.TryTakeForIn(0, 8, owner: 2, ref at, out int dirty));
        Assert.Equal((4, 4), (at, dirty));
        Assert.False(owners.TryTakeForIn(0, 8, owner: 2, ref at, out _));
    }

    [Fact]
    public void Every_stretch_that_is_foreign_is_found_and_nothing_else()
    {
        var owners = new BlockOwners();
        owners.TakeForOut(1, 2, owner: 1);
        owners.TakeForOut(3, 1, owner: 2);
        owners.TakeForOut(5, 1, owner: BlockOwners.Foreign);
        owners.TakeForOut(6, 1, owner: 1);
        List<(int, int)> found = [];
        for (int at = 0; owners.TryTakeForIn(0, 8, owner: 2, ref at, out int dirty);)
        {
            found.Add((at - dirty, dirty));
        }

        Assert.Equal([(1, 2), (5, 2)], found);
    }

    [Fact]
    public void Foreign_blocks_are_foreign_even_to_those_who_are_foreign_themselves()
    {
        var owners = new BlockOwners();
        owners.TakeForOut(0, 2, BlockOwners.Foreign);
        int at = 0;

        Assert.True(owners.TryTakeForIn(0, 2, BlockOwners.Foreign, ref at, out int dirty));
        Assert.Equal((2, 2), (at, dirty));
        Assert.False(owners.TryTakeForIn(0, 2, BlockOwners.Foreign, ref at, out _));
    }
}
