using Scuse.Iscsi.Login;
using Scuse.Iscsi.Pdus;
using Scuse.Iscsi.Tests.Rig;
using Scuse.Target;

namespace Scuse.Iscsi.Tests.FullFeature;

/// <summary>Sessions with several connections. RFC 7143 sections 4.2.2, 4.2.5.1 and 6.3.4.</summary>
public class SeveralConnections
{
    static Initiator TwoConnections(Node node, out Initiator second, params string[] keys)
    {
        Initiator first = new Initiator(node).Login(["MaxConnections=4", .. keys]);
        second = first.Join(cid: 7);
        Assert.Equal([first.Connection, second.Connection], first.Connection.Session!.Connections);
        return first;
    }

    [Fact]
    public void A_second_connection_sees_the_sessions_command_numbers_and_has_status_numbers_of_its_own()
    {
        Initiator first = TwoConnections(new Node(), out Initiator second);
        first.Read(1, 0, 1);
        second.Read(2, 0, 1);
        Pdu fromFirst = first.ReceiveOne(), fromSecond = second.ReceiveOne();
        Assert.Equal((1u, 2u), (fromFirst.Tag, fromSecond.Tag));
        Assert.Equal(fromFirst.ExpCmdSN, fromSecond.ExpCmdSN);
        Assert.NotEqual(fromFirst.StatSN, fromSecond.StatSN);
    }

    [Fact]
    public void Commands_are_executed_in_their_order_whichever_connection_brings_them_and_answered_where_they_came()
    {
        Initiator first = TwoConnections(new Node(), out Initiator second);
        uint next = first.CmdSN;
        List<uint> executed = [];
        first.Device.Answer = task =>
        {
            executed.Add(task.Tag);
            return (Scuse.Scsi.ScsiStatus.Good, [], 0);
        };
        second.SendCommand(0, 2, 0, Initiator.Cdb(0xC0), cmdSN: next + 1);
        second.SendNop(3, cmdSN: next + 2);
        Assert.Empty(second.Receive());
        int told = second.OutputReadyCalls;
        first.SendCommand(0, 1, 0, Initiator.Cdb(0xC0), cmdSN: next);
        Assert.Equal(1u, first.ReceiveOne().Tag);
        Assert.Equal([2u, 3u], second.Receive().Select(static pdu => pdu.Tag));
        Assert.True(second.OutputReadyCalls > told);
        Assert.Equal([1u, 2u], executed);
    }

    [Fact]
    public void Data_is_asked_for_on_the_connection_of_its_command()
    {
        Initiator first = TwoConnections(new Node(), out Initiator second, "InitialR2T=Yes", "ImmediateData=No");
        second.Write(5, 0, 1);
        Assert.Empty(first.Receive());
        Pdu r2t = second.ReceiveOne();
        second.SendDataOut(5, r2t.R2T.TargetTransferTag, 0, 0, new byte[512], final: true);
        Assert.Equal(0, second.ReceiveOne().Response.Status);
    }

    [Fact]
    public void Digests_and_segment_lengths_are_each_connections_own()
    {
        Initiator first = new Initiator(new Node()).Login("MaxConnections=2", "MaxRecvDataSegmentLength=512");
        Initiator second = first.Join(7, "HeaderDigest=CRC32C", "DataDigest=CRC32C", "MaxRecvDataSegmentLength=1024", "MaxBurstLength=512");
        first.Read(1, 0, 2);
        second.Read(2, 0, 2);
        Assert.Equal(2, first.Receive().Count);
        Assert.Equal(1024, second.ReceiveOne().Data.Length);
        Assert.Equal((false, true), (first.Connection.HasDataDigest, second.Connection.HasDataDigest));
    }

    [Fact]
    public void More_connections_than_were_agreed_on_are_refused()
    {
        Initiator first = new Initiator(new Node(new IscsiOptions { MaxConnectionsPerSession = 2 })).Login("MaxConnections=8");
        first.Join(1);
        var third = new Initiator(first.Node, leading: first);
        third.SendLogin(1, 3, transit: true, Initiator.Text(Initiator.Names), tsih: first.Connection.Session!.Tsih, cid: 2);
        Assert.Equal((ushort)LoginStatus.TooManyConnections, third.ReceiveOne().Login.Status);
        Assert.Equal(2, first.Connection.Session.Connections.Count);
    }

    [Fact]
    public void Two_logins_for_the_last_place_do_not_both_get_it()
    {
        Initiator first = new Initiator(new Node()).Login("MaxConnections=2");
        ushort tsih = first.Connection.Session!.Tsih;
        var one = new Initiator(first.Node, leading: first);
        var other = new Initiator(first.Node, leading: first);
        one.SendLogin(1, 0, transit: false, Initiator.Text(Initiator.Names), tsih: tsih, cid: 1);
        other.SendLogin(1, 3, transit: true, Initiator.Text(Initiator.Names), tsih: tsih, cid: 2);
        one.SendLogin(1, 3, transit: true, [], tsih: tsih, cid: 1);
        Assert.Equal(0, other.ReceiveOne().Login.Status);
        Assert.Equal((ushort)LoginStatus.CannotIncludeInSession, one.Receive()[^1].Login.Status);
    }

    [Theory]
    [InlineData(Initiator.Isid + 1, "iqn.2026-11.example:host")]
    [InlineData(Initiator.Isid, "iqn.2026-11.example:another")]
    public void Another_initiator_cannot_join(ulong isid, string name)
    {
        Initiator first = new Initiator(new Node()).Login("MaxConnections=2");
        var stranger = new Initiator(first.Node);
        stranger.SendLogin(
            1, 3, transit: true, Initiator.Text($"InitiatorName={name}", $"TargetName={Node.TargetName}"), isid: isid, tsih: first.Connection.Session!.Tsih, cid: 1);
        Assert.Equal((ushort)LoginStatus.SessionDoesNotExist, stranger.ReceiveOne().Login.Status);
    }

    [Fact]
    public void The_same_connection_identifier_reinstates_a_connection_and_ends_its_tasks()
    {
        Initiator first = TwoConnections(new Node(), out Initiator second);
        first.Device.HoldsSubmit = true;
        first.Read(1, 0, 1);
        second.Read(2, 0, 1);
        Initiator again = first.Join(cid: 7);
        Assert.Contains("reinstated", Assert.Single(second.CloseRequests), StringComparison.Ordinal);
        second.Connection.Closed();
        first.Device.AnswerHeld();
        Assert.Equal(1u, first.ReceiveOne().Tag);
        Assert.Empty(again.Receive());
        Assert.Equal([first.Connection, again.Connection], first.Connection.Session!.Connections);
        Assert.Equal((0, 0), (first.Device.InUse, first.Connection.Session.OutstandingTasks));
    }

    [Fact]
    public void A_lost_connection_costs_its_own_tasks_and_the_last_one_the_session()
    {
        Initiator first = TwoConnections(new Node(), out Initiator second, "InitialR2T=Yes", "ImmediateData=No");
        first.Device.HoldsSubmit = true;
        first.Read(1, 0, 1);
        second.Read(2, 0, 1);
        second.Write(3, 0, 1);
        second.SendCommand(ScsiCommandPdu.ReadBit, 4, 512, Initiator.Cdb(0x28), cmdSN: second.CmdSN + 1); // held
        second.Connection.Closed();
        Assert.True(first.Connection.Session!.IsAlive);
        Assert.Equal(1, first.Connection.Session.OutstandingTasks);
        first.Device.AnswerHeld();
        Assert.Equal(1u, first.ReceiveOne().Tag);
        first.SendNop(9);
        Assert.Equal(first.CmdSN + 1, first.ReceiveOne().ExpCmdSN); // the held command's number was taken
        first.Connection.Closed();
        Assert.Empty(first.Node.Server.Sessions);
        Assert.Equal(0, first.Device.InUse);
    }

    [Fact]
    public void One_connection_can_log_another_one_out()
    {
        Initiator first = TwoConnections(new Node(), out Initiator second);
        first.Device.HoldsSubmit = true;
        second.Read(2, 0, 1);
        first.SendLogout(LogoutRequestPdu.CloseConnection, connectionId: 7);
        Assert.Equal(LogoutResponsePdu.Closed, new LogoutResponsePdu(first.ReceiveOne().Header).Response);
        Assert.True(second.Connection.CloseNow);
        Assert.False(first.Connection.ShouldClose);
        second.Connection.Closed();
        Assert.Equal((1, 0), (first.Connection.Session!.Connections.Count, first.Device.InUse));
    }

    [Fact]
    public void A_connection_that_logs_itself_out_leaves_the_others()
    {
        Initiator first = TwoConnections(new Node(), out Initiator second);
        first.SendLogout(LogoutRequestPdu.CloseConnection, connectionId: 0);
        Assert.Equal(Opcode.LogoutResponse, first.ReceiveOne().Opcode);
        Assert.Single(first.CloseRequests);
        first.Connection.Closed();
        second.Read(5, 0, 1);
        Assert.Equal(512, second.ReceiveOne().Data.Length);
    }

    [Fact]
    public void A_logout_of_the_session_closes_every_connection()
    {
        Initiator first = TwoConnections(new Node(), out Initiator second);
        first.Device.HoldsSubmit = true;
        second.Read(2, 0, 1);
        first.SendLogout(LogoutRequestPdu.CloseSession);
        Assert.Equal(Opcode.LogoutResponse, first.ReceiveOne().Opcode);
        Assert.True(second.Connection.CloseNow);
        Assert.Empty(first.Node.Server.Sessions);
        second.Connection.Closed();
        first.Connection.Closed();
        Assert.Equal(0, first.Device.InUse);
    }

    [Fact]
    public void A_new_login_of_the_initiator_port_ends_all_connections_of_its_old_session()
    {
        Initiator first = TwoConnections(new Node(), out Initiator second);
        Initiator young = new Initiator(first.Node).Login();
        Assert.True(first.Connection.CloseNow && second.Connection.CloseNow);
        Assert.Same(young.Connection.Session, Assert.Single(first.Node.Server.Sessions));
    }

    [Fact]
    public void A_task_can_be_aborted_by_another_connection()
    {
        Initiator first = TwoConnections(new Node(), out Initiator second);
        first.Device.HoldsSubmit = true;
        second.Read(2, 0, 1);
        first.SendTaskManagement(TaskManagementFunction.AbortTask, referenced: 2);
        Assert.Equal(0, first.ReceiveOne().TaskManagementResponse);
        first.Device.AnswerHeld();
        Assert.Empty(second.Receive());
    }

    [Fact]
    public void A_segment_that_is_on_its_way_when_another_connection_aborts_its_task_is_skipped()
    {
        Initiator first = TwoConnections(new Node(), out Initiator second);
        byte[] pdu = new byte[48 + 8192];
        ScsiCommandPdu.WriteTo(pdu, 0xA1, 0, 5, 8192, second.CmdSN++, 0, Initiator.Cdb(0x2A, 0, 16), 0, 8192);
        second.Feed(pdu.AsSpan(0, 3000));
        first.SendTaskManagement(TaskManagementFunction.AbortTaskSet);
        Assert.Equal(Opcode.TaskManagementResponse, first.Receive()[0].Opcode);
        first.SendNop(Initiator.None, immediate: true); // acknowledges
        second.Feed(pdu.AsSpan(3000));
        Assert.Empty(second.Receive());
        second.Read(6, 0, 1);
        Assert.Equal(6u, second.ReceiveOne().Tag);
        Assert.Equal(0, first.Device.InUse);
    }

    [Fact]
    public void A_function_for_many_tasks_waits_for_the_commands_before_it()
    {
        Initiator first = TwoConnections(new Node(), out Initiator second);
        first.Device.HoldsSubmit = true;
        uint late = first.CmdSN;
        first.SendTaskManagement(TaskManagementFunction.AbortTaskSet, cmdSN: late + 1);
        Assert.Empty(first.Receive());
        second.SendCommand(ScsiCommandPdu.ReadBit, 2, 512, Initiator.Cdb(0x28, 0, 1), cmdSN: late);
        Assert.Equal(Opcode.TaskManagementResponse, first.Receive()[0].Opcode);
        Assert.Equal(0, first.Connection.Session!.OutstandingTasks);
        first.Device.AnswerHeld();
        Assert.Empty(second.Receive());
    }

    [Fact]
    public void No_more_functions_than_the_limit_wait()
    {
        Initiator first = TwoConnections(new Node(), out _);
        for (uint i = 0; i < 33; i++)
        {
            first.SendTaskManagement(TaskManagementFunction.AbortTaskSet, tag: 0x5000 + i, cmdSN: first.CmdSN + 1);
        }

        Assert.Equal(RejectReason.TooManyImmediateCommands, first.ReceiveOne().RejectReason);
        first.SendNop(1);
        int answered = 0;
        for (int i = 0; i < 33; i++)
        {
            answered += first.Receive().Count(static pdu => pdu.Opcode == Opcode.TaskManagementResponse);
            first.SendNop(Initiator.None, immediate: true); // acknowledges, so that the next one can come
        }

        Assert.Equal(32, answered);
    }

    [Fact]
    public void Data_that_comes_by_another_connection_than_its_command_is_ignored()
    {
        Initiator first = TwoConnections(new Node(), out Initiator second, "InitialR2T=Yes", "ImmediateData=No");
        first.Write(1, 0, 1);
        uint tag = first.ReceiveOne().R2T.TargetTransferTag;
        byte[] pdu = new byte[48 + 512];
        DataOutPdu.WriteTo(pdu, true, 0, 1, tag, second.ExpStatSN, 0, 0, 512);
        second.Feed(pdu.AsSpan(0, 100));
        first.SendTaskManagement(TaskManagementFunction.AbortTask, referenced: 1);
        second.Feed(pdu.AsSpan(100));
        Assert.Equal((1L, 0), (first.Connection.Session!.IgnoredDataOuts, first.Device.InUse));
        second.Read(2, 0, 1);
        Assert.Equal(512, second.ReceiveOne().Data.Length);
    }

    /// <summary>Three answers of the second connection are on their way, then the first one's reset ends a fourth task.</summary>
    static Initiator Fenced(out Initiator second)
    {
        Initiator first = TwoConnections(new Node(), out second);
        second.SendNop(1);
        second.Receive();
        second.Read(2, 0, 1);
        second.Receive(); // not acknowledged
        first.SendTaskManagement(TaskManagementFunction.LogicalUnitReset);
        Assert.Empty(first.Receive());
        second.SendNop(3); // acknowledges, and its answer comes behind the fence
        return first;
    }

    [Fact]
    public void The_answer_to_a_reset_comes_when_the_other_connections_answers_before_it_are_acknowledged()
    {
        Initiator first = TwoConnections(new Node(), out Initiator second);
        second.Read(2, 0, 1);
        Assert.Equal(Opcode.DataIn, second.ReceiveOne().Opcode);
        first.SendTaskManagement(TaskManagementFunction.LogicalUnitReset);
        Assert.Empty(first.Receive());
        Pdu ping = second.ReceiveOne();
        Assert.Equal((Opcode.NopIn, Initiator.None), (ping.Opcode, ping.Tag));
        second.SendNop(Initiator.None, immediate: true, transferTag: new NopInPdu(ping.Header).TargetTransferTag);
        Assert.Equal(0, first.Receive()[0].TaskManagementResponse);
    }

    [Fact]
    public void Answers_behind_that_to_a_reset_come_when_it_is_acknowledged()
    {
        Initiator first = Fenced(out Initiator second);
        List<Pdu> answers = first.Receive();
        Assert.Equal([Opcode.TaskManagementResponse, Opcode.NopIn], answers.Select(static pdu => pdu.Opcode));
        Assert.All(second.Receive(), static pdu => Assert.Equal(Initiator.None, pdu.Tag)); // nothing but the ping
        first.SendNop(Initiator.None, immediate: true, transferTag: new NopInPdu(answers[1].Header).TargetTransferTag);
        Assert.Equal(3u, second.ReceiveOne().Tag);
    }

    [Fact]
    public void Initiators_that_acknowledge_nothing_do_not_hold_answers_up_for_ever()
    {
        Initiator first = TwoConnections(new Node(), out Initiator second);
        second.Read(2, 0, 1);
        second.Receive();
        first.SendTaskManagement(TaskManagementFunction.LogicalUnitReset);
        first.Node.Server.Tick(1000);
        first.Node.Server.Tick(6000);
        Assert.Equal(Opcode.TaskManagementResponse, first.Receive()[0].Opcode);
        first.Node.Server.Tick(7000);
        first.Node.Server.Tick(12_000);
        Assert.False(first.Connection.Session!.Fence.IsUp);
        Assert.Equal(0, first.Device.InUse);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_connection_that_goes_takes_its_part_of_a_fence_with_it(bool issuing)
    {
        Initiator first = TwoConnections(new Node(), out Initiator second);
        second.Read(2, 0, 1);
        second.Receive();
        first.SendTaskManagement(TaskManagementFunction.LogicalUnitReset);
        (issuing ? first : second).Connection.Closed();
        Initiator left = issuing ? second : first;
        left.Receive();
        left.SendNop(9);
        Assert.Equal(9u, left.ReceiveOne().Tag);
        Assert.False(left.Connection.Session!.Fence.IsUp);
    }
}
