using System.Buffers.Binary;
using Scuse.Ring;
using Scuse.Scsi;
using Scuse.Target;
using Scuse.Target.Tests;

namespace Scuse.Engine.Tests;

/// <summary>What becomes of work that takes many of a handler's commands, SANITIZE and EXTENDED COPY, when the handler dies in the middle of it.</summary>
public sealed class LongWorkTests : IDisposable
{
    const int DiskBytes = 1 << 20;

    static readonly byte[] Overwrite = [0x48, 0x01, 0, 0, 0, 0, 0, 0, 5, 0];
    static readonly byte[] Pattern = [0x01, 0, 0, 0x01, 0xA5];

    readonly Disk _disk = new();

    public void Dispose() => _disk.Dispose();

    ScsiTask Sanitize()
    {
        ScsiTask task = _disk.Initiator.Send(Overwrite, dataOut: Pattern.Length);
        task.DataOut.CopyFrom(Pattern);
        _disk.Target.DataArrived(task);
        return task;
    }

    string OutcomeOfRead() => Initiator.OutcomeOf(_disk.Initiator.Send(Cdbs.Read10(0, 1), dataIn: 512));

    static ulong Lba(HandlerCommand command) => BinaryPrimitives.ReadUInt64BigEndian(command.Cdb[2..]);

    [Fact]
    public void A_sanitize_goes_on_with_the_next_handler_from_where_the_one_before_was()
    {
        TestHandler dead = _disk.Attach();
        ScsiTask sanitize = Sanitize();
        dead.Answer(dead.TakeOne());
        ulong interrupted = Lba(dead.TakeOne());

        _disk.Backstore.Detach(dead.Link, "killed");
        Assert.Equal("02/04/1B", OutcomeOfRead());
        TestHandler next = _disk.Attach();
        List<ulong> written = [];
        HandlerCommand command = next.TakeOne();
        for (; command.Cdb[0] == OperationCode.Write16; command = next.TakeOne())
        {
            written.Add(Lba(command));
            Assert.Equal(0xA5, next.Data(command)[0]);
            next.Answer(command);
        }

        Assert.Equal(OperationCode.SynchronizeCache16, command.Cdb[0]);
        Assert.Equal("02/04/1B", OutcomeOfRead());
        next.Answer(command);
        Assert.Equal("Good", Initiator.OutcomeOf(sanitize));
        Assert.Equal(interrupted, written[0]);
        Assert.Equal((ulong)(DiskBytes - Disk.DataAreaBytes) / 512, written[^1]);
        _disk.Initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);
        Assert.Equal(OperationCode.Read10, next.TakeOne().Cdb[0]);
    }

    [Fact]
    public void A_sanitize_whose_handler_has_no_successor_in_time_has_failed_and_the_unit_says_so()
    {
        TestHandler dead = _disk.Attach();
        ScsiTask sanitize = Sanitize();
        dead.TakeOne();

        _disk.Backstore.Detach(dead.Link, "killed");
        _disk.Target.Tick(_disk.Target.NowMs + 2000);

        Assert.Equal("03/31/03", Initiator.OutcomeOf(sanitize));
        TestHandler next = _disk.Attach();
        Assert.Equal("03/31/03", OutcomeOfRead());
        Assert.Empty(next.TakeAll());
    }

    [Theory]
    [InlineData(PassLevel.Io)]
    [InlineData(PassLevel.All)]
    public void A_copy_goes_on_with_the_next_handler(PassLevel level)
    {
        TestHandler dead = _disk.Attach(level: level);
        ScsiTask copy = CopyBlock(from: 3, to: 9);
        Assert.Equal(3UL, Lba(dead.TakeOne()));

        _disk.Backstore.Detach(dead.Link, "killed");
        TestHandler next = _disk.Attach(level: level);
        HandlerCommand read = next.TakeOne();
        Assert.Equal((OperationCode.Read16, 3UL), (read.Cdb[0], Lba(read)));
        next.Data(read).Fill(0x77);
        next.Answer(read);
        HandlerCommand write = next.TakeOne();
        Assert.Equal((OperationCode.Write16, 9UL), (write.Cdb[0], Lba(write)));
        Assert.Equal(0x77, next.Data(write)[511]);
        next.Answer(write);

        Assert.Equal("Good", Initiator.OutcomeOf(copy));
    }

    // EXTENDED COPY(LID1) of one block within the disk, which is named by its T10 vendor ID based designator.
    ScsiTask CopyBlock(byte from, byte to)
    {
        byte[] list = new byte[76];
        (list[3], list[11]) = (32, 28);
        (list[16], list[20], list[21], list[23]) = (0xE4, 0x02, 0x01, 12);
        "SCUSE   0123"u8.CopyTo(list.AsSpan(24));
        (list[48], list[51], list[59], list[67], list[75]) = (0x02, 0x18, 1, from, to);
        ScsiTask task = _disk.Initiator.Send([0x83, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 76, 0, 0], dataOut: list.Length);
        task.DataOut.CopyFrom(list);
        _disk.Target.DataArrived(task);
        return task;
    }
}
