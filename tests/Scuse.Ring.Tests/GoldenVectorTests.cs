using System.Runtime.InteropServices;

namespace Scuse.Ring.Tests;

public sealed class GoldenVectorTests
{
    // The ring as a kernel of today makes it: mailbox and ring are 8 MiB together.
    static RingLayout KernelLayout { get; } = RingLayout.Create((8 << 20) - RingAbi.MailboxBytes, 1 << 20);

    static readonly byte[] Write10 = Convert.FromHexString("2A000000100000000800");

    [Fact]
    public void A_formatted_region_holds_a_mailbox_of_version_2_and_nothing_else_is_touched()
    {
        using var ring = new RingFixture(commandRingBytes: 3968);

        Assert.Equal("02000F00" + "80000000" + "800F0000" + "00000000", Convert.ToHexString(ring.At(0, 16)));
        Assert.True(ring.At(16, 112).IndexOfAnyExcept((byte)0) < 0);
        Assert.True(ring.Ring(0, 3968).IndexOfAnyExcept((byte)0xCC) < 0);
        Assert.Equal(0xCC, ring.At(ring.Layout.DataOffset, 1)[0]);
    }

    [Fact]
    public void The_first_WRITE_10_is_byte_for_byte_what_the_kernel_posts()
    {
        using var ring = new RingFixture(KernelLayout, RingFixture.AllFlags, 16);
        var data = new ExtentList();
        ring.Area.TryAllocate(4096, data);

        ring.Target.TryPost(Write10, data.AsSpan(), [], out var id);
        ring.Target.Publish();

        Assert.Equal(1, id);
        Assert.Equal(0x80u, ring.Head);
        Assert.Equal(
            "8100000001000000" + "01000000000000000000000000000000" + "F000000000000000" + new string('0', 32)
            + "00008000000000000010000000000000" + new string('0', 96) + "2A000000100000000800" + "000000000000",
            Convert.ToHexString(ring.Ring(0, 128)));
    }

    [Fact]
    public void A_handler_takes_the_first_WRITE_10_as_it_was_posted()
    {
        using var ring = new RingFixture(KernelLayout, RingFixture.AllFlags, 16);
        ring.Target.TryPost(Write10, [new(0x800000, 0x1000)], [], out var id);
        ring.Target.Publish();

        Assert.Equal(id, ring.Take());

        Assert.Equal(HandlerCommandKind.Command, ring.Command.Kind);
        Assert.Equal(Write10, ring.Command.Cdb);
        Assert.Equal(Write10, ring.Command.CdbMemory.ToArray());
        Assert.Equal([new(0x800000, 0x1000)], ring.Command.Data);
        Assert.True(ring.Command.BidiDataIn.IsEmpty);
    }

    [Fact]
    public void Five_iovecs_push_the_CDB_to_byte_128_of_the_entry()
    {
        using var ring = new RingFixture();
        var d = ring.Layout.DataOffset;
        DataExtent[] data = [new(d, 4096), new(d + 8192, 4096), new(d + 16384, 4096), new(d + 24576, 4096), new(d + 32768, 512)];

        ring.Target.TryPost(Write10, [], data, out _);
        ring.Target.Publish();

        Assert.Equal(
            "9100000001000000" + "05000000000000000000000000000000" + "0001000000000000" + new string('0', 32)
            + "00100000000000000010000000000000" + "00300000000000000010000000000000" + "00500000000000000010000000000000"
            + "00700000000000000010000000000000" + "00900000000000000002000000000000" + "2A000000100000000800" + "000000000000",
            Convert.ToHexString(ring.Ring(0, 144)));
        ring.Take();
        Assert.Equal(data, ring.Command.Data);
    }

    [Fact]
    public void A_bidirectional_command_has_Data_Out_iovecs_first_and_Data_In_iovecs_after_them()
    {
        using var ring = new RingFixture();
        var d = ring.Layout.DataOffset;

        ring.Target.TryPost(Write10, [new(d, 512)], [new(d + 4096, 4096), new(d + 12288, 1)], out _);
        ring.Target.Publish();

        Assert.Equal(
            "8100000001000000" + "01000000020000000000000000000000" + "F000000000000000" + new string('0', 32)
            + "00100000000000000002000000000000" + "00200000000000000010000000000000" + "00400000000000000100000000000000"
            + new string('0', 32) + "2A000000100000000800" + "000000000000",
            Convert.ToHexString(ring.Ring(0, 128)));
        ring.Take();
        Assert.Equal([new(d, 512)], ring.Command.Data);
        Assert.Equal([new(d + 4096, 4096), new(d + 12288, 1)], ring.Command.BidiDataIn);
    }

    [Fact]
    public void A_task_management_notice_carries_its_function_and_the_ids_from_byte_32()
    {
        using var ring = new RingFixture();

        Assert.True(ring.Target.TryPostTaskManagement(RingAbi.TaskManagementAbortTaskSet, [1, 0x0203, 7]));
        ring.Target.Publish();

        Assert.Equal("2A00000000000000" + "0200000003000000" + new string('0', 32) + "0100030207000000", Convert.ToHexString(ring.Ring(0, 40)));
        ring.Take();
        Assert.Equal(HandlerCommandKind.TaskManagement, ring.Command.Kind);
        Assert.Equal(RingAbi.TaskManagementAbortTaskSet, ring.Command.TaskManagementType);
        Assert.Equal<ushort>([1, 0x0203, 7], ring.Command.TaskManagementIds);
        Assert.Equal(0, ring.Command.Id);
    }

    [Fact]
    public void An_answer_with_sense_lies_over_the_request_from_byte_4_to_111()
    {
        using var ring = new RingFixture();
        var id = ring.PostAndPublish();
        ring.Take();

        ring.Handler.Answer(id, RingFixture.CheckCondition, Convert.FromHexString("70000300000000000A0000000011000000"), ResponseFlags.ReadLength, 0x0201);
        ring.Handler.Publish();

        Assert.Equal(
            "8100000001000002" + "0200000001020000" + "70000300000000000A0000000011000000" + new string('0', 2 * 79),
            Convert.ToHexString(ring.Ring(0, 112)));
        Assert.Equal(0x80u, ring.Tail);
    }

    [Fact]
    public void A_reaped_answer_has_status_flags_read_length_and_all_96_sense_bytes()
    {
        using var ring = new RingFixture();
        var id = ring.PostAndPublish();
        ring.Take();
        var sense = Enumerable.Range(1, 96).Select(i => (byte)i).ToArray();
        ring.Handler.Answer(id, RingFixture.CheckCondition, sense, ResponseFlags.ReadLength, 77);
        ring.Handler.Publish();

        Assert.Equal(new RingAnswer(id, RingFixture.CheckCondition, ResponseFlags.ReadLength, 77), ring.Reap());

        var reaped = new byte[96];
        ring.Target.CopySense(reaped);
        Assert.Equal(sense, reaped);
    }

    [Fact]
    public void Sense_is_the_copy_made_at_reaping_whatever_the_handler_writes_later()
    {
        using var ring = new RingFixture();
        var id = ring.PostAndPublish();
        ring.Take();
        ring.Handler.Answer(id, RingFixture.CheckCondition, [0x72]);
        ring.Handler.Publish();
        ring.Reap();

        ring.Ring(0, 112).Fill(0xEE);

        var sense = new byte[96];
        ring.Target.CopySense(sense);
        Assert.Equal([0x72, .. new byte[95]], sense);
    }

    [Fact]
    public void Sense_of_an_answer_without_CHECK_CONDITION_is_zero_and_not_that_of_the_answer_before()
    {
        using var ring = new RingFixture();
        var (first, second) = (ring.PostAndPublish(), ring.PostAndPublish());
        ring.Take();
        ring.Take();
        ring.Handler.Answer(first, RingFixture.CheckCondition, [0x70]);
        ring.Handler.Answer(second, RingFixture.Busy, []);
        ring.Handler.Publish();
        ring.Reap();
        ring.Reap();

        var sense = new byte[96];
        ring.Target.CopySense(sense);
        Assert.Equal(new byte[96], sense);
    }

    [Fact]
    public void A_CDB_of_260_bytes_arrives_whole()
    {
        using var ring = new RingFixture();
        var cdb = new byte[260];
        Random.Shared.NextBytes(cdb);
        (cdb[0], cdb[7]) = (0x7F, 252);

        ring.Target.TryPost(cdb, [], [], out _);
        ring.Target.Publish();

        Assert.Equal(112u + 264, ring.Head);
        ring.Take();
        Assert.Equal(cdb, ring.Command.Cdb);
    }

    [Theory]
    [InlineData(0x00, 6)]
    [InlineData(0x1F, 6)]
    [InlineData(0x28, 10)]
    [InlineData(0x5F, 10)]
    [InlineData(0x88, 16)]
    [InlineData(0xA8, 12)]
    [InlineData(0xC1, 16)]
    [InlineData(0x7F, 11)]
    public void The_CDBs_length_goes_by_its_operation_code_and_never_past_the_entry(byte operationCode, int expectedBytes)
    {
        using var ring = new RingFixture();
        var cdb = new byte[16];
        (cdb[0], cdb[7]) = (operationCode, 3);

        ring.Target.TryPost(cdb, [], [], out _);
        ring.Target.Publish();
        ring.Take();

        Assert.Equal(expectedBytes, ring.Command.Cdb.Length);
    }

    [Fact]
    public void A_variable_length_CDB_that_claims_more_than_its_entry_holds_is_cut_at_the_entrys_end()
    {
        using var ring = new RingFixture();
        byte[] cdb = [0x7F, 0, 0, 0, 0, 0, 0, 200, 1, 2];

        ring.Target.TryPost(cdb, [], [], out _);
        ring.Target.Publish();
        ring.Take();

        Assert.Equal(16, ring.Command.Cdb.Length);
    }

    [Fact]
    public void The_default_layout_has_a_ring_that_ends_at_256_KiB_and_data_from_there()
    {
        var layout = RingLayout.Default;

        Assert.Equal((262016, 262144L, 256L << 20, 4096), (layout.CommandRingBytes, layout.DataOffset, layout.DataBytes, layout.BlockBytes));
        Assert.Equal(262144 + (256L << 20), layout.RegionBytes);
    }

    [Theory]
    [InlineData(248, 4096, 4096)]
    [InlineData(260, 4096, 4096)]
    [InlineData(4096, 0, 4096)]
    [InlineData(4096, 4096, 0)]
    [InlineData(4096, 4096, 512)]
    public void A_layout_with_an_impossible_length_is_refused(int ringBytes, long dataBytes, int blockBytes) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => RingLayout.Create(ringBytes, dataBytes, blockBytes));

    [Fact]
    public void A_target_refuses_a_region_that_was_formatted_otherwise()
    {
        using var ring = new RingFixture();

        Assert.Throws<ArgumentException>(() => new TargetRing(ring.Region, RingLayout.Create(2048, 4096), RingFixture.AllFlags));
        Assert.Throws<ArgumentException>(() => new TargetRing(ring.Region, ring.Layout, MailboxFlags.None));
    }
}
