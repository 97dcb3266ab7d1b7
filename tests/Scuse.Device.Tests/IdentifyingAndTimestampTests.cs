using Scuse.Scsi;

namespace Scuse.Device.Tests;

public sealed class IdentifyingAndTimestampTests
{
    readonly Unit _unit = new();
    readonly MemoryStore _store = new();
    readonly FakeTime _time = new();
    readonly List<ushort> _told = [];

    public IdentifyingAndTimestampTests()
    {
        _unit.Server.Store = _store;
        _unit.Server.TimeSource = _time;
        _unit.Server.AttentionRaised = (code, _) => _told.Add(code);
    }

    async Task<byte[]> Data(string cdb) => (await _unit.Do(cdb)).AssertGood().Data;

    // ---- identifying information ----

    [Fact]
    public async Task Nothing_is_reported_before_anything_was_set() => Assert.Equal(Unit.Hex("0000 0000"), await Data("A3 05 00 00 00 00 00 00 02 04 00 00"));

    [Theory]
    [InlineData("00")]
    [InlineData("04")]
    public async Task What_was_set_is_reported_and_kept_and_told_to_others_once_SPC_4_6_43(string type)
    {
        string set = $"A4 06 00 00 00 00 00 00 00 03 {type} 00";
        (await _unit.Do(set, Unit.Hex("41 00 FF"))).AssertGood();
        (await _unit.Do(set, Unit.Hex("41 00 FF"))).AssertGood();
        var next = new Unit();
        next.Server.Store = _store;
        next.Server.Restore(_store.State);

        string report = $"A3 05 00 00 00 00 00 00 02 04 {type} 00";
        Assert.Equal(Unit.Hex("0000 0003 41 00 FF"), await Data(report));
        Assert.Equal(Unit.Hex("0000 0003 41 00 FF"), (await next.Do(report)).AssertGood().Data);
        Assert.Equal([AdditionalSense.DeviceIdentifierChanged], _told);
    }

    [Fact]
    public async Task The_two_kinds_stand_beside_each_other_and_an_empty_list_takes_one_away()
    {
        (await _unit.Do("A4 06 00 00 00 00 00 00 00 01 00 00", [1])).AssertGood();
        (await _unit.Do("A4 06 00 00 00 00 00 00 00 01 04 00", [2])).AssertGood();
        (await _unit.Do("A4 06 00 00 00 00 00 00 00 00 00 00")).AssertGood();

        Assert.Equal(Unit.Hex("0000 0000"), await Data("A3 05 00 00 00 00 00 00 02 04 00 00"));
        Assert.Equal(Unit.Hex("0000 0001 02"), await Data("A3 05 00 00 00 00 00 00 02 04 04 00"));
    }

    [Fact]
    public async Task The_types_are_reported_with_their_greatest_lengths_SPC_4_6_33_3() =>
        Assert.Equal(Unit.Hex("0000 0008 00 00 0200 04 00 0100"), await Data("A3 05 00 00 00 00 00 00 02 04 FE 00"));

    [Theory]
    [InlineData("A3 05 00 00 00 00 00 00 02 04 02 00", "05/24/00@10")]
    [InlineData("A4 06 00 00 00 00 00 00 00 03 FE 00", "05/24/00@10")]
    [InlineData("A4 06 00 00 00 00 00 00 02 01 00 00", "05/24/00@6")]
    [InlineData("A4 06 00 00 00 00 00 00 01 01 04 00", "05/24/00@6")]
    [InlineData("A4 06 00 00 00 00 00 00 00 05 00 00", "05/1A/00")] // four bytes came
    public async Task What_cannot_be_is_refused(string cdb, string sense)
    {
        Assert.Equal(sense, (await _unit.Do(cdb, new byte[4])).SenseAt);
        Assert.Empty(_told);
    }

    [Fact]
    public async Task What_cannot_be_kept_is_not_set()
    {
        _unit.Server.Store = new MemoryStore { IsFull = true };

        Assert.Equal("04/44/00", (await _unit.Do("A4 06 00 00 00 00 00 00 00 01 00 00", [1])).Sense);
        Assert.Equal(Unit.Hex("0000 0000"), await Data("A3 05 00 00 00 00 00 00 02 04 00 00"));
    }

    [Theory]
    [InlineData("A3 05 00 00 00 00 00 00 02 04 00 00")]
    [InlineData("A4 06 00 00 00 00 00 00 00 00 00 00")]
    [InlineData("A3 0F 00 00 00 00 00 00 00 0C 00 00")]
    [InlineData("A4 0F 00 00 00 00 00 00 00 0C 00 00")]
    public async Task Without_a_store_or_a_clock_there_is_no_such_command(string cdb) => Assert.Equal("05/24/00@1", (await new Unit().Do(cdb, new byte[12])).SenseAt);

    // ---- timestamp ----

    const string ReportTimestamp = "A3 0F 00 00 00 00 00 00 00 0C 00 00";

    [Fact]
    public async Task The_timestamp_is_the_time_sources_until_it_is_set_SPC_4_5_2()
    {
        _time.NowMs = 0x0102_0304_0506;

        Assert.Equal(Unit.Hex("000A 03 00 010203040506 0000"), await Data(ReportTimestamp));
    }

    [Fact]
    public async Task A_timestamp_that_was_set_goes_on_from_there_and_others_are_told_SPC_4_6_45()
    {
        (await _unit.Do("A4 0F 00 00 00 00 00 00 00 0C 00 00", Unit.Hex("00000000 FFFFFFFFFFFE 0000"))).AssertGood();
        _time.NowMs += 1;
        Assert.Equal(Unit.Hex("000A 02 00 FFFFFFFFFFFF 0000"), await Data(ReportTimestamp));
        _time.NowMs += 2;
        _unit.Server.Reset();

        Assert.Equal(Unit.Hex("000A 02 00 000000000001 0000"), await Data(ReportTimestamp));
        Assert.Equal([AdditionalSense.TimestampChanged], _told);
    }

    [Fact]
    public async Task An_empty_list_sets_nothing_and_a_short_one_is_refused()
    {
        (await _unit.Do("A4 0F 00 00 00 00 00 00 00 00 00 00")).AssertGood();
        Assert.Equal("05/1A/00", (await _unit.Do("A4 0F 00 00 00 00 00 00 00 0B 00 00", new byte[12])).Sense);
        Assert.Equal("05/1A/00", (await _unit.Do("A4 0F 00 00 00 00 00 00 00 0C 00 00", new byte[11])).Sense);

        Assert.Empty(_told);
    }

    sealed class FakeTime : TimeProvider
    {
        public long NowMs { get; set; } = 1_000_000;

        public override long TimestampFrequency => 1000;

        public override DateTimeOffset GetUtcNow() => DateTimeOffset.FromUnixTimeMilliseconds(NowMs);

        public override long GetTimestamp() => NowMs;
    }
}
