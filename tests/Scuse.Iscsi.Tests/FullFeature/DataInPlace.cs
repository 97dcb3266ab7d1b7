using Scuse.Iscsi.Pdus;
using Scuse.Iscsi.Tests.Rig;

namespace Scuse.Iscsi.Tests.FullFeature;

/// <summary>Data-In that lies where the device goes on writing: sent as it is then, unless the connection needs it to stay as it is; and it may move before it is sent.</summary>
public class DataInPlace
{
    const int Bytes = 8 * 512;
    const byte HeadOfQueue = 2; // beside the bit of a simple task

    static Initiator LogIn(Cut cut = Cut.Whole, params string[] keys)
    {
        // The device's own memory comes in pieces that fit nothing else.
        Initiator initiator = new Initiator(new Node(segmentBytes: 700), cut).Login(keys);
        initiator.Device.AnswersInPlace = true;
        Initiator.Pattern(Bytes).CopyTo(initiator.Device.Disk, 0);
        return initiator;
    }

    static byte[] DataOf(List<Pdu> pdus, uint tag) => [.. pdus.Where(pdu => pdu.Opcode == Opcode.DataIn && pdu.Tag == tag).SelectMany(static pdu => pdu.Data)];

    [Fact]
    public void What_is_written_before_it_is_sent_is_seen()
    {
        Initiator initiator = LogIn();
        initiator.Read(5, 0, 8);
        initiator.Write(6, 0, 1, new byte[512]);

        byte[] data = DataOf(initiator.Receive(), 5);

        Assert.Equal([.. new byte[512], .. Initiator.Pattern(Bytes)[512..]], data);
        Assert.Equal((0, 0), (initiator.Device.InPlace, initiator.Device.InUse));
    }

    [Theory]
    [InlineData("DataDigest=CRC32C")]
    [InlineData("ErrorRecoveryLevel=1")]
    public void A_connection_that_sums_its_data_up_or_may_send_it_again_gets_data_that_stays(string key)
    {
        Initiator initiator = new Initiator(new Node(new IscsiOptions { ErrorRecoveryLevel = 2 })).Login(key);
        initiator.Device.AnswersInPlace = true;
        Initiator.Pattern(Bytes).CopyTo(initiator.Device.Disk, 0);
        initiator.Read(5, 0, 8);
        Assert.Equal(0, initiator.Device.InPlace);
        initiator.Write(6, 0, 1, new byte[512]);

        Assert.Equal(Initiator.Pattern(Bytes), DataOf(initiator.Receive(), 5));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(47)]
    [InlineData(48)]
    [InlineData(49)]
    [InlineData(48 + 699)]
    [InlineData(48 + 1024)]
    [InlineData(48 + 1024 + 10)]
    [InlineData(48 + 1024 + 48 + 512)]
    [InlineData((4 * (48 + 1024)) - 1)]
    [InlineData((4 * (48 + 1024)) + 60)]
    public void What_is_not_sent_when_it_moves_comes_from_where_it_is_then(int sentBefore)
    {
        Initiator initiator = LogIn(keys: "MaxRecvDataSegmentLength=1024");
        initiator.Read(5, 0, 8);
        initiator.Read(7, 0, 8);
        initiator.Take(sentBefore);
        initiator.SendCommand(ScsiCommandPdu.WriteBit | HeadOfQueue, 6, 512, Initiator.Cdb(0x2A, 0, 1), new byte[512]);
        Assert.Equal(0, initiator.Device.InPlace);
        Array.Clear(initiator.Device.Disk);

        List<Pdu> pdus = initiator.Receive();

        Assert.Equal(Initiator.Pattern(Bytes), DataOf(pdus, 5));
        Assert.Equal(Initiator.Pattern(Bytes), DataOf(pdus, 7));
        Assert.Equal(0, initiator.Device.InUse);
    }

    [Theory]
    [InlineData(Cut.OneByte)]
    [InlineData(Cut.Random)]
    public void It_may_move_at_any_byte(Cut cut)
    {
        for (int sentBefore = 0; sentBefore < 3 * (48 + 1024); sentBefore += 97)
        {
            Initiator initiator = LogIn(cut, "MaxRecvDataSegmentLength=1024", "MaxBurstLength=2048");
            initiator.Read(5, 0, 8);
            initiator.Take(sentBefore);
            initiator.SendCommand(ScsiCommandPdu.WriteBit | HeadOfQueue, 6, 512, Initiator.Cdb(0x2A, 0, 1), new byte[512]);
            Array.Clear(initiator.Device.Disk);

            Assert.Equal(Initiator.Pattern(Bytes), DataOf(initiator.Receive(), 5));
        }
    }

    [Fact]
    public void A_connection_that_is_lost_after_it_moved_gives_everything_back_once()
    {
        Initiator initiator = LogIn(keys: "MaxRecvDataSegmentLength=1024");
        initiator.Read(5, 0, 8);
        initiator.Take(500);
        initiator.SendCommand(ScsiCommandPdu.WriteBit | HeadOfQueue, 6, 512, Initiator.Cdb(0x2A, 0, 1), new byte[512]);

        initiator.Connection.Closed();

        Assert.Equal(0, initiator.Device.InUse);
    }
}
