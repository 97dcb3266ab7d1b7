using Scuse.Scsi;

namespace Scuse.Device.Tests;

/// <summary>The room behind a thin disk: what initiators are told of it, and the thresholds they can set.</summary>
public sealed class ResourcesTests
{
    const string LogSense = "4D 00 4C 00 00", ProvisioningPage = "5A 08 1C 02 00 00 00 10 00 00";

    readonly Unit _unit = Unit.WithResources();
    readonly List<ushort> _raised = [];

    public ResourcesTests() => _unit.Server.AttentionRaised = (code, _) => _raised.Add(code);

    /// <summary>Sets LBPERE, then the thresholds.</summary>
    async Task SetAsync(bool reports, uint? available, uint? used)
    {
        byte[] recovery = [.. new byte[8], .. Unit.Hex("01 0A 00 00 00 00 00"), (byte)(reports ? 0x80 : 0), .. Unit.Hex("00 00 00 00")];
        (await _unit.Do("55 10 00 00 00 00 00 00 14 00", recovery)).AssertGood();
        byte[] page = [.. new byte[8], .. Unit.Hex("5C 02 00 1C 00 00 00 00 00 00 00 00 00 00 00 00"), .. Threshold(available, "00 01"), .. Threshold(used, "01 02")];
        (await _unit.Do("55 10 00 00 00 00 00 00 28 00", page)).AssertGood();
        _raised.Clear();
    }

    static byte[] Threshold(uint? count, string kind)
    {
        byte[] descriptor = [.. Unit.Hex(kind), 0, 0, 0, 0, 0, (byte)(count ?? 0)];
        descriptor[0] |= (byte)(count is null ? 0 : 0x80);
        return descriptor;
    }

    async Task<bool> ReachesAsync(int usedMiB, int availableMiB)
    {
        _raised.Clear();
        _unit.Device.Resources = new BlockResources((long)usedMiB << 20, (long)availableMiB << 20, IsShared: false);
        await _unit.Server.CheckThresholdsAsync();
        return _raised.Contains(AdditionalSense.ThinProvisioningSoftThresholdReached);
    }

    // ---- what is told ----

    [Fact]
    public async Task The_log_page_counts_in_threshold_sets_of_1_MiB_SBC_5_6_4_5() =>
        Assert.Equal(
            Unit.Hex("8C 00 0018  0001 23 08 00000007 02 000000  0002 23 08 00000003 01 000000"), // what others may take is of the scope 10b; a set begun is used
            (await _unit.Do(LogSense + "00 00 10 00 00")).AssertGood().Data);

    [Theory]
    [InlineData("00 02 00 FF 00", 16)]
    [InlineData("00 00 00 08 00", 8)]
    public async Task A_parameter_pointer_and_an_allocation_length_cut_the_page(string rest, int length) =>
        Assert.Equal(length, (await _unit.Do(LogSense + " " + rest)).AssertGood().Data.Length);

    [Fact]
    public async Task Beyond_the_last_parameter_there_is_none() => Assert.Equal("05/24/00@5", (await _unit.Do(LogSense + " 00 03 00 FF 00")).SenseAt);

    [Fact]
    public async Task A_device_that_cannot_tell_this_time_says_so_and_not_that_there_is_nothing()
    {
        _unit.Device.Resources = null;

        Assert.Equal("04/44/00", (await _unit.Do(LogSense + "00 00 10 00 00")).Sense);
    }

    [Theory]
    [InlineData(512, 0x0B)]
    [InlineData(4096, 0x08)]
    public async Task VPD_page_B2h_tells_how_many_blocks_are_a_set_SBC_5_6_6_7(int blockSize, byte exponent) =>
        Assert.Equal(exponent, (await Unit.WithResources(blockSize).Do("12 01 B2 00 FF 00")).AssertGood().Data[4]);

    [Theory]
    [InlineData(Unit.AllFeatures)]
    [InlineData(BlockDeviceFeatures.Resources)] // a thick disk
    public async Task Who_has_nothing_to_tell_has_none_of_these_pages(BlockDeviceFeatures features)
    {
        var unit = new Unit(new BlockDeviceInfo { SizeBytes = 65536, Features = features, Serial = "SN-0001" }, tellsResources: true);

        Assert.Equal("05/24/00@2", (await unit.Do(LogSense + "00 00 10 00 00")).SenseAt);
        Assert.Equal("05/24/00@3", (await unit.Do(ProvisioningPage)).SenseAt);
        Assert.Equal(0, (await unit.Do("12 01 B2 00 FF 00")).AssertGood().Data[4]);
        Assert.Equal(new byte[10], (await unit.Do("5A 08 41 00 00 00 00 10 00 00")).AssertGood().Data[10..]); // LBPERE cannot be changed
    }

    [Fact]
    public async Task What_a_handler_says_is_read_as_it_was_written()
    {
        byte[] page = (await _unit.Do(LogSense + "00 00 10 00 00")).AssertGood().Data;

        Assert.Equal(new BlockResources(3 << 20, 7 << 20, IsShared: true), ThresholdSets.Read(page));
        Assert.Null(ThresholdSets.Read(page.AsSpan(0, 20)));
        Assert.Null(ThresholdSets.Read([0x8C, 0x00, 0xFF, 0xFF, 0x00, 0x01, 0x23, 0xFF]));
        Assert.Null(ThresholdSets.Read([]));
    }

    // ---- the mode page ----

    [Theory]
    [InlineData("02", "5C 02 001C 00 0000000000 000000000000  00 01 0000 00000000  01 02 0000 00000000")]
    [InlineData("00", "1C 0A 08 00 00000000 00000000")]
    public async Task The_thresholds_are_a_subpage_of_1Ch_SBC_5_6_5_9(string subpage, string expected) =>
        Assert.Equal(Unit.Hex(expected), (await _unit.Do($"5A 08 1C {subpage} 00 00 00 10 00 00")).AssertGood().Data[8..]);

    [Fact]
    public async Task What_can_be_changed_is_whether_there_is_a_threshold_and_where() =>
        Assert.Equal(
            Unit.Hex("5C 02 001C 00 0000000000 000000000000  80 00 0000 FFFFFFFF  80 00 0000 FFFFFFFF"),
            (await _unit.Do("5A 08 5C 02 00 00 00 10 00 00")).AssertGood().Data[8..]);

    [Theory]
    [InlineData("5A 08 3F 00", 1)]
    [InlineData("5A 08 3F FF", 2)]
    [InlineData("5A 08 1C FF", 2)]
    public async Task All_subpages_have_it_with_them(string start, int pages)
    {
        byte[] data = (await _unit.Do(start + " 00 00 00 10 00 00")).AssertGood().Data;

        Assert.Equal(pages == 2, data.AsSpan().IndexOf(Unit.Hex("5C 02 001C")) > 0);
    }

    [Theory]
    [InlineData("5A 08 1C 01 00 00 00 10 00 00")]
    [InlineData("5A 08 3F 02 00 00 00 10 00 00")]
    [InlineData("5A 08 08 02 00 00 00 10 00 00")]
    public async Task Other_subpages_are_refused(string cdb) => Assert.Equal("05/24/00@3", (await _unit.Do(cdb)).SenseAt);

    [Theory]
    [InlineData(16, 0x88, 24)] // THRESHOLD TYPE: per cent
    [InlineData(16, 0x81, 24)] // what is available, armed increasing
    [InlineData(25, 0x01, 33)] // twice the same resource
    [InlineData(4, 0x01, 12)] // SITUA
    public async Task A_threshold_of_another_kind_is_refused(int at, byte value, ushort fault)
    {
        byte[] page = Unit.Hex("5C 02 001C 00 0000000000 000000000000  80 01 0000 00000007  81 02 0000 00000003");
        page[at] = value;

        Answer answer = await _unit.Do("55 10 00 00 00 00 00 00 28 00", [.. new byte[8], .. page]);

        Assert.Equal(("05/26/00", (ushort?)fault), (answer.Sense, answer.Result.Sense.FieldPointer));
    }

    [Fact]
    public async Task What_was_set_is_told_and_saved()
    {
        var store = new MemoryStore();
        _unit.Server.Store = store;
        byte[] page = [.. new byte[8], .. Unit.Hex("5C 02 001C 00 0000000000 000000000000  80 01 0000 00000007  81 02 0000 00000003")];

        (await _unit.Do("55 11 00 00 00 00 00 00 28 00", page)).AssertGood();

        Assert.Equal("DC", Convert.ToHexString((await _unit.Do("5A 08 DC 02 00 00 00 10 00 00")).AssertGood().Data[8..9])); // saved values, PS
        Assert.Equal(page[9..], (await _unit.Do("5A 08 DC 02 00 00 00 10 00 00")).AssertGood().Data[9..]);
    }

    // ---- thresholds ----

    [Fact]
    public async Task What_is_available_and_falls_to_its_threshold_is_told_once_SBC_5_4_7_3_7_4()
    {
        await SetAsync(reports: true, available: 10, used: null);

        Assert.False(await ReachesAsync(1, 11));
        Assert.True(await ReachesAsync(1, 10));
        Assert.Equal(16, _unit.Server.ReachedThresholdOffset);
        Assert.False(await ReachesAsync(1, 9));
        Assert.False(await ReachesAsync(1, 11)); // it has left the range
        Assert.True(await ReachesAsync(1, 5));
    }

    [Fact]
    public async Task What_is_used_and_rises_to_its_threshold_is_told_once_SBC_5_4_7_3_7_5()
    {
        await SetAsync(reports: true, available: null, used: 10);

        Assert.False(await ReachesAsync(9, 1));
        Assert.True(await ReachesAsync(10, 1));
        Assert.Equal(24, _unit.Server.ReachedThresholdOffset);
        Assert.False(await ReachesAsync(12, 1));
    }

    [Fact]
    public async Task After_a_reset_it_is_told_again_SBC_5_4_7_3_7_6()
    {
        _unit.Server.Store = new MemoryStore();
        await SetAsync(reports: true, available: 10, used: null);
        (await _unit.Do("55 11 00 00 00 00 00 00 00 00")).AssertGood(); // saves what holds
        Assert.True(await ReachesAsync(1, 5));

        _unit.Server.Reset();

        Assert.True(await ReachesAsync(1, 5));
    }

    [Theory]
    [InlineData(false, 10)]
    [InlineData(true, null)]
    public async Task Without_LBPERE_or_a_threshold_nothing_is_told_or_asked(bool reports, int? available)
    {
        await SetAsync(reports, (uint?)available, used: null);

        Assert.False(_unit.Server.WatchesThresholds);
        Assert.False(await ReachesAsync(1, 1));
    }
}
