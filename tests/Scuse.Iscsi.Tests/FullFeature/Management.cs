using Scuse.Iscsi.Pdus;
using Scuse.Iscsi.Tests.Rig;
using Scuse.Target;

namespace Scuse.Iscsi.Tests.FullFeature;

public class Management
{
    [Fact]
    public void An_aborted_task_is_never_answered()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        initiator.Device.HoldsSubmit = true;
        initiator.Read(5, 0, 1);
        initiator.SendTaskManagement(TaskManagementFunction.AbortTask, referenced: 5, refCmdSN: initiator.CmdSN - 1);
        Pdu pdu = initiator.ReceiveOne();
        Assert.Equal((Opcode.TaskManagementResponse, 0, 0x5000u), (pdu.Opcode, pdu.TaskManagementResponse, pdu.Tag));
        initiator.Device.AnswerHeld();
        Assert.Empty(initiator.Receive());
        Assert.Equal((0, 0), (initiator.Device.InUse, initiator.Connection.Session!.OutstandingTasks));
    }

    [Fact]
    public void The_answer_waits_until_the_device_has_let_go()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        initiator.Device.HoldsSubmit = initiator.Device.IsBusyWhenCancelled = true;
        initiator.Read(5, 0, 1);
        initiator.SendTaskManagement(TaskManagementFunction.AbortTask, referenced: 5);
        Assert.Empty(initiator.Receive());
        initiator.Device.AnswerHeld();
        Assert.Equal(0, initiator.ReceiveOne().TaskManagementResponse);
        Assert.Equal(0, initiator.Device.InUse);
    }

    [Fact]
    public void Data_for_an_aborted_write_is_skipped()
    {
        Initiator initiator = new Initiator(new Node()).Login("InitialR2T=Yes", "ImmediateData=No");
        initiator.Write(5, 0, 8);
        Pdu r2t = initiator.ReceiveOne();
        byte[] header = new byte[48];
        DataOutPdu.WriteTo(header, true, 0, 5, r2t.R2T.TargetTransferTag, 0, 0, 0, 4096);
        initiator.SendTaskManagement(TaskManagementFunction.LogicalUnitReset);
        Assert.Equal(0, initiator.ReceiveOne().TaskManagementResponse);
        initiator.Send(header, new byte[4096]);
        Assert.Empty(initiator.Receive());
        Assert.Equal(1, initiator.Connection.Session!.IgnoredDataOuts);
        Assert.Equal(0, initiator.Device.InUse);
    }

    [Fact]
    public void A_segment_whose_task_another_initiator_aborts_is_skipped_to_its_end()
    {
        var node = new Node();
        Initiator victim = new Initiator(node).Login();
        var other = new Initiator(node);
        other.SendLogin(1, 3, transit: true, Initiator.Text(Initiator.Names), isid: 5);
        other.Receive();
        byte[] pdu = new byte[48 + 8192];
        ScsiCommandPdu.WriteTo(pdu, 0xA1, 0, 5, 8192, victim.CmdSN++, 0, Initiator.Cdb(0x2A, 0, 16), 0, 8192);
        victim.Feed(pdu.AsSpan(0, 3000));
        other.SendTaskManagement(TaskManagementFunction.LogicalUnitReset);
        Assert.Equal(0, other.ReceiveOne().TaskManagementResponse);
        victim.Feed(pdu.AsSpan(3000));
        Assert.Empty(victim.Receive());
        victim.SendNop(9);
        Assert.Equal(9u, victim.ReceiveOne().Tag);
        Assert.Equal(0, node.Device.InUse);
    }

    [Fact]
    public void When_another_initiators_reset_opens_a_closed_window_the_initiator_is_told()
    {
        var node = new Node(new IscsiOptions { CommandWindow = 2 });
        Initiator victim = new Initiator(node).Login();
        node.Device.HoldsSubmit = true;
        victim.Read(5, 0, 1);
        victim.Read(6, 0, 1);
        var other = new Initiator(node);
        other.SendLogin(1, 3, transit: true, Initiator.Text(Initiator.Names), isid: 5);
        other.SendTaskManagement(TaskManagementFunction.LogicalUnitReset);
        Pdu pdu = victim.ReceiveOne();
        Assert.Equal((Opcode.NopIn, pdu.ExpCmdSN + 1), (pdu.Opcode, pdu.MaxCmdSN));
    }

    [Fact]
    public void An_R2T_of_an_aborted_task_is_not_sent()
    {
        Initiator initiator = new Initiator(new Node()).Login("InitialR2T=Yes", "ImmediateData=No");
        initiator.Write(5, 0, 8);
        initiator.SendTaskManagement(TaskManagementFunction.AbortTask, referenced: 5);
        Assert.Equal(Opcode.TaskManagementResponse, initiator.ReceiveOne().Opcode);
    }

    [Fact]
    public void The_abort_of_a_task_that_never_came_takes_its_number()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        uint missing = initiator.CmdSN++;
        initiator.SendNop(6);
        Assert.Empty(initiator.Receive());
        initiator.SendTaskManagement(TaskManagementFunction.AbortTask, referenced: 5, refCmdSN: missing);
        List<Pdu> pdus = initiator.Receive();
        Assert.Equal([Opcode.NopIn, Opcode.TaskManagementResponse], pdus.Select(static pdu => pdu.Opcode));
        Assert.Equal((0, initiator.CmdSN), (pdus[1].TaskManagementResponse, pdus[1].ExpCmdSN));
        initiator.SendCommand(ScsiCommandPdu.ReadBit, 5, 512, Initiator.Cdb(0x28, 0, 1), cmdSN: missing);
        Assert.Empty(initiator.Receive());
    }

    [Fact]
    public void The_abort_of_a_task_that_is_gone_finds_none()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        initiator.Read(5, 0, 1);
        initiator.Receive();
        initiator.SendTaskManagement(TaskManagementFunction.AbortTask, referenced: 5, refCmdSN: initiator.CmdSN - 1);
        Assert.Equal((byte)TaskManagementResponse.TaskDoesNotExist, initiator.ReceiveOne().TaskManagementResponse);
    }

    [Fact]
    public void A_task_held_ahead_of_a_gap_can_be_aborted()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        uint gap = initiator.CmdSN++;
        initiator.Write(5, 0, 2, new byte[1024]);
        initiator.SendTaskManagement(TaskManagementFunction.AbortTask, referenced: 5);
        Assert.Equal(0, initiator.ReceiveOne().TaskManagementResponse);
        initiator.SendNop(6, cmdSN: gap);
        Pdu nop = initiator.ReceiveOne();
        Assert.Equal((6u, initiator.CmdSN), (nop.Tag, nop.ExpCmdSN));
    }

    [Theory]
    [InlineData(TaskManagementFunction.TaskReassign, TaskManagementResponse.ReassignmentNotSupported)]
    [InlineData((TaskManagementFunction)0, TaskManagementResponse.FunctionNotSupported)]
    [InlineData((TaskManagementFunction)99, TaskManagementResponse.FunctionNotSupported)]
    public void What_is_not_supported_is_said(TaskManagementFunction function, TaskManagementResponse response)
    {
        Initiator initiator = new Initiator(new Node()).Login();
        initiator.SendTaskManagement(function);
        Assert.Equal((byte)response, initiator.ReceiveOne().TaskManagementResponse);
    }

    [Theory]
    [InlineData(TaskManagementFunction.QueryTask)]
    [InlineData(TaskManagementFunction.QueryTaskSet)]
    [InlineData(TaskManagementFunction.NexusReset)]
    [InlineData(TaskManagementFunction.QueryAsynchronousEvent)]
    public void The_functions_of_RFC_7144_are_there_from_protocol_level_2_on(TaskManagementFunction function)
    {
        Initiator old = new Initiator(new Node()).Login();
        old.SendTaskManagement(function);
        Assert.Equal((byte)TaskManagementResponse.FunctionNotSupported, old.ReceiveOne().TaskManagementResponse);

        Initiator current = new Initiator(new Node()).Login("iSCSIProtocolLevel=2");
        current.SendTaskManagement(function);
        Assert.NotEqual((byte)TaskManagementResponse.FunctionNotSupported, current.ReceiveOne().TaskManagementResponse);
    }

    [Fact]
    public void A_query_finds_a_task_that_is_under_way_and_one_that_is_held_ahead_of_a_gap()
    {
        Initiator initiator = new Initiator(new Node()).Login("iSCSIProtocolLevel=2");
        initiator.Device.HoldsSubmit = true;
        initiator.Read(5, 0, 1);
        initiator.CmdSN++;
        initiator.Read(6, 0, 1);
        initiator.SendTaskManagement(TaskManagementFunction.QueryTask, referenced: 5);
        Assert.Equal((byte)TaskManagementResponse.FunctionSucceeded, initiator.ReceiveOne().TaskManagementResponse);
        initiator.SendTaskManagement(TaskManagementFunction.QueryTask, referenced: 6);
        Assert.Equal((byte)TaskManagementResponse.FunctionSucceeded, initiator.ReceiveOne().TaskManagementResponse);
        initiator.SendTaskManagement(TaskManagementFunction.QueryTask, referenced: 7);
        Assert.Equal((byte)TaskManagementResponse.FunctionComplete, initiator.ReceiveOne().TaskManagementResponse);
    }

    [Fact]
    public void The_answer_to_a_query_for_events_has_the_sense_in_its_header()
    {
        Initiator initiator = new Initiator(new Node()).Login("iSCSIProtocolLevel=2");
        initiator.Node.Target.Establish(initiator.Node.Target.LogicalUnits.First(), 0x2A09);
        initiator.SendTaskManagement(TaskManagementFunction.QueryAsynchronousEvent);
        Pdu pdu = initiator.ReceiveOne();
        Assert.Equal((byte)TaskManagementResponse.FunctionSucceeded, pdu.TaskManagementResponse);
        Assert.Equal(0x6, pdu.Header[8] & 0xF);
    }
}
