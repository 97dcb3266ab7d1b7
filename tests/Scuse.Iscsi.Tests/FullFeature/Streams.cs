using Scuse.Iscsi.Pdus;
using Scuse.Iscsi.Tests.Rig;
using Scuse.Target;

namespace Scuse.Iscsi.Tests.FullFeature;

/// <summary>However the byte streams are cut, the same bytes come out.</summary>
public class Streams
{
    public static TheoryData<string, Cut, int> Cuts
    {
        get
        {
            var data = new TheoryData<string, Cut, int>();
            foreach (string name in Scenarios.Keys)
            {
                data.Add(name, Cut.OneByte, 0);
                for (int seed = 1; seed <= 5; seed++)
                {
                    data.Add(name, Cut.Random, seed);
                }
            }

            return data;
        }
    }

    static readonly Dictionary<string, Action<Initiator>> Scenarios = new()
    {
        ["reads"] = static i =>
        {
            i.Login("MaxRecvDataSegmentLength=1000", "MaxBurstLength=2500");
            Initiator.Pattern(20_000).CopyTo(i.Device.Disk, 0);
            i.Read(1, 0, 20);
            i.Read(2, 3, 1, expected: 301);
            i.Read(3, 3, 1, expected: 1000);
            i.Receive();
        },
        ["immediate, unsolicited and solicited"] = static i =>
        {
            i.Login("InitialR2T=No", "ImmediateData=Yes", "FirstBurstLength=8192", "MaxBurstLength=16384", "MaxOutstandingR2T=2");
            byte[] data = Initiator.Pattern(65536);
            i.Write(5, 0, 128, data[..4097], final: false);
            i.SendDataOut(5, Initiator.None, 0, 4097, data.AsSpan(4097, 1000), final: false);
            i.SendDataOut(5, Initiator.None, 1, 5097, data.AsSpan(5097, 3095), final: true);
            Writes.AnswerAll(i, data, i.Receive());
            Assert.Equal(data, i.Device.Disk[..65536]);
        },
        ["digests"] = static i =>
        {
            i.Login(
                "HeaderDigest=CRC32C", "DataDigest=CRC32C", "InitialR2T=No", "FirstBurstLength=8192", "MaxBurstLength=16384", "MaxRecvDataSegmentLength=1001");
            byte[] data = Initiator.Pattern(65536);
            i.Write(5, 0, 128, data[..4097], final: false);
            i.SendDataOut(5, Initiator.None, 0, 4097, data.AsSpan(4097, 4095), final: true);
            Writes.AnswerAll(i, data, i.Receive());
            i.Read(6, 0, 128);
            i.SendCommand(0, 7, 0, [0xC0, .. Initiator.Pattern(100)], lun: 0x0007_0000_0000_0000);
            i.SendNop(8, Initiator.Pattern(999), immediate: true);
            i.Write(9, 0, 2, Initiator.Pattern(1021), expected: 1021);
            i.Receive();
            Assert.Equal(data[1024..], i.Device.Disk[1024..65536]);
        },
        ["damaged data"] = static i =>
        {
            i.Login("DataDigest=CRC32C", "InitialR2T=Yes", "MaxBurstLength=4096", "MaxOutstandingR2T=2");
            byte[] data = Initiator.Pattern(8192);
            i.Write(5, 0, 16);
            List<Pdu> r2ts = i.Receive();
            i.NextDamage = Damage.Data;
            i.SendDataOut(5, r2ts[0].R2T.TargetTransferTag, 0, 0, data.AsSpan(0, 4096), final: true);
            i.SendDataOut(5, r2ts[1].R2T.TargetTransferTag, 0, 4096, data.AsSpan(4096), final: true);
            i.NextDamage = Damage.Data;
            i.SendNop(8, Initiator.Pattern(999), immediate: true);
            i.Receive();
        },
        ["damage that is recovered from"] = static i =>
        {
            i.Login(
                "ErrorRecoveryLevel=1", "HeaderDigest=CRC32C", "DataDigest=CRC32C", "InitialR2T=No", "FirstBurstLength=4096", "MaxBurstLength=4096",
                "MaxOutstandingR2T=2", "MaxRecvDataSegmentLength=1001");
            i.Acknowledges = false;
            byte[] data = Initiator.Pattern(16384);
            uint number = i.CmdSN;
            i.NextDamage = Damage.Data;
            i.Write(5, 0, 32, data[..1025], final: false);
            i.SendCommand(ScsiCommandPdu.WriteBit, 5, 16384, Initiator.Cdb(0x2A, 0, 32), data[..1025], final: false, cmdSN: number);
            i.NextDamage = Damage.Data;
            i.SendDataOut(5, Initiator.None, 0, 1025, data.AsSpan(1025, 1000), final: false);
            i.SendDataOut(5, Initiator.None, 1, 2025, data.AsSpan(2025, 2071), final: true);
            List<Pdu> answers = i.Receive();
            i.SendSnack(SnackType.DataOrR2T, 5, 1, 1);
            i.Receive();
            i.NextDamage = Damage.Data;
            Writes.AnswerAll(i, data, [.. answers.Where(static pdu => pdu.Opcode == Opcode.R2T)]);
            i.Read(6, 0, 32);
            i.Receive();
            i.SendSnack(SnackType.DataOrR2T, 6, 3, 5);
            i.SendSnack(SnackType.DataAck, Initiator.None, 2, 0, mark: 6);
            i.NextDamage = Damage.Data;
            i.SendText(Initiator.Text("MaxRecvDataSegmentLength=600"));
            i.CmdSN--;
            i.SendText(Initiator.Text("MaxRecvDataSegmentLength=600"));
            i.SendSnack(SnackType.ResegmentedData, 6, 0, 0, mark: 1);
            i.SendSnack(SnackType.Status, Initiator.None, 0, 0);
            i.Receive();
            Assert.Equal(data, i.Device.Disk[..data.Length]);
        },
        ["late room"] = static i =>
        {
            i.Login("InitialR2T=No", "FirstBurstLength=65536");
            i.Device.HoldsPrepare = true;
            byte[] data = Initiator.Pattern(32768);
            i.Write(5, 0, 64, data[..20_001], final: false);
            i.SendDataOut(5, Initiator.None, 0, 20_001, data.AsSpan(20_001), final: true);
            i.Device.PrepareHeld();
            i.Receive();
            Assert.Equal(data, i.Device.Disk[..32768]);
        },
        ["residuals and refusals"] = static i =>
        {
            i.Login();
            i.Write(1, 0, 1, Initiator.Pattern(10_000), expected: 10_000);
            i.SendCommand(ScsiCommandPdu.WriteBit, 2, 5000, Initiator.Cdb(0x2A, 0, 1), Initiator.Pattern(5000), lun: 0x0007_0000_0000_0000);
            i.SendCommand(ScsiCommandPdu.ReadBit | ScsiCommandPdu.WriteBit, 3, 1001, Initiator.Cdb(0xC1), Initiator.Pattern(1001), bidirectionalRead: 777);
            i.SendCommand(0, 4, 0, [0xC0, .. Initiator.Pattern(100)]);
            i.Receive();
        },
        ["out of order, pings, management, text, logout"] = static i =>
        {
            i.Login();
            i.SendNop(9, Initiator.Pattern(70_001), cmdSN: i.CmdSN + 1);
            i.Write(1, 0, 2, Initiator.Pattern(1024));
            i.CmdSN++;
            i.Device.HoldsSubmit = true;
            i.Read(2, 0, 1);
            i.SendTaskManagement(TaskManagementFunction.AbortTask, referenced: 2);
            i.SendText(Initiator.Text("SendTargets="));
            i.SendLogout(LogoutRequestPdu.CloseSession);
            i.Receive();
        },
    };

    [Theory]
    [MemberData(nameof(Cuts))]
    public void The_same_bytes_come_out_in_whatever_pieces(string scenario, Cut cut, int seed)
    {
        var options = new IscsiOptions { ErrorRecoveryLevel = 1 };
        var whole = new Initiator(new Node(options));
        Scenarios[scenario](whole);
        var cutUp = new Initiator(new Node(options, segmentBytes: cut == Cut.Random ? 512 * seed : 4096), cut, seed);
        Scenarios[scenario](cutUp);
        Assert.True(whole.Transcript.AsSpan().SequenceEqual(cutUp.Transcript), $"{scenario}, {cut}, seed {seed}");
        cutUp.Connection.Closed();
        Assert.Equal(0, cutUp.Device.InUse);
    }
}
