using Scuse.Iscsi.FullFeature;
using Scuse.Iscsi.Pdus;
using Scuse.Iscsi.Tests.Rig;

namespace Scuse.Iscsi.Tests.FullFeature;

public class Numbering
{
    [Fact]
    public void Commands_ahead_of_a_gap_wait_until_it_is_filled()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        byte[] data = Initiator.Pattern(1024);
        uint first = initiator.CmdSN;
        initiator.SendNop(8, cmdSN: first + 2);
        initiator.SendCommand(ScsiCommandPdu.WriteBit, 6, 1024, Initiator.Cdb(0x2A, 0, 2), data, cmdSN: first + 1);
        Assert.Empty(initiator.Receive());
        initiator.SendCommand(ScsiCommandPdu.ReadBit, 5, 512, Initiator.Cdb(0x28, 4, 1), cmdSN: first);
        List<Pdu> pdus = initiator.Receive();
        Assert.Equal([5u, 6u, 8u], pdus.Select(static pdu => pdu.Tag));
        Assert.Equal(first + 3, pdus[2].ExpCmdSN);
        Assert.Equal(data, initiator.Device.Disk[..1024]);
    }

    [Fact]
    public void A_number_outside_the_window_or_seen_before_is_ignored()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        uint next = initiator.CmdSN;
        foreach (uint cmdSN in new[] { next - 1, next - 2, next + 128, next + 1_000_000 })
        {
            initiator.SendCommand(ScsiCommandPdu.ReadBit, 5, 512, Initiator.Cdb(0x28, 0, 1), cmdSN: cmdSN);
            initiator.SendNop(6, cmdSN: cmdSN);
        }

        Assert.Empty(initiator.Receive());
        Assert.Equal(8, initiator.Connection.Session!.IgnoredRequests);
        initiator.Read(7, 0, 1);
        Assert.Equal(7u, initiator.ReceiveOne().Tag);
    }

    [Fact]
    public void A_held_number_that_comes_again_is_ignored()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        uint next = initiator.CmdSN;
        initiator.SendNop(6, cmdSN: next + 1);
        initiator.SendNop(7, cmdSN: next + 1);
        initiator.SendNop(5, cmdSN: next);
        Assert.Equal([5u, 6u], initiator.Receive().Select(static pdu => pdu.Tag));
    }

    [Fact]
    public void An_immediate_command_takes_no_number()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        uint next = initiator.CmdSN;
        initiator.SendCommand(ScsiCommandPdu.ReadBit, 5, 512, Initiator.Cdb(0x28, 0, 1), immediate: true);
        Assert.Equal(next, initiator.ReceiveOne().ExpCmdSN);
    }

    [Fact]
    public void Too_many_immediate_commands_are_rejected()
    {
        Initiator initiator = new Initiator(new Node(new IscsiOptions { MaxImmediateCommands = 2 })).Login();
        initiator.Device.HoldsSubmit = true;
        for (uint tag = 0; tag < 3; tag++)
        {
            initiator.SendCommand(ScsiCommandPdu.ReadBit, tag, 512, Initiator.Cdb(0x28, 0, 1), immediate: true);
        }

        Assert.Equal(RejectReason.TooManyImmediateCommands, initiator.ReceiveOne().RejectReason);
    }

    [Fact]
    public void A_rejected_command_uses_its_number_up()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        byte[] header = new byte[48];
        BasicHeader.Begin(header, (Opcode)0x1C, 0x80, 9);
        SequenceNumbers.WriteRequest(header, initiator.CmdSN++, 0);
        initiator.Send(header);
        Pdu reject = initiator.ReceiveOne();
        Assert.Equal(RejectReason.CommandNotSupported, reject.RejectReason);
        Assert.Equal(header, reject.Data);
        Assert.Equal(initiator.CmdSN, reject.ExpCmdSN);
    }

    [Fact]
    public void The_window_closes_with_the_last_place_and_opens_with_each_answer()
    {
        Initiator initiator = new Initiator(new Node(new IscsiOptions { CommandWindow = 4 })).Login();
        initiator.Device.HoldsSubmit = true;
        for (uint tag = 0; tag < 4; tag++)
        {
            initiator.Read(tag, 0, 1);
        }

        initiator.SendNop(50, immediate: true);
        Pdu nop = initiator.ReceiveOne();
        Assert.Equal(nop.ExpCmdSN - 1, nop.MaxCmdSN);
        initiator.SendNop(51, cmdSN: initiator.CmdSN);
        Assert.Empty(initiator.Receive());
        initiator.Device.AnswerHeld();
        List<Pdu> pdus = initiator.Receive();
        Assert.Equal([0u, 1u, 2u, 3u], pdus.Select(pdu => pdu.MaxCmdSN - nop.ExpCmdSN));
    }

    [Fact]
    public void Every_status_takes_one_number_and_nothing_else_does()
    {
        Initiator initiator = new Initiator(new Node()).Login("MaxRecvDataSegmentLength=512", "InitialR2T=Yes", "ImmediateData=No");
        uint next = initiator.ExpStatSN;
        initiator.Read(5, 0, 2);
        initiator.SendNop(6);
        initiator.Write(7, 0, 1);
        List<Pdu> pdus = initiator.Receive();
        Assert.Equal([0u, next, next + 1, next + 2], pdus.Select(static pdu => pdu.StatSN)); // Data-In, Data-In with status, NOP-In, R2T
    }

    [Fact]
    public void A_window_works_where_the_numbers_wrap_around()
    {
        Initiator initiator = new Initiator(new Node(new IscsiOptions { CommandWindow = 100 })) { CmdSN = 0xFFFF_FFD0 };
        initiator.Login();
        uint gap = initiator.CmdSN;
        for (uint i = 99; i > 0; i--)
        {
            initiator.SendNop(i, cmdSN: gap + i);
        }

        Assert.Empty(initiator.Receive());
        initiator.SendNop(0x100, cmdSN: gap);
        Assert.Equal(100, initiator.Receive().Count);
    }

    [Fact]
    public void The_table_finds_what_is_in_it_through_additions_and_removals()
    {
        const int seed = 12345;
        Random random = new(seed);
        var table = new TaskTable(160);
        Dictionary<uint, IscsiTask> model = [];
        for (int i = 0; i < 100_000; i++)
        {
            uint tag = (uint)random.Next(300) * (random.Next(2) == 0 ? 1u : 0x10000u);
            if (model.Remove(tag, out IscsiTask? known))
            {
                Assert.Same(known, table.Find(tag));
                Assert.True(table.Remove(known), $"seed {seed}, step {i}");
            }
            else if (model.Count < 160)
            {
                Assert.Null(table.Find(tag));
                model[tag] = new IscsiTask { InitiatorTaskTag = tag };
                Assert.True(table.TryAdd(model[tag]), $"seed {seed}, step {i}");
            }
        }

        Assert.All(model, pair => Assert.Same(pair.Value, table.Find(pair.Key)));
    }
}
