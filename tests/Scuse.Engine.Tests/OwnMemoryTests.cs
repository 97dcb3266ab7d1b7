using Scuse.Engine.Backstores;
using Scuse.Linux;
using Scuse.Ring;
using Scuse.Scsi;
using Scuse.Target;
using Scuse.Target.Tests;

namespace Scuse.Engine.Tests;

/// <summary>A handler that answers reads with a place in memory of its own: who gets the bytes from there, who gets a copy, and from when on they stay as they are.</summary>
public sealed class OwnMemoryTests : IDisposable
{
    const int MemoryBytes = 1 << 20;

    readonly Disk _disk = new();
    readonly MemFd _memory = MemFd.Create("test", MemoryBytes);
    readonly MappedRegion _mapping;

    public OwnMemoryTests()
    {
        _mapping = MappedRegion.Map(_memory.Handle, MemoryBytes);
        _disk.Initiator.TakesDataInWhereItLies = true;
    }

    public void Dispose()
    {
        _disk.Dispose();
        _mapping.Dispose();
        _memory.Dispose();
    }

    Span<byte> At(long place, int length) => _mapping.Slice(place, length).Span;

    ScsiTask Read(TestHandler handler, long place, int blocks = 16, TaskAttribute attribute = TaskAttribute.Simple)
    {
        ScsiTask task = _disk.Initiator.Send(Cdbs.Read10(0, (ushort)blocks), dataIn: blocks * Disk.BlockSize, attribute: attribute);
        handler.AnswerFromOwnMemory(handler.TakeOne(), place);
        return task;
    }

    static byte[] Bytes(byte value, int length = 16 * Disk.BlockSize) => [.. Enumerable.Repeat(value, length)];

    [Fact]
    public void The_bytes_come_from_where_the_handler_says_and_are_not_copied()
    {
        TestHandler handler = _disk.AttachWithMemory(_memory);
        At(4096, 8192).Fill(0x11);
        ScsiTask task = Read(handler, 4096);

        Assert.Equal("Good", _disk.Initiator.Outcome);
        Assert.Equal(Bytes(0x11), task.DataIn.ToArray());
        At(4096, 8192).Fill(0x22);
        Assert.Equal(Bytes(0x22), task.DataIn.ToArray());
        task.Release();
        Assert.Equal(0, handler.Link.DataArea.BlocksInUse);
    }

    [Fact]
    public void A_transport_that_needs_them_to_stay_as_they_are_gets_a_copy()
    {
        TestHandler handler = _disk.AttachWithMemory(_memory);
        _disk.Initiator.TakesDataInWhereItLies = false;
        At(MemoryBytes - 8192, 8192).Fill(0x11);
        ScsiTask task = Read(handler, MemoryBytes - 8192);

        At(MemoryBytes - 8192, 8192).Fill(0x22);

        Assert.Equal(Bytes(0x11), task.DataIn.ToArray());
    }

    [Theory]
    [InlineData(TaskAttribute.Ordered)]
    [InlineData(TaskAttribute.HeadOfQueue)]
    public void A_read_that_goes_before_others_gets_a_copy(TaskAttribute attribute)
    {
        TestHandler handler = _disk.AttachWithMemory(_memory);
        ScsiTask task = Read(handler, 0, attribute: attribute);

        At(0, 8192).Fill(0x22);

        Assert.Equal(Bytes(0), task.DataIn.ToArray());
    }

    [Fact]
    public void What_the_device_server_reads_is_copied_to_it()
    {
        TestHandler handler = _disk.AttachWithMemory(_memory);
        At(512, 512).Fill(0x33);
        ScsiTask verify = _disk.Initiator.Send([0x2F, 0x02, 0, 0, 0, 1, 0, 0, 1, 0], dataOut: 512); // VERIFY(10), BYTCHK 1: compares
        verify.DataOut.CopyFrom(Bytes(0x33, 512));
        _disk.Target.DataArrived(verify);
        handler.Answer(handler.TakeOne()); // a flush

        handler.AnswerFromOwnMemory(handler.TakeOne(), 512);

        Assert.Equal("Good", _disk.Initiator.Outcome);
    }

    [Fact]
    public void An_ordered_write_does_not_change_what_a_read_before_it_returns()
    {
        TestHandler handler = _disk.AttachWithMemory(_memory);
        At(0, 8192).Fill(0x11);
        ScsiTask read = Read(handler, 0), other = Read(handler, 0);
        other.Release();
        ScsiTask write = _disk.Initiator.Send(Cdbs.Write10(0, 16), dataOut: 8192, attribute: TaskAttribute.Ordered);
        _disk.Target.DataArrived(write);
        handler.TakeOne();

        At(0, 8192).Fill(0x22); // as the handler does with the write

        Assert.Equal([read], _disk.Initiator.Moved);
        Assert.Equal(Bytes(0x11), read.DataIn.ToArray());
        Assert.DoesNotContain(_disk.Backstore.Commands, static command => command.IsInPlace);
    }

    [Fact]
    public void An_atomic_command_does_not_change_what_a_read_before_it_returns()
    {
        TestHandler handler = _disk.AttachWithMemory(_memory);
        At(0, 8192).Fill(0x11);
        ScsiTask read = Read(handler, 0);

        ScsiTask compare = _disk.Initiator.Send([0x89, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0], dataOut: 1024); // COMPARE AND WRITE
        _disk.Target.DataArrived(compare);

        Assert.Equal([read], _disk.Initiator.Moved);
    }

    [Fact]
    public void A_simple_write_leaves_reads_where_they_are()
    {
        TestHandler handler = _disk.AttachWithMemory(_memory);
        Read(handler, 0);
        ScsiTask write = _disk.Initiator.Send(Cdbs.Write10(0, 16), dataOut: 8192);
        _disk.Target.DataArrived(write);

        Assert.Empty(_disk.Initiator.Moved);
    }

    [Fact]
    public void What_is_being_sent_outlives_its_handler_and_no_longer()
    {
        TestHandler handler = _disk.AttachWithMemory(_memory);
        At(0, 8192).Fill(0x11);
        ScsiTask task = Read(handler, 0);
        HandlerMemory memory = handler.Link.OwnMemory!;

        _disk.Backstore.Detach(handler.Link, "killed");
        Assert.Equal(Bytes(0x11), task.DataIn.ToArray());
        task.Release();

        Assert.True(SpinWait.SpinUntil(() => IsUnmapped(memory), 5000));
    }

    static bool IsUnmapped(HandlerMemory memory)
    {
        try
        {
            _ = memory.Slice(0, 1).Span[0];
            return false;
        }
        catch (ObjectDisposedException)
        {
            return true;
        }
    }

    [Theory]
    [InlineData(MemoryBytes - 8191)]
    [InlineData(-1)]
    [InlineData(long.MaxValue)]
    public void A_place_beyond_the_memory_costs_the_handler_and_the_next_one_gets_its_commands(long place)
    {
        TestHandler liar = _disk.AttachWithMemory(_memory);
        _disk.Initiator.Send(Cdbs.Read10(0, 16), dataIn: 8192);
        liar.AnswerFromOwnMemory(liar.TakeOne(), place);

        Assert.Contains("of its own memory", Assert.Single(_disk.Dropped), StringComparison.Ordinal);
        TestHandler next = _disk.AttachWithMemory(_memory);
        next.AnswerFromOwnMemory(next.TakeOne(), 0);
        Assert.Equal("Good", _disk.Initiator.Outcome);
    }

    [Fact]
    public void A_place_from_a_handler_that_passed_no_memory_costs_it_its_connection()
    {
        TestHandler liar = _disk.Attach();
        _disk.Initiator.Send(Cdbs.Read10(0, 16), dataIn: 8192);

        liar.AnswerFromOwnMemory(liar.TakeOne(), 0);

        Assert.Contains("which was not agreed", Assert.Single(_disk.Dropped), StringComparison.Ordinal);
    }

    [Fact]
    public void Reads_of_what_was_never_written_are_zeros_and_take_up_no_memory_when_they_are_copied()
    {
        using MemFd large = MemFd.Create("test", 1L << 32);
        TestHandler handler = _disk.AttachWithMemory(large);
        _disk.Initiator.TakesDataInWhereItLies = false;

        for (int i = 0; i < 100; i++)
        {
            ScsiTask task = Read(handler, i * (32L << 20), blocks: 128);
            Assert.Equal(Bytes(0, 65536), task.DataIn.ToArray());
            task.Release();
        }

        Assert.Equal(0, FileRange.GetAllocatedBytes(large.Handle));
    }

    [Fact]
    public void Reading_in_place_allocates_nothing()
    {
        TestHandler handler = _disk.AttachWithMemory(_memory);
        Read(handler, 0).Release();
        var command = new HandlerCommand();
        _disk.Initiator.Completed.Capacity = 10_000;
        byte[] cdb = Cdbs.Read10(0, 16);
        const int warmUp = 1100; // until every id has been used once
        long allocated = 0;
        for (int i = 0; i < warmUp + 800; i++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            ScsiTask task = _disk.Initiator.Send(cdb, dataIn: 8192);
            handler.Take(command);
            handler.AnswerFromOwnMemory(command, 4096);
            task.Release();
            allocated += i < warmUp ? 0 : GC.GetAllocatedBytesForCurrentThread() - before;
        }

        Assert.Equal(0, allocated);
    }
}
