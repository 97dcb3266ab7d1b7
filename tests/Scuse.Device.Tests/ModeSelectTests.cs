using Scuse.Scsi;

namespace Scuse.Device.Tests;

public sealed class ModeSelectTests
{
    const string Header6 = "00 00 00 00", Header10 = "0000 00 00 00 00 0000";
    const string Recovery = "01 0A 00000000000000000000";
    const string CachingOn = "08 12 04 0000000000000000000000000000000000";
    const string CachingOff = "08 12 00 0000000000000000000000000000000000";
    const string Control = "0A 0A 00 10 00 00 00 00 FFFF 0000";
    const string ControlSet = "0A 0A 24 16 08 40 00 00 FFFF 0000"; // TST 001b, D_SENSE, QERR 11b, SWP, TAS
    const string Protected = "0A 0A 00 10 08 00 00 00 FFFF 0000"; // SWP
    const string Exceptions = "1C 0A 08 000000000000000000";

    readonly Unit _unit = new();

    Task<Answer> Select(string list) => Select(_unit, list);

    static Task<Answer> Select(Unit unit, string list, byte flags = 0x10)
    {
        byte[] bytes = Unit.Hex(list);
        return unit.Do([0x15, flags, 0, 0, (byte)bytes.Length, 0], bytes);
    }

    Task<Answer> Select10(string list)
    {
        byte[] bytes = Unit.Hex(list);
        return _unit.Do([0x55, 0x10, 0, 0, 0, 0, 0, 0, (byte)bytes.Length, 0], bytes);
    }

    async Task<string> Page(byte code) => Convert.ToHexString((await _unit.Do([0x1A, 0x08, code, 0, 0xFF, 0])).AssertGood().Data[4..]);

    static string Plain(string text) => text.Replace(" ", "", StringComparison.Ordinal);

    [Fact]
    public async Task What_is_set_in_the_Control_page_is_in_force_and_shown_SPC_4_7_5_8()
    {
        (await Select(Header6 + ControlSet)).AssertGood();

        Assert.Equal(
            new ControlSettings { TaskSetPerNexus = true, DescriptorSense = true, QueueError = QueueErrorManagement.AbortOwn, SoftwareWriteProtect = true, ReportsTaskAborted = true },
            _unit.Server.Control);
        Assert.Equal(Plain(ControlSet), await Page(0x0A));
    }

    [Fact]
    public async Task Default_values_stay_when_others_are_set_SPC_4_6_13_1_4()
    {
        (await Select(Header6 + ControlSet)).AssertGood();

        Assert.Equal(Plain(Control), await Page(0x80 | 0x0A));
    }

    [Fact]
    public async Task Several_pages_come_in_one_list_with_a_header_of_ten_and_a_block_descriptor_SPC_4_6_12()
    {
        (await Select10("0000 00 00 00 00 0008  00000080 00 000200" + Recovery + CachingOff + ControlSet + Exceptions)).AssertGood();

        Assert.True(_unit.Server.WritesThrough);
        Assert.True(_unit.Server.Control.DescriptorSense);
    }

    [Theory]
    [InlineData("00 00 00 08  00000000 00 000200")]
    [InlineData("00 00 00 08  FFFFFFFF 00 000200")]
    [InlineData("00 00 90 08  00000080 00 000200")]
    public async Task A_block_descriptor_that_leaves_the_medium_as_it_is_is_taken_SBC_3_6_5_2(string list) => (await Select(list)).AssertGood();

    [Theory]
    [InlineData("0000 00 00 01 00 0010  0000000000000080 00000000 00000200")]
    [InlineData("0000 00 00 01 00 0010  0000000000000000 00000000 00000200")]
    [InlineData("0000 00 00 01 00 0010  FFFFFFFFFFFFFFFF 00000000 00000200")]
    public async Task So_is_a_long_one_SBC_3_6_5_2_3(string list) => (await Select10(list)).AssertGood();

    [Theory]
    [InlineData("00 01 00 00", "05/26/00@1")] // MEDIUM TYPE
    [InlineData("00 00 00 10  00000080 00 000200 00000080 00 000200", "05/26/00@3")] // two block descriptors
    [InlineData("00 00 00 08  00000081 00 000200", "05/26/00@4")] // another size
    [InlineData("00 00 00 08  00000080 00 001000", "05/26/00@9")] // another block length
    [InlineData(Header6 + "02 0A 00000000000000000000", "05/26/00@4")] // no such page
    [InlineData(Header6 + "4A 01 0001 00", "05/26/00@5")] // no such subpage
    [InlineData(Header6 + "0A 0B 00 10 00 00 00 00 FFFF 0000 00", "05/26/00@5")] // PAGE LENGTH
    [InlineData(Header6 + "01 0A 00000000000000000001", "05/26/00@15")] // cannot be changed
    [InlineData(Header6 + "08 12 05 0000000000000000000000000000000000", "05/26/00@6")] // RCD
    [InlineData(Header6 + "0A 0A 00 00 00 00 00 00 FFFF 0000", "05/26/00@7")] // QUEUE ALGORITHM MODIFIER
    [InlineData(Header6 + "0A 0A 40 10 00 00 00 00 FFFF 0000", "05/26/00@6")] // TST 010b is reserved
    [InlineData(Header6 + "0A 0A 00 14 00 00 00 00 FFFF 0000", "05/26/00@7")] // QERR 10b is reserved
    [InlineData(Header6 + "1C 0A 00 000000000000000000", "05/26/00@6")] // DEXCPT
    [InlineData("00", "05/1A/00")]
    [InlineData("00 00 00 08  00000080", "05/1A/00")]
    [InlineData(Header6 + "0A", "05/1A/00")]
    [InlineData(Header6 + "0A 0A 04 10 00", "05/1A/00")]
    public async Task What_cannot_be_had_is_refused_at_its_byte_SPC_4_6_11(string list, string sense)
    {
        Assert.Equal(sense, (await Select(list)).SenseAt);
        Assert.Equal(ControlSettings.Default, _unit.Server.Control);
    }

    [Fact]
    public async Task A_list_of_which_a_part_is_refused_changes_nothing_SPC_4_6_11()
    {
        Assert.Equal("05/26/00@36", (await Select(Header6 + CachingOff + ControlSet + "02 00")).SenseAt);
        Assert.Equal("05/1A/00", (await Select(Header6 + CachingOff + ControlSet + "1C")).SenseAt);

        Assert.False(_unit.Server.WritesThrough);
        Assert.Equal(ControlSettings.Default, _unit.Server.Control);
        Assert.Empty(_unit.Calls);
    }

    [Theory]
    [InlineData("0000 00 00 01 00 0008  00000080 00 000200", "05/26/00@6")] // short, and said to be long
    [InlineData("0000 01 00 00 00 0000", "05/26/00@2")]
    [InlineData("0000 00 00 01 00 0010  0000000000000080 00000000 00000201", "05/26/00@20")]
    public async Task Offsets_are_those_of_the_longer_header_SPC_4_7_5_5(string list, string sense) => Assert.Equal(sense, (await Select10(list)).SenseAt);

    [Theory]
    [InlineData("15 00 00 00 04 00", "05/24/00@1")] // PF 0: a format of nobody knows whom
    [InlineData("15 12 00 00 04 00", "05/24/00@1")] // RTD
    [InlineData("15 11 00 00 04 00", "05/24/00@1")] // SP, and nowhere to save
    [InlineData("55 11 00 00 00 00 00 00 08 00", "05/24/00@1")]
    public async Task Bits_of_the_CDB_that_cannot_be_honoured_are_refused(string cdb, string sense) =>
        Assert.Equal(sense, (await _unit.Do(cdb, Unit.Hex(Header10))).SenseAt);

    [Theory]
    [InlineData("15 10 00 00 00 00")]
    [InlineData("55 10 00 00 00 00 00 00 00 00")]
    public async Task No_parameter_list_is_no_error_SPC_4_6_11(string cdb) => (await _unit.Do(cdb)).AssertGood();

    [Fact]
    public async Task A_list_that_came_short_is_refused() =>
        Assert.Equal("05/1A/00", (await _unit.Do("15 10 00 00 10 00", Unit.Hex(Header6 + "0A 0A 04"))).Sense);

    [Fact]
    public async Task PS_is_reserved_in_a_list_and_is_passed_over() => (await Select(Header6 + "8A 0A 04 10 00 00 00 00 FFFF 0000")).AssertGood();

    // ---- who hears of it ----

    [Fact]
    public async Task A_change_is_told_to_everybody_but_its_sender_and_no_change_to_nobody_SPC_4_6_11()
    {
        List<(ushort, object?)> told = [];
        _unit.Server.AttentionRaised = (code, sender) => told.Add((code, sender));
        byte[] list = Unit.Hex(Header6 + ControlSet);
        object sender = new();
        var command = new DeviceCommand(Unit.Hex("15 10 00 00 10 00"), new DataBuffer(list), default, CancellationToken.None, sender);

        await _unit.Server.ExecuteAsync(command);
        await _unit.Server.ExecuteAsync(command);

        Assert.Equal([(AdditionalSense.ModeParametersChanged, sender)], told);
    }

    // ---- SWP ----

    [Theory]
    [InlineData("0A 00 00 00 01 00")]
    [InlineData("2A 00 00 00 00 00 00 00 01 00")]
    [InlineData("2E 00 00 00 00 00 00 00 01 00")]
    [InlineData("41 00 00 00 00 00 00 00 01 00")]
    [InlineData("42 00 00 00 00 00 00 00 18 00")]
    [InlineData("89 00 00 00 00 00 00 00 00 00 00 00 00 01 00 00")]
    public async Task A_write_protected_unit_is_not_written_SPC_4_7_5_8(string cdb)
    {
        (await Select(Header6 + Protected)).AssertGood();

        Assert.Equal("07/27/02", (await _unit.Do(cdb, new byte[1024])).Sense);
        Assert.Empty(_unit.Calls);
    }

    [Fact]
    public async Task Nor_is_it_where_only_the_check_is_the_device_servers()
    {
        (await Select(Header6 + Protected)).AssertGood();

        Assert.False(_unit.Server.TryCheckTransfer(Unit.Hex("2A 00 00 00 00 00 00 00 01 00"), out _, out _, out _, out _, out ScsiResult refusal));
        Assert.Equal("07/27/02", refusal.Sense.ToString());
    }

    [Fact]
    public async Task WP_is_in_the_header_while_SWP_is_set_SBC_3_6_5_1()
    {
        (await Select(Header6 + Protected)).AssertGood();
        Assert.Equal(0x90, (await _unit.Do("1A 08 0A 00 FF 00")).Data[2]);

        (await Select(Header6 + Control)).AssertGood();
        Assert.Equal(0x10, (await _unit.Do("1A 08 0A 00 FF 00")).Data[2]);
    }

    // ---- WCE ----

    [Fact]
    public async Task Switching_the_write_cache_off_flushes_it_and_has_each_write_be_durable_SBC_3_6_5_5()
    {
        (await Select(Header6 + CachingOff)).AssertGood();
        (await _unit.Do("2A 00 00 00 00 00 00 00 01 00", new byte[512])).AssertGood();
        (await _unit.Do("42 00 00 00 00 00 00 00 18 00", Unit.Hex("0016 0010 00000000  0000000000000000 00000001 00000000"))).AssertGood();
        (await _unit.Do("93 01 00 00 00 00 00 00 00 00 00 00 00 01 00 00")).AssertGood();

        Assert.Equal([Call.Flush, Call.WriteWithFua, Call.Unmap, Call.Flush, Call.WriteZeroes, Call.Flush], _unit.Calls);
        Assert.Equal(Plain(CachingOff), await Page(0x08));
    }

    [Fact]
    public async Task Without_a_write_cache_a_checked_write_is_one_with_FUA()
    {
        (await Select(Header6 + CachingOff)).AssertGood();

        Assert.True(_unit.Server.TryCheckTransfer(Unit.Hex("2A 00 00 00 00 00 00 00 01 00"), out _, out _, out _, out bool fua, out _));
        Assert.True(fua);
        Assert.True(_unit.Server.TryCheckTransfer(Unit.Hex("28 00 00 00 00 00 00 00 01 00"), out _, out _, out _, out fua, out _));
        Assert.False(fua);
    }

    [Fact]
    public async Task A_cache_that_cannot_be_flushed_is_not_switched_off()
    {
        _unit.Device.FailNext(Call.Flush, ScsiResult.Check(SenseKey.MediumError, AdditionalSense.WriteError));

        Assert.Equal("03/0C/00", (await Select(Header6 + CachingOff)).Sense);
        Assert.False(_unit.Server.WritesThrough);
    }

    [Fact]
    public async Task It_can_be_switched_on_again()
    {
        (await Select(Header6 + CachingOff)).AssertGood();
        (await Select(Header6 + CachingOn)).AssertGood();
        (await _unit.Do("2A 00 00 00 00 00 00 00 01 00", new byte[512])).AssertGood();

        Assert.Equal([Call.Flush, Call.Write], _unit.Calls);
    }

    [Fact]
    public async Task A_device_without_a_cache_keeps_WCE_at_zero() =>
        Assert.Equal("05/26/00@6", (await Select(new Unit(BlockDeviceFeatures.None), Header6 + CachingOn)).SenseAt);

    // ---- saved values ----

    [Fact]
    public async Task What_was_saved_is_shown_as_saved_and_holds_after_a_reset_and_a_restart_SPC_4_6_11()
    {
        var store = new MemoryStore();
        _unit.Server.Store = store;
        (await Select(_unit, Header6 + CachingOff + ControlSet, flags: 0x11)).AssertGood();
        (await Select(Header6 + CachingOn + Control)).AssertGood();
        _unit.Server.Reset();
        var next = new Unit();
        next.Server.Store = store;
        next.Server.Restore(store.State);

        Assert.Equal("8" + Plain(ControlSet)[1..], await Page(0xC0 | 0x0A));
        Assert.True(_unit.Server.Control.DescriptorSense);
        Assert.True(_unit.Server.WritesThrough);
        Assert.True(next.Server.Control.DescriptorSense);
        Assert.True(next.Server.WritesThrough);
    }

    [Fact]
    public async Task SP_without_a_list_saves_what_is_in_force()
    {
        var store = new MemoryStore();
        _unit.Server.Store = store;
        (await Select(Header6 + ControlSet)).AssertGood();
        Assert.Null(store.State.Mode);

        (await _unit.Do("15 11 00 00 00 00")).AssertGood();

        Assert.True(store.State.Mode!.Control.SoftwareWriteProtect);
    }

    [Fact]
    public async Task PS_is_set_in_the_pages_that_can_be_saved_where_there_is_a_store_SPC_4_7_5_7()
    {
        _unit.Server.Store = new MemoryStore();

        byte[] data = (await _unit.Do("1A 08 3F 00 FF 00")).AssertGood().Data;

        byte[] codes = [data[4], data[16], data[36], data[48]];
        Assert.Equal(Unit.Hex("01 88 8A 1C"), codes);
    }

    [Fact]
    public async Task What_cannot_be_saved_is_not_done_either()
    {
        _unit.Server.Store = new MemoryStore { IsFull = true };

        Assert.Equal("04/44/00", (await Select(_unit, Header6 + CachingOff + ControlSet, flags: 0x11)).Sense);
        Assert.False(_unit.Server.WritesThrough);
        Assert.Equal(ControlSettings.Default, _unit.Server.Control);
    }

    [Fact]
    public async Task A_reset_without_saved_values_brings_the_default_ones_and_starts_the_unit()
    {
        (await Select(Header6 + CachingOff + ControlSet)).AssertGood();
        (await _unit.Do("1B 00 00 00 00 00")).AssertGood();

        _unit.Server.Reset();

        Assert.Equal(ControlSettings.Default, _unit.Server.Control);
        Assert.False(_unit.Server.WritesThrough);
        (await _unit.Do("00 00 00 00 00 00")).AssertGood();
    }

    [Fact]
    public async Task Changes_that_come_while_another_is_being_saved_wait_for_it_and_none_is_lost()
    {
        var store = new MemoryStore { Gate = new TaskCompletionSource() };
        _unit.Server.Store = store;

        Task<Answer> first = Select(_unit, Header6 + CachingOff, flags: 0x11);
        Task<Answer> second = Select(_unit, Header6 + ControlSet, flags: 0x11);
        Assert.False(second.IsCompleted);
        store.Gate.SetResult();

        (await first).AssertGood();
        (await second).AssertGood();
        Assert.False(store.State.Mode!.WriteCache);
        Assert.True(store.State.Mode.Control.DescriptorSense);
    }

    // ---- following another device server ----

    [Fact]
    public void The_Control_page_of_a_list_that_somebody_else_took_is_followed_whatever_stands_beside_it()
    {
        _unit.Server.FollowModeSelect(Unit.Hex("15 10 00 00 20 00"), Unit.Hex(Header6 + "02 02 0000" + "4A 01 0001 00" + "0A 0A 04 00 00 00 00 00 0000 1234" + "3E"));

        Assert.Equal(ControlSettings.Default with { DescriptorSense = true }, _unit.Server.Control);
        _unit.Server.FollowModeSelect(Unit.Hex("15 10 00 00 20 00"), []);
    }
}

/// <summary>Keeps a device's state in memory.</summary>
sealed class MemoryStore : IDeviceStateStore
{
    public DeviceState State { get; private set; } = DeviceState.Empty;

    /// <summary>Nothing can be kept.</summary>
    public bool IsFull { get; init; }

    /// <summary>Keeps nothing until it is set.</summary>
    public TaskCompletionSource? Gate { get; init; }

    public async ValueTask<bool> SaveAsync(DeviceState state)
    {
        if (Gate is { } gate)
        {
            await gate.Task;
        }

        State = IsFull ? State : state;
        return !IsFull;
    }
}
