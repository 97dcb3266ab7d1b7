using Scuse.Ring;
using Scuse.Scsi;
using Scuse.Target;
using Scuse.Target.Tests;

namespace Scuse.Engine.Tests;

/// <summary>Commands that the engine's device server takes apart and has the handler do.</summary>
public sealed class DeviceCallTests : IDisposable
{
    const int Depth = 12; // each with a list takes one of the data area's 16 blocks

    static readonly byte[] s_synchronizeCache = [0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    readonly Disk _disk = new(commandRingBytes: 64 << 10);

    public void Dispose() => _disk.Dispose();

    [Theory]
    [InlineData("UNMAP")]
    [InlineData("SYNCHRONIZE CACHE")]
    public void Any_number_under_way_at_once_allocate_nothing(string what)
    {
        TestHandler handler = _disk.AttachThin();
        byte[] list = new byte[UnmapParameterList.LengthFor(1)];
        UnmapParameterList.Write(list, [new UnmapBlockDescriptor(8, 8)]);
        byte[] unmap = new byte[10];
        Cdb.WriteUnmap10(unmap, (ushort)list.Length);
        byte[] cdb = what == "UNMAP" ? unmap : s_synchronizeCache;
        int dataOut = what == "UNMAP" ? list.Length : 0;
        HandlerCommand[] commands = [.. Enumerable.Range(0, Depth).Select(_ => new HandlerCommand())];
        var tasks = new ScsiTask[Depth];
        _disk.Initiator.Completed.Capacity = _disk.Initiator.Wanted.Capacity = 10_000;
        const int warmUp = 100; // until every id has been used once
        const int rounds = warmUp + 20;
        int good = 0;
        long allocated = 0;
        for (int round = 0; round < rounds; round++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < Depth; i++)
            {
                tasks[i] = _disk.Initiator.Send(cdb, dataOut: dataOut);
                if (dataOut > 0)
                {
                    tasks[i].DataOut.CopyFrom(list);
                    _disk.Target.DataArrived(tasks[i]);
                }
            }

            foreach (HandlerCommand command in commands)
            {
                handler.Take(command);
            }

            foreach (HandlerCommand command in commands)
            {
                handler.Answer(command);
            }

            foreach (ScsiTask task in tasks)
            {
                good += task.Status == ScsiStatus.Good ? 1 : 0;
                task.Release();
            }

            allocated += round < warmUp ? 0 : GC.GetAllocatedBytesForCurrentThread() - before;
        }

        Assert.Equal(rounds * Depth, good);
        Assert.Equal(0, allocated);
    }

    [Fact]
    public void What_has_failed_and_what_comes_after_it_keep_to_themselves()
    {
        TestHandler handler = _disk.Attach();
        _disk.Initiator.Send(s_synchronizeCache);
        handler.Answer(handler.TakeOne(), status: 2, sense: [0x70, 0, 3, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x0C, 0, 0, 0, 0, 0]);
        Assert.Equal("03/0C/00", _disk.Initiator.Outcome);
        _disk.Initiator.Completed.Clear();

        _disk.Initiator.Send(s_synchronizeCache);
        handler.Answer(handler.TakeOne());

        Assert.Equal("Good", _disk.Initiator.Outcome);
    }

    [Fact]
    public void An_answer_after_its_time_limit_ends_nobody_else_s_call()
    {
        TestHandler handler = _disk.Attach();
        _disk.Initiator.Send(s_synchronizeCache);
        HandlerCommand late = handler.TakeOne();
        _disk.Target.Tick(_disk.Reactor.NowMs + 2000);
        Assert.Equal("02/08/00", _disk.Initiator.Outcome);
        int before = _disk.Initiator.Completed.Count;

        _disk.Initiator.Send(s_synchronizeCache);
        handler.Answer(late);

        Assert.Equal(before, _disk.Initiator.Completed.Count);
    }
}
