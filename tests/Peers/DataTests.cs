namespace Scuse.Peers;

public sealed class DataTests : PeerTest
{
    const int ImageBytes = 64 << 20;

    public static TheoryData<string, int, string> EveryKindBlockAndLevel { get; } = new(
        from kind in new[] { "memory", "file" }
        from block in new[] { 512, 4096 }
        from level in new[] { "io", "all" }
        select (kind, block, level));

    public static TheoryData<string, string> EveryKindAndLevel { get; } = new(
        from kind in new[] { "memory", "file" }
        from level in new[] { "io", "all" }
        select (kind, level));

    [Theory]
    [MemberData(nameof(EveryKindBlockAndLevel))]
    public async Task An_image_that_is_copied_in_compares_equal_and_copies_out_unchanged(string kind, int block, string level)
    {
        Needs.Qemu();
        string image = RandomFile("image", ImageBytes, seed: block);
        string back = TemporaryFile("back");
        ScuseServe serve = await ServeAsync(Spec(kind, "64M", $"block={block}&level={level}"));

        await Qemu.WriteImageAsync(image, serve.Url);

        await Qemu.CompareAsync(image, serve.Url);
        await Qemu.ReadImageAsync(serve.Url, back);
        AssertSameBytes(image, back);
    }

    [Fact]
    public async Task A_file_holds_the_disk_s_bytes_and_a_restarted_engine_serves_them_again()
    {
        Needs.Qemu();
        string image = RandomFile("image", ImageBytes, seed: 1);
        string spec = Spec("file", "64M", "block=512");
        ScuseServe before = await ServeAsync(spec);
        await Qemu.WriteImageAsync(image, before.Url);
        Assert.Equal(0, await before.StopAsync());
        AssertSameBytes(image, TemporaryFile("disk.img"));

        ScuseServe after = await ServeAsync(spec);

        await Qemu.CompareAsync(image, after.Url);
    }

    [Theory]
    [MemberData(nameof(EveryKindAndLevel))]
    public async Task A_write_with_unaligned_ends_changes_its_bytes_and_no_others(string kind, string level)
    {
        Needs.Qemu();
        ScuseServe serve = await ServeAsync(Spec(kind, "32M", $"level={level}"));
        const int Start = 1_000_001;
        foreach (int length in new[] { 1, 4 << 10, 64 << 10, 1 << 20, 16 << 20 })
        {
            int end = Start + length;

            await Qemu.IoMustSucceedAsync(
                serve.Url,
                "write -P 0x11 0 32M",
                $"write -P 0xa5 {Start} {length}",
                "flush");

            await Qemu.IoMustSucceedAsync(
                serve.Url,
                $"read -P 0x11 0 {Start}",
                $"read -P 0xa5 {Start} {length}",
                $"read -P 0x11 {end} {(32 << 20) - end}");
        }
    }

    [Theory]
    [InlineData("memory")]
    [InlineData("file")]
    public async Task The_first_and_the_last_byte_of_the_disk_can_be_written_and_read(string kind)
    {
        Needs.Qemu();
        ScuseServe serve = await ServeAsync(Spec(kind, "16M", "block=4096"));
        const int Last = (16 << 20) - 1;

        await Qemu.IoMustSucceedAsync(serve.Url, "write -P 1 0 1", $"write -P 2 {Last} 1");

        await Qemu.IoMustSucceedAsync(serve.Url, "read -P 1 0 1", $"read -P 0 1 {Last - 1}", $"read -P 2 {Last} 1");
    }

    [Fact]
    public async Task Many_writes_in_flight_at_once_each_land_at_their_place()
    {
        Needs.Qemu();
        ScuseServe serve = await ServeAsync("memory:64M");
        int[] numbers = [.. Enumerable.Range(0, 128)];

        await Qemu.IoMustSucceedAsync(
            serve.Url,
            [.. numbers.Select(i => $"aio_write -q -P {i + 1} {i * 300_000} {17 + i * 2_000}"), "aio_flush"]);

        await Qemu.IoMustSucceedAsync(
            serve.Url,
            [.. numbers.Select(i => $"read -P {i + 1} {i * 300_000} {17 + i * 2_000}")]);
    }

    [Fact]
    public async Task A_file_that_is_made_longer_makes_the_disk_larger_while_it_is_served()
    {
        Needs.Libiscsi("iscsi-readcapacity16");
        string file = TemporaryFile("growing.img");
        await File.WriteAllBytesAsync(file, new byte[1 << 20], TestContext.Current.CancellationToken);
        ScuseServe serve = await ServeAsync($"file:{file}");

        (await Peer.RunAsync("truncate", "-s", "3M", file)).OrThrow();

        string capacity = "";
        for (int i = 0; i < 50 && !capacity.Contains("Total size:3145728", StringComparison.Ordinal); i++)
        {
            await Task.Delay(100, TestContext.Current.CancellationToken);
            capacity = (await Peer.RunAsync("iscsi-readcapacity16", serve.Url)).OrThrow().Output;
        }

        Assert.Contains("Total size:3145728", capacity);
        await serve.MustLogAsync("the device has 3145728 bytes now");
    }

    [Fact]
    public async Task Several_initiators_on_several_LUNs_do_not_disturb_one_another()
    {
        Needs.Qemu();
        ScuseServe serve = await ServeAsync("memory:32M", Spec("file", "32M", "block=512"), "memory:32M?level=all");

        // Each round of each of them has a pattern that no other has.
        const int Rounds = 8;
        await Task.WhenAll(
            from lun in Enumerable.Range(0, 3)
            from part in Enumerable.Range(0, 2)
            let first = 1 + (((lun * 2) + part) * Rounds)
            select Qemu.IoMustSucceedAsync(
                serve.Urls[lun],
                [.. Enumerable.Range(first, Rounds).SelectMany(pattern => new[] { $"write -P {pattern} {part * 16}M 16M", $"read -P {pattern} {part * 16}M 16M" })]));
    }

    [Theory]
    [MemberData(nameof(EveryKindBlockAndLevel))]
    public async Task Zeroes_that_are_written_read_as_zeroes_and_leave_the_neighbours_alone(string kind, int block, string level)
    {
        Needs.Qemu();
        ScuseServe serve = await ServeAsync(Spec(kind, "32M", $"block={block}&level={level}"));

        await Qemu.IoMustSucceedAsync(serve.Url, "write -P 0x77 0 32M", "write -z 1M 2M", "write -z -u 8M 5M", "flush");

        await Qemu.IoMustSucceedAsync(
            serve.Url, "read -P 0x77 0 1M", "read -P 0 1M 2M", "read -P 0x77 3M 5M", "read -P 0 8M 5M", "read -P 0x77 13M 19M");
    }

    [Theory]
    [MemberData(nameof(EveryKindBlockAndLevel))]
    public async Task Discarded_blocks_read_as_zeroes_when_the_disk_says_so_and_leave_the_neighbours_alone(string kind, int block, string level)
    {
        Needs.Qemu();
        Needs.Libiscsi("iscsi-readcapacity16");
        ScuseServe serve = await ServeAsync(Spec(kind, "32M", $"block={block}&level={level}"));
        string capacity = (await Peer.RunAsync("iscsi-readcapacity16", serve.Url)).OrThrow().Output;

        await Qemu.IoMustSucceedAsync(serve.Url, "write -P 0x77 0 32M", "discard 4M 8M", "flush");

        await Qemu.IoMustSucceedAsync(serve.Url, "read -P 0x77 0 4M", "read -P 0x77 12M 20M");
        Assert.Contains("LBPME:1 LBPRZ:1", capacity);
        await Qemu.IoMustSucceedAsync(serve.Url, "read -P 0 4M 8M");
    }

    [Fact]
    public async Task Discarding_gives_a_file_s_blocks_back_to_its_file_system()
    {
        Needs.Qemu();
        Needs.Program("stat", "coreutils");
        ScuseServe serve = await ServeAsync(Spec("file", "32M", "block=4096"));
        await Qemu.IoMustSucceedAsync(serve.Url, "write -P 0x77 0 32M", "flush");
        long full = await AllocatedBlocksAsync();

        await Qemu.IoMustSucceedAsync(serve.Url, "discard 0 32M", "flush");

        Assert.True(await AllocatedBlocksAsync() < full / 8, $"{full} blocks were allocated, {await AllocatedBlocksAsync()} still are");
    }

    [Fact]
    public async Task An_initiator_may_choose_its_own_name()
    {
        Needs.Qemu();
        ScuseServe serve = await ServeAsync("memory:1M");

        Outcome outcome = await Peer.RunAsync(
            "qemu-io", "--image-opts", "-c", "write -P 3 0 4k", "-c", "read -P 3 0 4k",
            $"driver=iscsi,transport=tcp,portal={serve.Portal},target={serve.Target},lun=0,initiator-name=iqn.2026-11.scuse.test:chosen");

        outcome.OrThrow();
    }

    string Spec(string kind, string size, string options) => kind == "file"
        ? $"file:{TemporaryFile("disk.img")}?size={size}&{options}"
        : $"{kind}:{size}?{options}";

    async Task<long> AllocatedBlocksAsync() => long.Parse(
        (await Peer.RunAsync("stat", "-c", "%b", TemporaryFile("disk.img"))).OrThrow().Output, System.Globalization.CultureInfo.InvariantCulture);

    static void AssertSameBytes(string expected, string actual) =>
        Assert.True(File.ReadAllBytes(expected).AsSpan().SequenceEqual(File.ReadAllBytes(actual)), $"{actual} differs from {expected}");
}
