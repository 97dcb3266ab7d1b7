using Scuse.Scsi;

namespace Scuse.Scsi.Tests;

public sealed class UnmapParameterListTests
{
    const string TwoRanges = "0026 0020 00000000 0000000000000010 00000008 00000000 0102030405060708 090A0B0C 00000000";

    [Fact]
    public void Two_ranges_have_these_bytes_and_reserved_ones_are_zero_SBC_3_5_28_2()
    {
        byte[] list = new byte[64];
        list.AsSpan().Fill(0xA5);

        int length = UnmapParameterList.Write(list, [new(0x10, 8), new(0x0102030405060708, 0x090A0B0C)]);

        Assert.Equal(Bytes.Of(TwoRanges), list[..length]);
    }

    [Fact]
    public void What_was_written_is_read_back()
    {
        Assert.True(UnmapParameterList.TryParse(Bytes.Of(TwoRanges), out UnmapParameterList list));

        Assert.Equal(2, list.Count);
        Assert.Equal(new UnmapBlockDescriptor(0x10, 8), list[0]);
        Assert.Equal(new UnmapBlockDescriptor(0x0102030405060708, 0x090A0B0C), list[1]);
    }

    [Fact]
    public void A_list_cut_anywhere_is_refused()
    {
        byte[] whole = Bytes.Of(TwoRanges);
        Assert.All(Enumerable.Range(0, whole.Length), length => Assert.False(UnmapParameterList.TryParse(whole.AsSpan(0, length), out _)));
    }

    [Fact]
    public void A_last_descriptor_that_is_not_whole_is_ignored()
    {
        byte[] list = Bytes.Of(TwoRanges);
        list[3] = 0x1F;

        Assert.True(UnmapParameterList.TryParse(list, out UnmapParameterList parsed));
        Assert.Equal(1, parsed.Count);
    }

    [Fact]
    public void A_header_alone_names_no_range()
    {
        Assert.True(UnmapParameterList.TryParse(Bytes.Of("0006 0000 00000000"), out UnmapParameterList list));
        Assert.Equal(0, list.Count);
    }

    [Fact]
    public void A_descriptor_beyond_the_last_is_out_of_range()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() =>
        {
            Assert.True(UnmapParameterList.TryParse(Bytes.Of(TwoRanges), out UnmapParameterList list));
            return list[2];
        });
    }
}
