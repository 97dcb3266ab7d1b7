using Scuse.Iscsi.Pdus;
using Scuse.Iscsi.Tests.Rig;
using Scuse.Target;

namespace Scuse.Iscsi.Tests.Hostile;

/// <summary>Sessions at ErrorRecoveryLevel 2 whose connections break, whose lines do damage and whose initiator asks for anything again.</summary>
public class RandomRecovery
{
    [Theory]
    [InlineData(1)]
    [InlineData(20261127)]
    public void Whatever_breaks_every_tasks_memory_is_given_back_once(int seed)
    {
        Random random = new(seed);
        _sentAgain = _claimed = _lost = 0;
        for (int session = 0; session < 150; session++)
        {
            var node = new Node(new IscsiOptions { CommandWindow = 16, MaxRecvDataSegmentLength = 16384, ErrorRecoveryLevel = 2, LoginsPerSecond = 0 }, segmentBytes: 512);
            string[] digests = random.Next(2) == 0 ? [] : ["HeaderDigest=CRC32C", "DataDigest=CRC32C"];
            List<Initiator> connections =
            [
                new Initiator(node, Cut.Whole, seed).Login(
                    [.. digests, "ErrorRecoveryLevel=2", "MaxConnections=3", "InitialR2T=No", "FirstBurstLength=4096", "MaxBurstLength=2048", "MaxRecvDataSegmentLength=700"]),
            ];
            try
            {
                for (int i = 0; i < 300 && connections[0].Connection.Session!.IsAlive; i++)
                {
                    Step(random, connections, digests);
                }
            }
            catch (Exception exception) when (exception is not Xunit.Sdk.XunitException)
            {
                throw new InvalidOperationException($"seed {seed}, session {session}", exception);
            }

            connections.ForEach(static connection => connection.Connection.Closed());
            node.Server.Tick(1);
            node.Server.Tick(10_000_000);
            node.Device.AnswerHeld();
            Assert.Empty(node.Device.Preparing);
            Assert.True(
                node.Server.Sessions.Count == 0 && node.Device.InUse == 0 && connections[0].Connection.Session!.OutstandingTasks == 0,
                $"seed {seed}, session {session}: {node.Device.InUse} in use, {connections[0].Connection.Session!.OutstandingTasks} outstanding");
        }

        Assert.True(Math.Min(_sentAgain, Math.Min(_claimed, _lost)) > 100, $"sent again {_sentAgain}, claimed {_claimed}, lost {_lost}: too few to tell anything");
    }

    // What a run has come to.
    int _sentAgain;
    int _claimed;
    int _lost;

    void Step(Random random, List<Initiator> connections, string[] digests)
    {
        Initiator one = connections[random.Next(connections.Count)];
        FakeBackstore device = one.Device;
        IscsiSession session = one.Connection.Session!;
        uint tag = (uint)random.Next(10);
        one.CmdSN = session.Tasks.Window.ExpCmdSN + (random.Next(6) == 0 ? (uint)random.Next(4) : 0);
        one.Acknowledges = random.Next(4) != 0;
        one.NextDamage = digests.Length == 0 || random.Next(8) != 0 ? Damage.None : random.Next(20) == 0 ? Damage.Header : Damage.Data;
        switch (random.Next(20))
        {
            case 0:
                device.HoldsSubmit = !device.HoldsSubmit;
                device.AnswerHeld();
                break;
            case 1:
                device.HoldsPrepare = !device.HoldsPrepare;
                device.PrepareHeld();
                break;
            case 2 when random.Next(3) == 0:
                _lost++;
                one.Connection.Closed();
                break;
            case 2:
                one.SendLogout(LogoutRequestPdu.RemoveConnectionForRecovery, (ushort)random.Next(4));
                break;
            case 3 or 4 when session.HasRoomFor((ushort)(tag & 3)):
                connections.Add(one.Join((ushort)(tag & 3), [.. digests, $"MaxRecvDataSegmentLength={512 + random.Next(1000)}"]));
                break;
            case 5 or 6:
                one.Receive();
                one.SendTaskManagement(TaskManagementFunction.TaskReassign, referenced: tag, expDataSN: (uint)random.Next(8));
                _claimed += one.Receive() is [{ Opcode: Opcode.TaskManagementResponse, TaskManagementResponse: 0 }, ..] ? 1 : 0;
                break;
            case 7:
                one.SendTaskManagement((TaskManagementFunction)random.Next(1, 8), referenced: tag, cmdSN: one.CmdSN + (uint)random.Next(3));
                break;
            case 8 or 9 or 10:
                one.Read(tag, (uint)random.Next(100), (ushort)random.Next(20));
                break;
            case 11 or 12:
                one.Write(tag, (uint)random.Next(100), 16, random.Next(2) == 0 ? new byte[1024] : null, final: random.Next(2) == 0);
                break;
            case 13 or 14 or 15:
                BringData(random, one, session, tag);
                break;
            case 16:
                long rejects = session.Rejects;
                bool whole = random.Next(2) == 0;
                one.SendSnack(
                    (SnackType)random.Next(4), tag, whole ? 0 : (uint)random.Next(12), whole ? 0 : (uint)random.Next(6), mark: random.Next(2) == 0 ? tag : 77);
                _sentAgain += session.Rejects == rejects ? 1 : 0;
                break;
            case 17:
                one.SendSnack(SnackType.Status, Initiator.None, (uint)random.Next(2) * (one.ExpStatSN - (uint)random.Next(4)), (uint)random.Next(3));
                break;
            case 18:
                one.SendText(Initiator.Text($"MaxRecvDataSegmentLength={512 + random.Next(1000)}"));
                break;
            default:
                one.SendNop(tag, new byte[random.Next(600)], immediate: random.Next(2) == 0);
                break;
        }

        if (random.Next(3) != 0)
        {
            one.Pump();
        }

        if (random.Next(100) == 0)
        {
            one.Node.Server.Tick(one.NowMs += 15_000);
        }

        CloseWhatAsksForIt(connections);
    }

    /// <summary>What a host does when it is asked to. At least one connection stays on the list, open or not.</summary>
    static void CloseWhatAsksForIt(List<Initiator> connections)
    {
        foreach (Initiator connection in connections.Where(static connection => connection.Connection.ShouldClose))
        {
            connection.Connection.Closed();
        }

        if (connections.Exists(static connection => !connection.Connection.ShouldClose))
        {
            connections.RemoveAll(static connection => connection.Connection.ShouldClose);
        }
        else if (connections[0].Connection.Session is { IsAlive: true } session && session.HasRoomFor(0))
        {
            connections.Add(connections[0].Join(0));
        }
    }

    /// <summary>A Data-Out that fits what was asked for, or nearly.</summary>
    static void BringData(Random random, Initiator one, IscsiSession session, uint tag)
    {
        Iscsi.FullFeature.IscsiTask? task = session.Tasks.Find(tag);
        uint transferTag = Initiator.None;
        int offset = task?.NextOffset ?? 0, length = random.Next(1, 5) * 256;
        bool final = random.Next(2) == 0;
        if (task is { R2TCount: > 0 })
        {
            Iscsi.FullFeature.OpenR2T r2t = task.R2Ts[task.FirstR2T];
            transferTag = r2t.TargetTransferTag;
            length = Math.Min(length, r2t.End - offset);
            final = offset + length == r2t.End;
        }

        uint dataSN = (task?.ExpDataSN ?? 0) + (random.Next(20) == 0 ? 1u : 0);
        one.SendDataOut(tag, transferTag, dataSN, offset, new byte[Math.Max(length, 0)], final);
    }
}
