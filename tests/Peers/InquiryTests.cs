using System.Globalization;
using System.Text.RegularExpressions;

namespace Scuse.Peers;

public sealed partial class InquiryTests : PeerTest
{
    [Theory]
    [InlineData("io")]
    [InlineData("all")]
    public async Task Standard_inquiry_data_describes_a_connected_disk(string level)
    {
        Needs.Libiscsi("iscsi-inq");
        ScuseServe serve = await ServeAsync($"memory:16M?level={level}");

        Outcome inquiry = (await Peer.RunAsync("iscsi-inq", serve.Url)).OrThrow();

        Assert.Contains("Peripheral Qualifier:CONNECTED", inquiry.Output);
        Assert.Contains("Peripheral Device Type:DIRECT_ACCESS", inquiry.Output);
        Assert.Contains("ReponseDataFormat:2", inquiry.Output);
        Assert.Contains("CmdQue:1", inquiry.Output);
        Assert.Matches(@"Vendor:\S", inquiry.Output);
        Assert.Matches(@"Product:\S", inquiry.Output);
    }

    /// <summary>Pages that this initiator's tool knows no way to show: extended INQUIRY data and third-party copy. DecoderTests have another decoder for them.</summary>
    static readonly int[] s_unknownToTheTool = [0x86, 0x8f];

    [Theory]
    [InlineData("io")]
    [InlineData("all")]
    public async Task Each_VPD_page_that_is_listed_as_supported_can_be_read(string level)
    {
        Needs.Libiscsi("iscsi-inq");
        ScuseServe serve = await ServeAsync($"memory:16M?level={level}");

        int[] pages = PageNumbers((await PageAsync(serve, 0)).OrThrow().Output);
        Outcome[] read = await Task.WhenAll(pages.Except(s_unknownToTheTool).Select(page => PageAsync(serve, page)));

        // SPC-4 and SBC-3 make these mandatory for a disk that can be told apart and that has limits.
        Assert.Superset(new HashSet<int> { 0x00, 0x83, 0xb0, 0xb1 }, pages.ToHashSet());
        Assert.Equal(pages.Order(), pages);
        Assert.All(read, outcome => outcome.OrThrow());
    }

    [Fact]
    public async Task A_VPD_page_that_is_not_supported_is_an_invalid_field_in_the_CDB()
    {
        Needs.Libiscsi("iscsi-inq");
        ScuseServe serve = await ServeAsync("memory:16M");

        Outcome inquiry = await PageAsync(serve, 0xc7);

        Assert.NotEqual(0, inquiry.ExitCode);
        Assert.Contains("INVALID_FIELD_IN_CDB", inquiry.Text);
    }

    [Fact]
    public async Task Two_LUNs_have_different_device_identifications()
    {
        Needs.Libiscsi("iscsi-inq");
        ScuseServe serve = await ServeAsync("memory:1M", "memory:1M");

        Outcome first = (await Peer.RunAsync("iscsi-inq", "-e", "1", "-c", "128", serve.Urls[0])).OrThrow();
        Outcome second = (await Peer.RunAsync("iscsi-inq", "-e", "1", "-c", "128", serve.Urls[1])).OrThrow();

        Assert.NotEqual(first.Output, second.Output);
    }

    [Theory]
    [InlineData(512, "io")]
    [InlineData(4096, "io")]
    [InlineData(512, "all")]
    [InlineData(4096, "all")]
    public async Task Read_capacity_tells_the_size_and_the_block_length(int block, string level)
    {
        Needs.Libiscsi("iscsi-readcapacity16");
        ScuseServe serve = await ServeAsync($"memory:48M?block={block}&level={level}");

        Outcome capacity = (await Peer.RunAsync("iscsi-readcapacity16", serve.Url)).OrThrow();

        Assert.Contains($"LOGICAL BLOCK LENGTH IN BYTES:{block}\n", capacity.Output);
        Assert.Contains($"RETURNED LOGICAL BLOCK ADDRESS:{(48 << 20) / block - 1}\n", capacity.Output);
    }

    [Fact]
    public async Task Software_write_protection_is_reported_as_off()
    {
        Needs.Libiscsi("iscsi-swp");
        ScuseServe serve = await ServeAsync("memory:1M");

        Assert.Contains("SWP:0", (await Peer.RunAsync("iscsi-swp", serve.Url)).OrThrow().Output);
    }

    [Theory]
    [InlineData("io")]
    [InlineData("all")]
    public async Task A_read_only_LUN_can_be_read_and_refuses_writes(string level)
    {
        Needs.Qemu();
        string path = TemporaryFile("disk.img");
        File.WriteAllBytes(path, new byte[1 << 20]);
        ScuseServe serve = await ServeAsync($"file:{path}?readonly=1&level={level}");

        Outcome read = await Peer.RunAsync("qemu-io", "-r", "-f", "raw", "-c", "read -P 0 0 1M", serve.Url);
        Outcome write = await Qemu.IoAsync(serve.Url, "write -P 1 0 4k");

        read.OrThrow();
        Assert.NotEqual(0, write.ExitCode);
    }

    static Task<Outcome> PageAsync(ScuseServe serve, int page) =>
        Peer.RunAsync("iscsi-inq", "-e", "1", "-c", page.ToString(CultureInfo.InvariantCulture), serve.Url);

    static int[] PageNumbers(string listing) =>
        [.. PageNumber().Matches(listing).Select(match => int.Parse(match.Groups[1].ValueSpan, NumberStyles.HexNumber, CultureInfo.InvariantCulture))];

    [GeneratedRegex("Page:0x([0-9a-f]{2})")]
    private static partial Regex PageNumber();
}
