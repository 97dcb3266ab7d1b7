using Scuse.Iscsi.Pdus;
using Scuse.Iscsi.Tests.Rig;

namespace Scuse.Iscsi.Tests.Hostile;

/// <summary>What an initiator that is logged in can tie up of what all share, and for how long.</summary>
public class Floods
{
    const int Ping = 256 << 10;

    static readonly Memory<byte>[] s_buffers = new Memory<byte>[8];

    static bool IsRead(Initiator initiator) => initiator.Connection.GetReceiveBuffers(s_buffers) > 0;

    // ---- memory ----

    [Theory]
    [InlineData("MaxRecvDataSegmentLength=262144")]
    [InlineData("MaxRecvDataSegmentLength=512")] // the echo is short, what holds it is not
    public void Pings_whose_echo_is_not_taken_hold_a_mebibyte_and_then_reading_pauses(string key)
    {
        Initiator initiator = new Initiator(new Node()).Login(key);
        uint sent = 0;
        while (IsRead(initiator) && sent < 100)
        {
            initiator.SendNop(sent++, new byte[Ping], immediate: true);
        }

        Assert.Equal((4u, 4L * Ping), (sent, initiator.Node.Server.Buffers.RentedBytes));
        initiator.Receive();
        Assert.True(IsRead(initiator));
        Assert.Equal(0, initiator.Node.Server.Buffers.RentedBytes);
    }

    [Fact]
    public void Echoes_that_are_not_acknowledged_are_kept_within_the_limit_by_what_they_hold()
    {
        Initiator initiator = new Initiator(new Node(new IscsiOptions { ErrorRecoveryLevel = 1 })).Login("ErrorRecoveryLevel=1", "MaxRecvDataSegmentLength=512");
        initiator.Acknowledges = false;
        for (uint tag = 0; tag < 100; tag++)
        {
            initiator.SendNop(tag, new byte[Ping], immediate: true);
            initiator.Receive();
        }

        Assert.InRange(initiator.Node.Server.Buffers.RentedBytes, 1, Output.SentStatuses.MaxBytes);
    }

    /// <summary>Data whose command waits for room, and requests ahead of a gap.</summary>
    [Fact]
    public void Beyond_the_memory_for_all_the_session_that_ties_up_the_most_is_ended()
    {
        var node = new Node(new IscsiOptions { MaxBufferedBytes = 4 << 20 });
        Initiator modest = new Initiator(node, remote: "10.0.0.1:1").Login("InitialR2T=No", "FirstBurstLength=262144");
        var greedy = new Initiator(node, remote: "10.0.0.2:1");
        greedy.SendLogin(1, 3, transit: true, Initiator.Text(["InitiatorName=iqn.2026-11.example:greedy", .. Initiator.Names[1..]]));
        Assert.Equal(0, greedy.ReceiveOne().Login.Status);
        node.Device.HoldsPrepare = true;
        modest.Write(1, 0, 512, new byte[Ping]);

        uint sent = 0;
        while (greedy.Connection is { ShouldClose: false } && sent < 100)
        {
            greedy.SendNop(sent++, new byte[Ping], cmdSN: greedy.CmdSN + 1 + sent);
        }

        Assert.Equal(16u, sent); // 15 beside the modest one's piece are 4 MiB, one more is too much
        Assert.True(greedy.Connection.CloseNow);
        Assert.Contains("iqn.2026-11.example:greedy", Assert.Single(greedy.CloseRequests), StringComparison.Ordinal);
        Assert.Same(modest.Connection.Session, Assert.Single(node.Server.Sessions));
        greedy.Connection.Closed();
        Assert.Equal(Ping, node.Server.Buffers.RentedBytes);
        node.Device.HoldsPrepare = false;
        node.Device.PrepareHeld();
        modest.Receive();
        Assert.Equal((0L, 0), (node.Server.Buffers.RentedBytes, modest.Connection.Session!.OutstandingTasks));
    }

    [Fact]
    public void What_one_session_can_tie_up_ends_with_its_command_window()
    {
        var node = new Node(new IscsiOptions { CommandWindow = 16, MaxImmediateCommands = 4 });
        Initiator initiator = new Initiator(node).Login("InitialR2T=No", "FirstBurstLength=262144");
        node.Device.HoldsPrepare = true;
        for (uint tag = 0; tag < 40; tag++)
        {
            initiator.SendCommand(ScsiCommandPdu.WriteBit, tag, Ping, Initiator.Cdb(0x2A, 0, 512), new byte[Ping], immediate: tag % 2 == 0);
        }

        Assert.All(initiator.Receive(), static pdu => Assert.Equal(RejectReason.TooManyImmediateCommands, pdu.RejectReason));
        Assert.Equal((16 + 4) * (long)Ping, initiator.Connection.Session!.BufferedBytes);
    }

    // ---- an initiator that does not listen ----

    [Fact]
    public void An_initiator_that_takes_none_of_its_output_is_closed_though_it_talks()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        initiator.Read(1, 0, 64);
        long start = initiator.NowMs;
        for (int second = 0; second < 30; second++)
        {
            initiator.NowMs = start + (second * 1000);
            initiator.SendNop(Initiator.None, immediate: true); // a sign of life
            initiator.Connection.Tick(initiator.NowMs);
            Assert.Empty(initiator.CloseRequests);
        }

        initiator.Connection.Tick(start + 30_000);
        Assert.Contains("took 0 bytes", Assert.Single(initiator.CloseRequests), StringComparison.Ordinal);
        initiator.Connection.Closed();
        Assert.Equal(0, initiator.Device.InUse);
    }

    [Theory]
    [InlineData(1_000, true)]
    [InlineData(3_000, false)]
    public void One_that_takes_a_trickle_is_closed_and_one_on_a_slow_line_is_not(int bytesPerSecond, bool isClosed)
    {
        Initiator initiator = new Initiator(new Node()).Login();
        for (uint tag = 0; tag < 32; tag++)
        {
            initiator.Read(tag, 0, 64);
        }

        long start = initiator.NowMs;
        for (int second = 0; second < 300 && !initiator.Connection.ShouldClose; second++)
        {
            initiator.NowMs = start + (second * 1000);
            Take(initiator, bytesPerSecond);
            initiator.SendNop(Initiator.None, immediate: true);
            initiator.Connection.Tick(initiator.NowMs);
        }

        Assert.Equal(isClosed, initiator.Connection.CloseNow);
    }

    [Fact]
    public void One_that_takes_little_because_there_is_little_is_not_closed()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        long start = initiator.NowMs;
        for (int second = 0; second < 200; second++)
        {
            initiator.NowMs = start + (second * 1000);
            initiator.SendNop(5, immediate: true);
            initiator.Connection.Tick(initiator.NowMs); // each time there is output
            initiator.Receive();
        }

        Assert.Empty(initiator.CloseRequests);
    }

    static void Take(Initiator initiator, int bytes)
    {
        while (bytes > 0 && initiator.Connection.GetSendBuffers(s_buffers) is > 0 and var count)
        {
            int offered = s_buffers.Take(count).Sum(static buffer => buffer.Length);
            initiator.Connection.Sent(Math.Min(bytes, offered));
            bytes -= offered;
        }
    }

    // ---- one that says more than can be under way ----

    [Fact]
    public void More_requests_at_once_than_may_be_under_way_are_a_flood_that_is_read_in_small_portions()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        byte[] header = new byte[48];
        NopOutPdu.WriteTo(header, 0, Initiator.None, Initiator.None, initiator.CmdSN, initiator.ExpStatSN, 0, immediate: true);
        byte[] flood = [.. Enumerable.Repeat(header, 200).SelectMany(static pdu => pdu)];

        initiator.Feed(flood);
        Assert.True(initiator.Connection.IsFlooding);
        Assert.Equal(1, initiator.Connection.GetReceiveBuffers(s_buffers));
        Assert.Equal(1024, s_buffers[0].Length);

        initiator.Feed(flood);
        initiator.SendNop(Initiator.None, immediate: true);
        Assert.False(initiator.Connection.IsFlooding);
        Assert.Equal(1, initiator.Connection.GetReceiveBuffers(s_buffers));
        Assert.Equal(65536, s_buffers[0].Length);
    }

    [Fact]
    public void A_window_full_of_commands_is_no_flood()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        List<byte> commands = [];
        for (uint tag = 0; tag < 128; tag++)
        {
            byte[] header = new byte[48];
            ScsiCommandPdu.WriteTo(header, BasicHeader.FinalBit | ScsiCommandPdu.ReadBit, 0, tag, 512, initiator.CmdSN++, initiator.ExpStatSN, Initiator.Cdb(0x28, 0, 1));
            commands.AddRange(header);
        }

        initiator.Feed([.. commands]);
        Assert.False(initiator.Connection.IsFlooding);
        Assert.Equal(128, initiator.Receive().Count);
    }

    // ---- one that does nothing ----

    [Fact]
    public void A_session_that_has_nothing_to_send_holds_no_ring_of_headers()
    {
        var node = new Node();
        Initiator[] initiators = [.. Enumerable.Range(0, 50).Select(number =>
        {
            var initiator = new Initiator(node, remote: $"10.0.0.9:{number}");
            initiator.SendLogin(1, 3, transit: true, Initiator.Text([$"InitiatorName=iqn.2026-11.example:{number}", .. Initiator.Names[1..]]));
            initiator.ReceiveOne();
            initiator.SendNop(1, immediate: true);
            initiator.ReceiveOne();
            return initiator;
        })];

        Output.PieceWriter writer = node.Server.Writers.Rent();
        node.Server.Writers.Return(writer);
        initiators[0].SendNop(1, immediate: true);
        Assert.True(initiators[0].Connection.GetSendBuffers(s_buffers) > 0);
        Assert.NotSame(writer, node.Server.Writers.Rent()); // it is the one in use
        Assert.Equal(50, node.Server.Sessions.Count);
    }
}
