using Scuse.Scsi;

namespace Scuse.Scsi.Tests;

public sealed class ModeParameterListTests
{
    [Fact]
    public void A_list_of_MODE_SELECT_6_is_read_SPC_4_7_5_5()
    {
        Assert.True(ModeParameterList.TryParse(Bytes.Of("00 01 02 08  00000080 00000200  0A 02 1234  4A 02 0001 56"), isTen: false, out ModeParameterList list));

        Assert.Equal((1, 8, 12), (list.MediumType, list.DescriptorsLength, list.PagesOffset));
        Assert.False(list.HasLongDescriptors);
        Assert.Equal(Bytes.Of("00000080 00000200"), list.Descriptors.ToArray());
        Assert.True(list.TryReadPage(12, out ModePageView first, out _));
        Assert.Equal((0x0A, 0, false, 1), (first.Code, first.Subpage, first.IsSubpage, first.LengthOffset));
        Assert.Equal(Bytes.Of("0A 02 1234"), first.Bytes.ToArray());
        Assert.True(list.TryReadPage(16, out ModePageView second, out _));
        Assert.Equal((0x0A, 2, true, 2), (second.Code, second.Subpage, second.IsSubpage, second.LengthOffset));
        Assert.Equal(Bytes.Of("4A 02 0001 56"), second.Bytes.ToArray());
        Assert.False(list.TryReadPage(21, out _, out bool isCut));
        Assert.False(isCut);
    }

    [Fact]
    public void A_list_of_MODE_SELECT_10_has_a_longer_header()
    {
        Assert.True(ModeParameterList.TryParse(Bytes.Of("0000 01 02 01 00 0010  0000000000000080 00000000 00000200"), isTen: true, out ModeParameterList list));

        Assert.Equal((1, 16, 24), (list.MediumType, list.DescriptorsLength, list.PagesOffset));
        Assert.True(list.HasLongDescriptors);
    }

    [Theory]
    [InlineData("00 00 00", false)]
    [InlineData("00 00 00 08 00 00 00 00 00 00 00", false)]
    [InlineData("0000 00 00 00 00 00", true)]
    [InlineData("0000 00 00 00 00 0001", true)]
    public void A_list_that_ends_before_its_pages_is_none(string list, bool isTen) => Assert.False(ModeParameterList.TryParse(Bytes.Of(list), isTen, out _));

    [Theory]
    [InlineData("0A")]
    [InlineData("0A 02 12")]
    [InlineData("4A 01 00")]
    [InlineData("4A 01 0002 12")]
    public void A_page_that_the_list_ends_within_is_cut(string page)
    {
        Assert.True(ModeParameterList.TryParse([0, 0, 0, 0, .. Bytes.Of(page)], isTen: false, out ModeParameterList list));

        Assert.False(list.TryReadPage(4, out _, out bool isCut));
        Assert.True(isCut);
    }
}
