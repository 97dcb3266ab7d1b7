using Scuse.Iscsi.Pdus;
using Scuse.Iscsi.Tests.Rig;
using Scuse.Target;

namespace Scuse.Iscsi.Tests.FullFeature;

/// <summary>Tasks that outlive their connection: ErrorRecoveryLevel 2. RFC 7143 sections 6.3.4, 7.2.2 and 7.14.</summary>
public class Reassignment
{
    const int Wait = 2, Retain = 10;

    static Initiator LogIn(params string[] keys) =>
        new Initiator(new Node(new IscsiOptions { ErrorRecoveryLevel = 2, MaxSessions = 2 })).Login(["ErrorRecoveryLevel=2", $"DefaultTime2Retain={Retain}", .. keys]);

    /// <summary>The connection breaks, and another one takes its place.</summary>
    static Initiator Reconnect(Initiator broken, params string[] keys)
    {
        broken.Connection.Closed();
        return broken.Join(cid: 0, keys);
    }

    static TaskManagementResponse Claim(Initiator initiator, uint task, out List<Pdu> answers, uint expDataSN = 0)
    {
        initiator.SendTaskManagement(TaskManagementFunction.TaskReassign, referenced: task, expDataSN: expDataSN);
        answers = initiator.Receive();
        Assert.Equal(Opcode.TaskManagementResponse, answers[0].Opcode);
        var response = (TaskManagementResponse)answers[0].TaskManagementResponse;
        answers.RemoveAt(0);
        return response;
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_task_that_was_with_the_device_is_answered_on_the_connection_that_claims_it(bool endsBefore)
    {
        Initiator broken = LogIn();
        Initiator.Pattern(4096).CopyTo(broken.Device.Disk, 0);
        broken.Device.HoldsSubmit = true;
        broken.Read(1, 0, 8);
        Initiator initiator = Reconnect(broken);
        if (endsBefore)
        {
            initiator.Device.AnswerHeld();
        }

        Assert.Equal(TaskManagementResponse.FunctionComplete, Claim(initiator, 1, out List<Pdu> answers));
        initiator.Device.AnswerHeld();
        Pdu answer = Assert.Single(answers.Concat(initiator.Receive()));
        Assert.Equal(Initiator.Pattern(4096), answer.Data);
        initiator.SendNop(2);
        Assert.Equal(0, initiator.Device.InUse);
    }

    [Fact]
    public void A_status_that_was_sent_and_is_not_acknowledged_is_had_under_a_new_number()
    {
        Initiator broken = LogIn();
        broken.Acknowledges = false;
        broken.Write(1, 0, 1, new byte[512]);
        broken.Read(2, 0, 1);
        broken.Receive();
        Initiator initiator = Reconnect(broken);
        uint next = initiator.ExpStatSN;
        Assert.Equal(TaskManagementResponse.FunctionComplete, Claim(initiator, 1, out List<Pdu> answers));
        Assert.Equal((0, next + 1), (Assert.Single(answers).Response.Status, answers[0].StatSN));
        Assert.Equal(TaskManagementResponse.FunctionComplete, Claim(initiator, 2, out answers));
        Assert.Equal(512, Assert.Single(answers).Data.Length);
        initiator.SendNop(3);
        initiator.Receive();
        Assert.Equal(TaskManagementResponse.TaskDoesNotExist, Claim(initiator, 1, out _));
        Assert.Equal((0, 0), (initiator.Device.InUse, initiator.Connection.Session!.OutstandingTasks));
    }

    [Fact]
    public void What_the_initiator_had_acknowledged_is_gone()
    {
        Initiator broken = LogIn();
        broken.Write(1, 0, 1, new byte[512]);
        broken.Receive();
        broken.SendNop(2);
        Initiator initiator = Reconnect(broken);
        Assert.Equal(TaskManagementResponse.TaskDoesNotExist, Claim(initiator, 1, out _));
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(1u)]
    [InlineData(2u)]
    [InlineData(3u)]
    [InlineData(7u)]
    [InlineData(9u)]
    [InlineData(10u)] // it was never sent: passed over
    public void Data_goes_on_where_the_initiator_says_and_in_the_new_connections_cut(uint expDataSN)
    {
        Initiator broken = LogIn("MaxRecvDataSegmentLength=1000", "MaxBurstLength=2500");
        broken.Acknowledges = false;
        byte[] disk = Initiator.Pattern(8192);
        disk.CopyTo(broken.Device.Disk, 0);
        broken.Read(1, 0, 15); // 7680 bytes: 1000, 1000, 500, three times, then 180
        int[] offsets = [.. broken.Receive().Select(static pdu => (int)pdu.DataIn.BufferOffset), 7680];
        Assert.Equal(11, offsets.Length);
        Initiator initiator = Reconnect(broken, "MaxRecvDataSegmentLength=700");
        initiator.Acknowledges = false;
        Assert.Equal(TaskManagementResponse.FunctionComplete, Claim(initiator, 1, out List<Pdu> answers, expDataSN == 10 ? 99 : expDataSN));
        uint first = expDataSN == 10 ? 0 : expDataSN;
        Assert.Equal(disk[offsets[first]..7680], answers.SelectMany(static pdu => pdu.Data));
        Assert.Equal(Enumerable.Range((int)first, answers.Count), answers.Select(static pdu => (int)pdu.DataIn.DataSN));
        Assert.All(answers, static pdu => Assert.Equal((pdu.DataIn.BufferOffset + pdu.Data.Length) % 2500 == 0 || pdu.DataIn.HasStatus, pdu.Final));
        initiator.SendSnack(SnackType.DataOrR2T, 1, first, 0);
        Assert.Equal(answers.Select(static pdu => pdu.Content), initiator.Receive().Select(static pdu => pdu.Content));
        initiator.Connection.Closed();
        broken.Node.Server.Tick(1);
        broken.Node.Server.Tick(1 + ((Wait + Retain) * 1000));
        Assert.Equal((0, 0), (initiator.Device.InUse, initiator.Node.Server.Sessions.Count));
    }

    [Fact]
    public void When_all_data_is_there_only_the_status_comes()
    {
        Initiator broken = LogIn("MaxRecvDataSegmentLength=512");
        broken.Acknowledges = false;
        broken.Read(1, 0, 2);
        broken.Receive();
        Initiator initiator = Reconnect(broken);
        Assert.Equal(TaskManagementResponse.FunctionComplete, Claim(initiator, 1, out List<Pdu> answers, expDataSN: 2));
        Assert.Equal((0, 2u), (Assert.Single(answers).Response.Status, answers[0].Response.ExpDataSN));
    }

    [Fact]
    public void Data_that_was_asked_for_is_asked_for_again_from_the_last_whole_PDU_on()
    {
        Initiator broken = LogIn("InitialR2T=Yes", "ImmediateData=No", "MaxBurstLength=4096", "MaxOutstandingR2T=2");
        byte[] data = Initiator.Pattern(12288);
        broken.Write(1, 0, 24);
        List<Pdu> r2ts = broken.Receive();
        broken.SendDataOut(1, r2ts[0].R2T.TargetTransferTag, 0, 0, data.AsSpan(0, 1024), final: false);
        byte[] cut = new byte[48 + 3072];
        DataOutPdu.WriteTo(cut, true, 0, 1, r2ts[0].R2T.TargetTransferTag, 0, 1, 1024, 3072);
        broken.Feed(cut.AsSpan(0, 1000));
        Initiator initiator = Reconnect(broken);
        Assert.Equal(TaskManagementResponse.FunctionComplete, Claim(initiator, 1, out List<Pdu> again));
        Assert.Equal([(0u, 1024u, 3072u), (1u, 4096u, 4096u)], again.Select(static pdu => (pdu.R2T.R2TSN, pdu.R2T.BufferOffset, pdu.R2T.DesiredLength)));
        Assert.Empty(again.Select(static pdu => pdu.R2T.TargetTransferTag).Intersect(r2ts.Select(static pdu => pdu.R2T.TargetTransferTag)));
        Writes.AnswerAll(initiator, data, again);
        Assert.Equal(data, initiator.Device.Disk[..data.Length]);
    }

    [Fact]
    public void The_rest_of_an_unsolicited_burst_is_asked_for()
    {
        Initiator broken = LogIn("InitialR2T=No", "FirstBurstLength=8192");
        byte[] data = Initiator.Pattern(8192);
        broken.Write(1, 0, 16, data[..1024], final: false);
        broken.SendDataOut(1, Initiator.None, 0, 1024, data.AsSpan(1024, 1024), final: false);
        Initiator initiator = Reconnect(broken);
        Assert.Equal(TaskManagementResponse.FunctionComplete, Claim(initiator, 1, out List<Pdu> answers));
        Assert.Equal((2048u, 6144u), (Assert.Single(answers).R2T.BufferOffset, answers[0].R2T.DesiredLength));
        Writes.AnswerAll(initiator, data, answers);
        Assert.Equal(data, initiator.Device.Disk[..8192]);
    }

    [Fact]
    public void A_write_whose_data_was_all_there_is_executed_while_nobody_claims_it()
    {
        Initiator broken = LogIn();
        broken.Device.HoldsPrepare = true;
        broken.Write(1, 0, 1, Initiator.Pattern(512));
        broken.Connection.Closed();
        broken.Device.PrepareHeld();
        Assert.Equal(Initiator.Pattern(512), broken.Device.Disk[..512]);
        Initiator initiator = broken.Join(cid: 0);
        Assert.Equal(TaskManagementResponse.FunctionComplete, Claim(initiator, 1, out List<Pdu> answers));
        Assert.Equal(0, Assert.Single(answers).Response.Status);
    }

    [Fact]
    public void A_task_is_allegiant_until_its_connection_is_logged_out()
    {
        Initiator broken = LogIn("MaxConnections=2");
        Initiator initiator = broken.Join(1);
        broken.Device.HoldsSubmit = true;
        broken.Read(1, 0, 1);
        Assert.Equal(TaskManagementResponse.TaskStillAllegiant, Claim(initiator, 1, out _));
        broken.Connection.Closed();
        Assert.Equal(TaskManagementResponse.TaskStillAllegiant, Claim(initiator, 1, out _));
        initiator.SendLogout(LogoutRequestPdu.RemoveConnectionForRecovery, connectionId: 0);
        Assert.Equal(LogoutResponsePdu.Closed, new LogoutResponsePdu(initiator.ReceiveOne().Header).Response);
        Assert.Equal(TaskManagementResponse.FunctionComplete, Claim(initiator, 1, out _));
        broken.Device.AnswerHeld();
        Assert.Equal(1u, initiator.ReceiveOne().Tag);
    }

    [Fact]
    public void A_connection_that_only_we_take_for_alive_is_logged_out_for_recovery_by_one_beyond_the_limit()
    {
        Initiator broken = LogIn("MaxConnections=1");
        broken.Device.HoldsSubmit = true;
        broken.Read(1, 0, 1);
        Initiator initiator = broken.Join(1);
        initiator.SendLogout(LogoutRequestPdu.RemoveConnectionForRecovery, connectionId: 0);
        var response = new LogoutResponsePdu(initiator.ReceiveOne().Header);
        Assert.Equal((LogoutResponsePdu.Closed, Wait, Retain), (response.Response, response.Time2WaitSeconds, response.Time2RetainSeconds));
        Assert.True(broken.Connection.CloseNow);
        Assert.Equal(TaskManagementResponse.FunctionComplete, Claim(initiator, 1, out _));
        broken.Connection.Closed();
        broken.Device.AnswerHeld();
        Assert.Equal(512, initiator.ReceiveOne().Data.Length);
        Assert.Equal([initiator.Connection], initiator.Connection.Session!.Connections);
    }

    [Theory]
    [InlineData(1, LogoutResponsePdu.CleanupFailed)] // itself
    [InlineData(9, LogoutResponsePdu.ConnectionIdNotFound)]
    public void What_cannot_be_logged_out_for_recovery_is_said(ushort connectionId, byte response)
    {
        Initiator initiator = LogIn("MaxConnections=2").Join(1);
        initiator.SendLogout(LogoutRequestPdu.RemoveConnectionForRecovery, connectionId);
        Assert.Equal(response, new LogoutResponsePdu(initiator.ReceiveOne().Header).Response);
        Assert.False(initiator.Connection.ShouldClose);
    }

    [Fact]
    public void Tasks_that_nobody_claims_in_time_end_with_a_deserted_session()
    {
        Initiator broken = LogIn();
        broken.Device.HoldsSubmit = true;
        broken.Read(1, 0, 1);
        broken.Connection.Closed();
        broken.Node.Server.Tick(5000);
        broken.Node.Server.Tick(5000 + ((Wait + Retain) * 1000) - 1);
        Assert.True(broken.Connection.Session!.IsAlive);
        Assert.Equal(1, broken.Connection.Session.OutstandingTasks);
        broken.Node.Server.Tick(5000 + ((Wait + Retain) * 1000));
        Assert.False(broken.Connection.Session.IsAlive);
        broken.Device.AnswerHeld();
        Assert.Equal((0, 0), (broken.Device.InUse, broken.Node.Server.Sessions.Count));
    }

    [Fact]
    public void Answers_that_nobody_claims_in_time_are_given_back_while_the_session_goes_on()
    {
        Initiator broken = LogIn("MaxConnections=2");
        Initiator other = broken.Join(1);
        broken.Acknowledges = false;
        broken.Read(1, 0, 1);
        broken.Receive();
        broken.Connection.Closed();
        broken.Node.Server.Tick(5000);
        Assert.Equal(1, broken.Device.InUse);
        broken.Node.Server.Tick(5000 + ((Wait + Retain) * 1000));
        Assert.Equal((0, true), (broken.Device.InUse, other.Connection.Session!.IsAlive));
    }

    [Fact]
    public void A_logout_of_a_lost_connection_ends_its_tasks()
    {
        Initiator broken = LogIn("MaxConnections=2");
        Initiator initiator = broken.Join(1);
        broken.Device.HoldsSubmit = true;
        broken.Read(1, 0, 1);
        broken.Connection.Closed();
        initiator.SendLogout(LogoutRequestPdu.CloseConnection, connectionId: 0);
        Assert.Equal(LogoutResponsePdu.Closed, new LogoutResponsePdu(initiator.ReceiveOne().Header).Response);
        Assert.Equal(TaskManagementResponse.TaskDoesNotExist, Claim(initiator, 1, out _));
        Assert.False(initiator.Connection.ShouldClose);
        Assert.Equal(0, initiator.Connection.Session!.OutstandingTasks);
    }

    [Fact]
    public void A_task_survives_a_second_loss_in_whatever_state()
    {
        Initiator broken = LogIn();
        broken.Acknowledges = false;
        broken.Read(1, 0, 1);
        broken.Receive();
        broken.Device.HoldsSubmit = true;
        broken.Read(2, 0, 1);
        Initiator second = Reconnect(broken);
        second.SendTaskManagement(TaskManagementFunction.TaskReassign, referenced: 1);
        second.SendTaskManagement(TaskManagementFunction.TaskReassign, referenced: 2);
        Initiator third = Reconnect(second); // nothing was sent
        Assert.Equal(TaskManagementResponse.FunctionComplete, Claim(third, 1, out List<Pdu> answers));
        Assert.Equal(512, Assert.Single(answers).Data.Length);
        Assert.Equal(TaskManagementResponse.FunctionComplete, Claim(third, 2, out _));
        third.Device.AnswerHeld();
        Assert.Equal(512, third.ReceiveOne().Data.Length);
        third.SendLogout(LogoutRequestPdu.CloseSession);
        third.Receive();
        third.Connection.Closed();
        Assert.Equal((0, 0), (third.Device.InUse, third.Node.Server.Sessions.Count));
    }

    [Fact]
    public void A_command_held_ahead_of_a_gap_runs_without_its_connection()
    {
        Initiator broken = LogIn();
        uint gap = broken.CmdSN++;
        broken.Write(1, 0, 1, Initiator.Pattern(512));
        Initiator initiator = Reconnect(broken);
        initiator.SendNop(2, cmdSN: gap);
        Assert.Equal(Initiator.Pattern(512), broken.Device.Disk[..512]);
        initiator.Receive();
        Assert.Equal(TaskManagementResponse.FunctionComplete, Claim(initiator, 1, out List<Pdu> answers));
        Assert.Equal(0, Assert.Single(answers).Response.Status);
    }

    [Fact]
    public void A_retry_takes_up_a_command_that_is_still_held_ahead_of_a_gap()
    {
        Initiator broken = LogIn();
        uint gap = broken.CmdSN++;
        broken.Write(1, 0, 1, Initiator.Pattern(512));
        Initiator initiator = Reconnect(broken);
        initiator.SendCommand(ScsiCommandPdu.WriteBit, 1, 512, Initiator.Cdb(0x2A, 0, 1), Initiator.Pattern(512), cmdSN: gap + 1);
        initiator.SendNop(2, cmdSN: gap);
        Assert.Equal([1u, 2u], initiator.Receive().Select(static pdu => pdu.Tag).Order());
        Assert.Equal(Initiator.Pattern(512), broken.Device.Disk[..512]);
        Assert.Equal(0, initiator.Connection.Session!.OutstandingTasks);
    }

    [Fact]
    public void A_reset_ends_tasks_that_have_no_connection()
    {
        Initiator broken = LogIn();
        broken.Device.HoldsSubmit = true;
        broken.Read(1, 0, 1);
        Initiator initiator = Reconnect(broken);
        initiator.SendTaskManagement(TaskManagementFunction.LogicalUnitReset);
        Assert.Equal(0, initiator.ReceiveOne().TaskManagementResponse);
        Assert.Equal(TaskManagementResponse.TaskDoesNotExist, Claim(initiator, 1, out _));
    }

    [Fact]
    public void A_new_session_of_the_initiator_port_ends_what_was_kept()
    {
        Initiator broken = LogIn();
        broken.Acknowledges = false;
        broken.Read(1, 0, 1);
        broken.Receive();
        broken.Connection.Closed();
        Assert.Equal(1, broken.Device.InUse);
        new Initiator(broken.Node).Login();
        Assert.Equal((0, 1), (broken.Device.InUse, broken.Node.Server.Sessions.Count));
    }

    [Fact]
    public void A_deserted_session_makes_room_for_a_new_one()
    {
        Initiator broken = LogIn();
        broken.Connection.Closed();
        foreach (ulong isid in new ulong[] { 5, 6 })
        {
            var other = new Initiator(broken.Node);
            other.SendLogin(1, 3, transit: true, Initiator.Text(Initiator.Names), isid: isid);
            Assert.Equal(0, other.ReceiveOne().Login.Status);
        }

        Assert.False(broken.Connection.Session!.IsAlive);
    }

    [Fact]
    public void Without_time_to_retain_nothing_is_kept()
    {
        Initiator broken = LogIn("MaxConnections=2");
        Initiator none = new Initiator(broken.Node).Login("ErrorRecoveryLevel=2", "DefaultTime2Retain=0");
        none.Device.HoldsSubmit = true;
        none.Read(1, 0, 1);
        none.Connection.Closed();
        Assert.False(none.Connection.Session!.IsAlive);
    }
}
