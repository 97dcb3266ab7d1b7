namespace Scuse.Device.Tests;

public sealed class PreFetchTests
{
    [Theory]
    [InlineData("34 00 00 00 00 00 00 00 00 00")]
    [InlineData("34 02 00 00 00 08 00 00 10 00")]
    [InlineData("90 00 00 00 00 00 00 00 00 00 00 00 00 80 00 00")]
    public async Task A_range_on_the_medium_is_GOOD_which_promises_nothing_SBC_3_5_8(string cdb)
    {
        var unit = new Unit();

        (await unit.Do(cdb)).AssertGood();

        Assert.Empty(unit.Calls);
    }

    [Theory]
    [InlineData("34 00 00 00 00 7F 00 00 02 00")]
    [InlineData("34 00 00 00 00 81 00 00 00 00")]
    [InlineData("90 00 FF FF FF FF FF FF FF FF 00 00 00 01 00 00")]
    public async Task A_range_beyond_the_end_is_refused(string cdb) => Assert.Equal("05/21/00", (await new Unit().Do(cdb)).Sense);
}
