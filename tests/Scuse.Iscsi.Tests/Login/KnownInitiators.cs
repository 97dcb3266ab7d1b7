using System.Buffers.Binary;
using Scuse.Iscsi.Pdus;
using Scuse.Iscsi.Tests.Rig;

namespace Scuse.Iscsi.Tests.Login;

/// <summary>The logins of initiators in wide use, key by key as they were recorded, and what each of them is told. docs/interoperability.md says where the records are from.</summary>
public class KnownInitiators
{
    const int OpcodeOffset = 0, ImmediateBit = 0x40;

    /// <summary>One login request of a record.</summary>
    /// <param name="Csg">The stage that it is in.</param>
    /// <param name="Nsg">The stage that it asks for; it has the T bit.</param>
    /// <param name="Keys">Its keys in their order.</param>
    /// <param name="Answers">Every key that comes back, in its order.</param>
    public sealed record Step(int Csg, int Nsg, string[] Keys, string[] Answers);

    static readonly Dictionary<string, (ulong Isid, ushort Cid, uint Tag, Step[] Steps)> Records = new(StringComparer.Ordinal)
    {
        ["open-iscsi"] = (0x00_02_3D_01_00_00, 0, 0,
        [
            new(
                0, 1, [.. Initiator.Names, "InitiatorAlias=host", "AuthMethod=None"],
                ["TargetPortalGroupTag=1", "AuthMethod=None"]),
            new(
                1, 3,
                [
                    "HeaderDigest=None", "DataDigest=None", "DefaultTime2Wait=2", "DefaultTime2Retain=0", "IFMarker=No", "OFMarker=No", "ErrorRecoveryLevel=0", "InitialR2T=No",
                    "ImmediateData=Yes", "MaxBurstLength=16776192", "FirstBurstLength=262144", "MaxOutstandingR2T=1", "MaxConnections=1", "DataPDUInOrder=Yes",
                    "DataSequenceInOrder=Yes", "MaxRecvDataSegmentLength=262144",
                ],
                [
                    "HeaderDigest=None", "DataDigest=None", "DefaultTime2Wait=2", "DefaultTime2Retain=0", "IFMarker=No", "OFMarker=No", "ErrorRecoveryLevel=0", "InitialR2T=No",
                    "ImmediateData=Yes", "MaxBurstLength=1048576", "MaxOutstandingR2T=1", "MaxConnections=1", "DataPDUInOrder=Yes", "DataSequenceInOrder=Yes",
                    "FirstBurstLength=262144", "MaxRecvDataSegmentLength=262144",
                ]),
        ]),

        // QEMU's driver is the same library, under another name. Without CHAP it has nothing for the security stage.
        ["libiscsi"] = (0x80_B1_EC_DD_00_00, 0, 0x56FB_CA10,
        [
            new(
                1, 3,
                [
                    .. Initiator.Names, "HeaderDigest=None,CRC32C", "DataDigest=None", "InitialR2T=No", "ImmediateData=Yes", "MaxBurstLength=262144", "FirstBurstLength=262144",
                    "DefaultTime2Wait=2", "DefaultTime2Retain=0", "MaxOutstandingR2T=1", "ErrorRecoveryLevel=0", "IFMarker=No", "OFMarker=No", "MaxConnections=1",
                    "MaxRecvDataSegmentLength=262144", "DataPDUInOrder=Yes", "DataSequenceInOrder=Yes",
                ],
                [
                    "TargetPortalGroupTag=1", "HeaderDigest=None", "DataDigest=None", "InitialR2T=No", "ImmediateData=Yes", "MaxBurstLength=262144", "DefaultTime2Wait=2",
                    "DefaultTime2Retain=0", "MaxOutstandingR2T=1", "ErrorRecoveryLevel=0", "IFMarker=No", "OFMarker=No", "MaxConnections=1", "DataPDUInOrder=Yes",
                    "DataSequenceInOrder=Yes", "FirstBurstLength=262144", "MaxRecvDataSegmentLength=262144",
                ]),
        ]),
        ["Windows"] = (0x40_00_01_37_00_00, 1, 1,
        [
            new(
                0, 1, ["InitiatorName=iqn.1991-05.com.microsoft:win", "SessionType=Normal", $"TargetName={Node.TargetName}", "AuthMethod=None"],
                ["TargetPortalGroupTag=1", "AuthMethod=None"]),
            new(
                1, 3,
                [
                    "HeaderDigest=None,CRC32C", "DataDigest=None,CRC32C", "ErrorRecoveryLevel=2", "InitialR2T=No", "ImmediateData=Yes", "MaxRecvDataSegmentLength=65536",
                    "MaxBurstLength=262144", "FirstBurstLength=65536", "MaxConnections=32", "MaxOutstandingR2T=16", "DefaultTime2Wait=0", "DefaultTime2Retain=60",
                ],
                [
                    "HeaderDigest=None", "DataDigest=None", "ErrorRecoveryLevel=0", "InitialR2T=No", "ImmediateData=Yes", "MaxBurstLength=262144", "MaxConnections=4",
                    "MaxOutstandingR2T=8", "DefaultTime2Wait=2", "DefaultTime2Retain=0", "FirstBurstLength=65536", "MaxRecvDataSegmentLength=262144",
                ]),
        ]),
        ["Windows, discovery"] = (0x40_00_01_37_00_00, 1, 1,
        [
            new(
                0, 1, ["InitiatorName=iqn.1991-05.com.microsoft:win", "SessionType=Discovery", "AuthMethod=None"],
                ["AuthMethod=None"]),
            new(
                1, 3, ["HeaderDigest=None,CRC32C", "DataDigest=None,CRC32C", "MaxRecvDataSegmentLength=65536", "DefaultTime2Wait=0", "DefaultTime2Retain=60"],
                ["HeaderDigest=None", "DataDigest=None", "DefaultTime2Wait=2", "DefaultTime2Retain=0", "MaxRecvDataSegmentLength=262144"]),
        ]),
        ["ESXi, discovery"] = (0x00_02_3D_00_00_00, 0, 0,
        [
            new(
                1, 3,
                [
                    "InitiatorName=iqn.1998-01.com.vmware:host-3c00d9ce", "SessionType=Discovery", "HeaderDigest=None", "DataDigest=None", "DefaultTime2Wait=0",
                    "DefaultTime2Retain=0", "IFMarker=No", "OFMarker=No", "ErrorRecoveryLevel=0", "MaxRecvDataSegmentLength=32768",
                ],
                [
                    "HeaderDigest=None", "DataDigest=None", "DefaultTime2Wait=2", "DefaultTime2Retain=0", "IFMarker=No", "OFMarker=No", "ErrorRecoveryLevel=0",
                    "MaxRecvDataSegmentLength=262144",
                ]),
        ]),
    };

    public static TheoryData<string, bool> Logins
    {
        get
        {
            var data = new TheoryData<string, bool>();
            foreach (string name in Records.Keys)
            {
                data.Add(name, true);
                data.Add(name, false);
            }

            return data;
        }
    }

    /// <summary>A record tells the opcode, but not always the I bit, which a login request has to have (RFC 7143 section 11.12): without it, it is taken as well.</summary>
    [Theory]
    [MemberData(nameof(Logins))]
    public void A_recorded_login_is_answered_key_by_key(string name, bool immediate)
    {
        Initiator initiator = LogIn(name, immediate);
        Assert.Equal(name.Contains("discovery", StringComparison.Ordinal), initiator.Connection.Session!.IsDiscovery);
    }

    /// <summary>REPORT LUNS with room for one entry is the first command of Windows: it learns from the length how many there are.</summary>
    [Fact]
    public void The_first_command_of_Windows_is_answered_with_what_it_has_room_for()
    {
        Initiator initiator = LogIn("Windows", immediate: true);
        byte[] cdb = new byte[16];
        cdb[0] = 0xA0;
        cdb[9] = 16;
        initiator.SendCommand(ScsiCommandPdu.ReadBit, 2, 16, cdb);
        Pdu answer = initiator.ReceiveOne();
        Assert.Equal((true, 0), (answer.DataIn.HasStatus, answer.DataIn.Status));
        Assert.Equal((16, 8), (answer.Data.Length, BinaryPrimitives.ReadInt32BigEndian(answer.Data)));
    }

    /// <summary>ESXi asks for the targets with a request that is not immediate, and closes its session at once.</summary>
    [Fact]
    public void The_discovery_of_ESXi_ends_with_a_logout()
    {
        Initiator initiator = LogIn("ESXi, discovery", immediate: true);
        initiator.SendText(Initiator.Text("SendTargets=All"), tag: 1);
        Assert.Equal([$"TargetName={Node.TargetName}", "TargetAddress=127.0.0.1:3260,1"], initiator.ReceiveOne().Text);
        initiator.SendLogout(LogoutRequestPdu.CloseSession);
        Assert.Equal((Opcode.LogoutResponse, 0), (initiator.ReceiveOne() is var response ? response.Opcode : default, new LogoutResponsePdu(response.Header).Response));
        Assert.NotEmpty(initiator.CloseRequests);
    }

    static Initiator LogIn(string name, bool immediate)
    {
        (ulong isid, ushort cid, uint tag, Step[] steps) = Records[name];
        var initiator = new Initiator(new Node());
        foreach (Step step in steps)
        {
            byte[] header = new byte[BasicHeader.Length], text = Initiator.Text(step.Keys);
            LoginRequestPdu.WriteTo(
                header, LoginRequestPdu.StageFlags(transit: true, @continue: false, step.Csg, step.Nsg), isid, 0, tag, cid, initiator.CmdSN, initiator.ExpStatSN, text.Length, 0, 0);
            header[OpcodeOffset] = (byte)(immediate ? header[OpcodeOffset] | ImmediateBit : header[OpcodeOffset] & ~ImmediateBit);
            initiator.Send(header, text);
            Pdu response = initiator.ReceiveOne();
            Assert.Equal((0, true, step.Csg, step.Nsg, isid), (response.Login.Status, response.Login.Transit, response.Login.CurrentStage, response.Login.NextStage, response.Login.Isid));
            Assert.Equal(step.Answers, response.Text);
        }

        return initiator;
    }
}
