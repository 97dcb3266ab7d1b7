using Scuse.Iscsi.Pdus;
using Scuse.Iscsi.Tests.Rig;

namespace Scuse.Iscsi.Tests.Hostile;

public class RandomPdus
{
    const int Count = 300_000;

    /// <summary>Random and mutated PDUs against a logged-in connection: it answers, rejects or closes, and gives back every task's memory.</summary>
    [Theory]
    [InlineData(20261122)]
    [InlineData(7)]
    public void Nothing_an_initiator_sends_does_harm_beyond_its_own_connection(int seed)
    {
        Random random = new(seed);
        int sent = 0;
        try
        {
            while (sent < Count / 2)
            {
                var node = new Node(new IscsiOptions { CommandWindow = 16, MaxRecvDataSegmentLength = 65536 }, segmentBytes: 512);
                Initiator initiator = new Initiator(node, Cut.Whole, seed).Login("InitialR2T=No", "ImmediateData=Yes", "FirstBurstLength=16384", "MaxBurstLength=4096");
                for (int i = 0; i < 400 && !initiator.Connection.ShouldClose; i++, sent++)
                {
                    Step(random, initiator);
                }

                initiator.Connection.Closed();
                node.Device.AnswerHeld();
                Assert.Empty(node.Device.Preparing);
                Assert.Equal(0, node.Device.InUse);
            }
        }
        catch (Exception exception) when (exception is not Xunit.Sdk.XunitException)
        {
            throw new InvalidOperationException($"seed {seed}, PDU {sent}", exception);
        }
    }

    static void Step(Random random, Initiator initiator)
    {
        uint tag = (uint)random.Next(12);
        int choice = random.Next(100);
        if (choice < 3)
        {
            initiator.Device.HoldsSubmit = !initiator.Device.HoldsSubmit;
            initiator.Device.AnswerHeld();
        }
        else if (choice < 6)
        {
            initiator.Device.HoldsPrepare = !initiator.Device.HoldsPrepare;
            initiator.Device.PrepareHeld();
        }
        else if (choice < 10)
        {
            initiator.Device.IsBusyWhenCancelled = !initiator.Device.IsBusyWhenCancelled;
            initiator.Device.AnswerHeld();
        }

        byte[] pdu = new byte[48 + random.Next(3) * 1024];
        int data = pdu.Length - 48;
        uint cmdSN = initiator.CmdSN + (uint)(random.Next(8) == 0 ? random.Next(-2, 6) : 0);
        bool immediate = random.Next(6) == 0;
        byte[] cdb = Initiator.Cdb((byte)(random.Next(4) == 0 ? 0xC1 : random.Next(2) == 0 ? 0x28 : 0x2A), (uint)random.Next(100), (ushort)random.Next(64));
        switch (random.Next(10))
        {
            case 0 or 1 or 2:
                ScsiCommandPdu.WriteTo(pdu, (byte)(0xC1 | (random.Next(8) == 0 ? 0x20 : 0)), 0, tag, (uint)random.Next(40_000), cmdSN, 0, cdb, 0, 0, immediate);
                pdu = pdu[..48];
                break;
            case 3 or 4 or 5:
                ScsiCommandPdu.WriteTo(pdu, (byte)(random.Next(2) == 0 ? 0xA1 : 0x21), 0, tag, (uint)random.Next(40_000), cmdSN, 0, cdb, 0, data, immediate);
                break;
            case 6:
                AnswerSomething(random, initiator, ref pdu, tag);
                break;
            case 7:
                TaskManagementRequestPdu.WriteTo(pdu, (byte)random.Next(10), 0, 0x8000, tag, cmdSN - (uint)random.Next(4), cmdSN, 0, immediate);
                pdu = pdu[..48];
                break;
            case 8:
                NopOutPdu.WriteTo(pdu, 0, random.Next(4) == 0 ? Initiator.None : tag, Initiator.None, cmdSN, 0, data, immediate);
                break;
            default:
                TextRequestPdu.WriteTo(pdu, random.Next(2) == 0, random.Next(4) == 0, tag, random.Next(2) == 0 ? Initiator.None : (uint)random.Next(4), cmdSN, 0, data);
                break;
        }

        if (random.Next(12) == 0)
        {
            pdu[random.Next(48)] = (byte)random.Next(256);
        }

        if (random.Next(2000) == 0)
        {
            random.NextBytes(pdu);
        }

        initiator.CmdSN = initiator.Connection.Session!.Tasks.Window.ExpCmdSN;
        initiator.Feed(pdu);
        initiator.CmdSN = initiator.Connection.Session!.Tasks.Window.ExpCmdSN;
        if (random.Next(4) != 0)
        {
            initiator.Pump();
        }

        if (random.Next(50) == 0)
        {
            initiator.Connection.Tick(initiator.NowMs += random.Next(20_000));
        }
    }

    /// <summary>A Data-Out that fits what was asked for, more often than not.</summary>
    static void AnswerSomething(Random random, Initiator initiator, ref byte[] pdu, uint tag)
    {
        Iscsi.FullFeature.IscsiTask? task = initiator.Connection.Session!.Tasks.Find(tag);
        int length = random.Next(5) * 512;
        uint transferTag = Initiator.None;
        bool final = random.Next(2) == 0;
        if (task is { R2TCount: > 0 })
        {
            transferTag = task.R2Ts[task.FirstR2T].TargetTransferTag;
            length = Math.Min(length, task.R2Ts[task.FirstR2T].End - task.NextOffset);
            final = task.NextOffset + length == task.R2Ts[task.FirstR2T].End;
        }

        pdu = new byte[48 + length + BasicHeader.PaddingFor(length)];
        DataOutPdu.WriteTo(pdu, final, 0, tag, transferTag, 0, task?.ExpDataSN ?? 0, (uint)(task?.NextOffset ?? 0), length);
    }

    [Fact]
    public void Random_bytes_before_login_end_the_connection()
    {
        const int seed = 99;
        Random random = new(seed);
        for (int i = 0; i < 2000; i++)
        {
            var initiator = new Initiator(new Node());
            byte[] bytes = new byte[random.Next(1, 20_000)];
            random.NextBytes(bytes);
            if (random.Next(2) == 0)
            {
                LoginRequestPdu.WriteTo(bytes.AsSpan(0).Length >= 48 ? bytes : bytes = new byte[48], (byte)random.Next(256), 1, 0, 1, 0, 1, 1, Math.Min(bytes.Length - 48, random.Next(9000)));
            }

            initiator.Feed(bytes);
            initiator.Pump();
            initiator.Connection.Closed();
        }
    }
}
