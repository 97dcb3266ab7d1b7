namespace Scuse.Device.Tests;

public sealed class DefectTests
{
    [Theory]
    [InlineData("37 00 1D 00 00 00 00 00 FF 00", "00 1D 00 00")]
    [InlineData("37 00 08 00 00 00 00 00 02 00", "00 08")]
    [InlineData("B7 18 00 00 00 00 00 00 00 FF 00 00", "00 18 00 00 00 00 00 00")]
    [InlineData("B7 05 00 00 00 00 00 00 00 00 00 00", "")]
    public async Task The_lists_are_there_and_empty_SBC_3_5_17(string cdb, string data) =>
        Assert.Equal(Unit.Hex(data), (await new Unit().Do(cdb)).AssertGood().Data);
}
