using Scuse.Scsi;

namespace Scuse.Device.Tests;

public sealed class MediumWorkTests
{
    const string Overwrite = "48 01 00 00 00 00 00 00 06 00";
    const string BlockErase = "48 02 00 00 00 00 00 00 00 00";
    const string BlockEraseInBackground = "48 82 00 00 00 00 00 00 00 00";
    const string UnrestrictedBlockErase = "48 22 00 00 00 00 00 00 00 00";
    const string ExitFailureMode = "48 1F 00 00 00 00 00 00 00 00";
    const string FormatInBackground = "04 10 00 00 00 00";
    const string Format = "04 00 00 00 00 00";
    const string Read = "28 00 00 00 00 00 00 00 01 00";
    const string RequestSense = "03 01 00 00 FC 00";

    static readonly byte[] ImmedList = [0x00, 0x02, 0x00, 0x00];
    static readonly ScsiResult DeviceFailure = ScsiResult.Check(SenseKey.MediumError, AdditionalSense.WriteError);

    [Theory]
    [InlineData(0x01, "AB CD", 1)]
    [InlineData(0x03, "AB CD", 3)]
    [InlineData(0x83, "AB CD", 3)]
    [InlineData(0x82, "AB CD", 2)]
    public async Task OVERWRITE_leaves_its_pattern_in_every_block_after_so_many_passes_SBC_3_5_24_2(byte count, string pattern, int passes)
    {
        var unit = new Unit(BlockDeviceFeatures.Flush, maxTransferBytes: 40 * 512);
        unit.Fill();

        (await unit.Do(Overwrite, [count, 0x00, 0x00, 0x02, .. Unit.Hex(pattern)])).AssertGood();

        Assert.All(Enumerable.Range(0, unit.Device.Bytes.Length), at => Assert.Equal(at % 2 == 0 ? 0xAB : 0xCD, unit.Device.Bytes[at]));
        Assert.Equal(passes * 128 * 512L, unit.Device.Calls!.Where(call => call.Call == Call.Write).Sum(call => call.Length));
        Assert.Equal(passes, unit.Calls.Count(call => call == Call.Flush));
    }

    [Fact]
    public async Task INVERT_has_each_pass_write_the_other_bits_SBC_3_5_24_2()
    {
        var unit = new Unit(BlockDeviceFeatures.None, blocks: 1);
        List<byte> written = [];
        unit.Device.Written = data => written.Add(data.ToArray()[0]);

        (await unit.Do(Overwrite, [0x84, 0x00, 0x00, 0x02, 0x0F, 0x0F])).AssertGood();

        Assert.Equal([0xF0, 0x0F, 0xF0, 0x0F], written);
    }

    [Fact]
    public async Task A_pattern_begins_anew_in_each_block()
    {
        var unit = new Unit(blocks: 2);

        (await unit.Do("48 01 00 00 00 00 00 00 07 00", [0x01, 0x00, 0x00, 0x03, 1, 2, 3])).AssertGood();

        Assert.Equal(new byte[] { 1, 2, 3, 1 }, unit.Device.Bytes[..4]);
        Assert.Equal(new byte[] { 1, 2, 3, 1 }, unit.Device.Bytes[512..516]);
    }

    [Theory]
    [InlineData(Unit.AllFeatures, Call.WriteZeroesMayUnmap)]
    [InlineData(BlockDeviceFeatures.Unmap, Call.Unmap)]
    [InlineData(BlockDeviceFeatures.WriteZeroes, Call.WriteZeroes)]
    [InlineData(BlockDeviceFeatures.None, Call.Write)]
    internal async Task Zeros_are_left_the_fastest_way_there_is(BlockDeviceFeatures features, Call call)
    {
        var unit = new Unit(features);
        unit.Fill();

        (await unit.Do(Format)).AssertGood();

        Assert.Equal(call, unit.Calls.First());
        Assert.Equal(new byte[unit.Device.Bytes.Length], unit.Device.Bytes);
    }

    [Fact]
    public async Task BLOCK_ERASE_leaves_zeros_and_is_there_for_thin_disks_only()
    {
        var unit = new Unit();
        var thick = new Unit(BlockDeviceFeatures.WriteZeroes);
        unit.Fill();

        (await unit.Do(BlockErase)).AssertGood();

        Assert.Equal(new byte[unit.Device.Bytes.Length], unit.Device.Bytes);
        Assert.Equal("05/24/00@1", (await thick.Do(BlockErase)).SenseAt);
        Assert.Equal(0x00, (await thick.Do("12 01 B1 00 FF 00")).Data[7]); // WABEREQ: not applicable
    }

    [Theory]
    [InlineData("48 03 00 00 00 00 00 00 00 00", "", "05/24/00@1")] // CRYPTOGRAPHIC ERASE
    [InlineData("48 00 00 00 00 00 00 00 00 00", "", "05/24/00@1")]
    [InlineData("48 42 00 00 00 00 00 00 00 00", "", "05/24/00@1")]
    [InlineData("48 02 00 01 00 00 00 00 00 00", "", "05/24/00@3")]
    [InlineData("48 02 00 00 00 00 00 00 04 00", "01 00 00 02", "05/24/00@7")]
    [InlineData("48 1F 00 00 00 00 00 00 04 00", "01 00 00 02", "05/24/00@7")]
    [InlineData("48 01 00 00 00 00 00 00 04 00", "01 00 00 02", "05/24/00@7")]
    [InlineData("48 01 00 00 00 00 00 02 05 00", "01 00 00 02", "05/24/00@7")] // more than a block and the header
    [InlineData("48 01 00 00 00 00 00 00 06 00", "01 00 00 02", "05/1A/00")]
    [InlineData("48 01 00 00 00 00 00 00 06 00", "00 00 00 02 01 02", "05/24/00@7")] // OVERWRITE COUNT
    [InlineData("48 01 00 00 00 00 00 00 06 00", "01 00 00 00 01 02", "05/24/00@7")] // INITIALIZATION PATTERN LENGTH
    [InlineData("48 01 00 00 00 00 00 00 06 00", "01 00 00 03 01 02", "05/24/00@7")]
    [InlineData("48 01 00 00 00 00 00 00 06 00", "21 00 00 02 01 02", "05/26/00@0")] // TEST
    [InlineData("04 40 00 00 00 00", "", "05/24/00@1")] // FMTPINFO
    [InlineData("04 10 00 00 00 00", "00 00", "05/1A/00")]
    [InlineData("04 10 00 00 00 00", "01 00 00 00", "05/26/00@0")] // PROTECTION FIELD USAGE
    [InlineData("04 10 00 00 00 00", "00 20 00 00", "05/26/00@1")] // DCRT without FOV
    [InlineData("04 10 00 00 00 00", "00 80 00 04 00 00 00 00", "05/26/00@2")] // a defect
    [InlineData("04 30 00 00 00 00", "00 80 00 00 00 00 00 04", "05/26/00@4")]
    [InlineData("04 30 00 00 00 00", "00 80 00 01 00 00 00 00", "05/26/00@3")] // PROTECTION INTERVAL EXPONENT
    [InlineData("04 10 00 00 00 00", "00 88 00 00 00 02 00 01 55", "05/26/00@5")] // pattern type
    [InlineData("04 10 00 00 00 00", "00 88 00 00 00 01 00 00", "05/26/00@6")]
    [InlineData("04 10 00 00 00 00", "00 88 00 00 00 01 00 02 55", "05/1A/00")]
    public async Task What_is_not_supported_is_refused_and_writes_nothing(string cdb, string list, string sense)
    {
        var unit = new Unit();

        Assert.Equal(sense, (await unit.Do(cdb, Unit.Hex(list))).SenseAt);
        Assert.Empty(unit.Calls);
        (await unit.Do(Read)).AssertGood();
    }

    [Theory]
    [InlineData("04 00 00 00 00 00", "", 0)]
    [InlineData("04 10 00 00 00 00", "00 A0 00 00", 0)] // FOV, DCRT
    [InlineData("04 30 00 00 00 00", "00 A0 00 00 00 00 00 00", 0)]
    [InlineData("04 18 00 00 00 00", "00 88 00 00 00 01 00 01 55", 0x55)] // CMPLST, a pattern
    [InlineData("04 10 00 00 00 00", "00 88 00 00 20 01 00 01 55", 0x55)] // SI
    [InlineData("04 10 00 00 00 00", "00 88 00 00 00 00 00 00", 0)] // the default pattern
    public async Task FORMAT_UNIT_writes_every_block_SBC_3_5_3(string cdb, string list, byte expected)
    {
        var unit = new Unit();
        unit.Fill();

        (await unit.Do(cdb, Unit.Hex(list))).AssertGood();

        Assert.Equal(-1, unit.Device.Bytes.AsSpan().IndexOfAnyExcept(expected));
    }

    [Theory]
    [InlineData(BlockEraseInBackground, "02/04/1B")]
    [InlineData(FormatInBackground, "02/04/04")]
    public async Task While_the_medium_is_written_other_commands_are_refused_and_told_how_far_it_is_SBC_3_4_11_2(string cdb, string sense)
    {
        var unit = new Unit(BlockDeviceFeatures.Flush | BlockDeviceFeatures.Unmap | BlockDeviceFeatures.Extents);
        unit.Device.FlushGate = new TaskCompletionSource();

        (await unit.Do(cdb, ImmedListFor(cdb))).AssertGood();

        foreach (string refused in new[] { "00 00 00 00 00 00", Read, "1B 00 00 00 01 00", "25 00 00 00 00 00 00 00 00 00", BlockErase, ExitFailureMode, Format, "1A 00 3F 00 FF 00" })
        {
            Answer answer = await unit.Do(refused);
            Assert.Equal(sense, answer.Sense);
            Assert.Equal((ushort)65535, answer.Result.Sense.Progress); // all is written, and is being made durable
        }

        (await unit.Do("12 00 00 00 FF 00")).AssertGood();
        (await unit.Do("A3 0C 00 00 00 00 00 00 10 00 00 00")).AssertGood();
        SenseData told = SenseData.Parse((await unit.Do(RequestSense)).AssertGood().Data);
        Assert.Equal((sense, (ushort?)65535), (told.ToString(), told.Progress));
        Assert.False(unit.Server.TryCheckTransfer(Unit.Hex(Read), out _, out _, out _, out _, out ScsiResult refusal));
        Assert.Equal(sense, refusal.Sense.ToString());

        unit.Device.FlushGate.SetResult();
        (await unit.Do(Read)).AssertGood();
        Assert.Equal("00/00/00", SenseData.Parse((await unit.Do(RequestSense)).Data).ToString());
    }

    [Fact]
    public async Task Progress_grows_with_what_is_written()
    {
        var unit = new Unit(BlockDeviceFeatures.None, maxTransferBytes: 64 * 512);
        List<ushort?> seen = [];
        unit.Device.Written = data =>
        {
            unit.Server.TryCheckTransfer(Unit.Hex(Read), out _, out _, out _, out _, out ScsiResult refusal);
            seen.Add(refusal.Sense.Progress);
        };

        (await unit.Do(Overwrite, [0x02, 0x00, 0x00, 0x02, 1, 2])).AssertGood();

        Assert.Equal([0, 16384, 32768, 49152], seen);
    }

    [Fact]
    public async Task A_failed_sanitize_keeps_everything_out_until_a_sanitize_succeeds_SBC_3_4_11_3()
    {
        var unit = new Unit();
        unit.Device.FailNext(Call.WriteZeroesMayUnmap, DeviceFailure);

        Assert.Equal("03/31/03", (await unit.Do(BlockErase)).Sense);
        Assert.Equal("03/31/03", (await unit.Do(Read)).Sense);
        Assert.Equal("03/31/03", (await unit.Do(Format)).Sense);
        Assert.Equal("03/31/03", SenseData.Parse((await unit.Do(RequestSense)).Data).ToString());
        Assert.Equal("05/24/00@1", (await unit.Do(ExitFailureMode)).SenseAt);
        Assert.Equal("05/24/00@1", (await unit.Do(UnrestrictedBlockErase)).SenseAt);
        (await unit.Do(BlockErase)).AssertGood();
        (await unit.Do(Read)).AssertGood();
    }

    [Fact]
    public async Task EXIT_FAILURE_MODE_ends_the_failure_of_an_unrestricted_sanitize_SBC_3_5_24_5()
    {
        var unit = new Unit();
        unit.Device.FailNext(Call.WriteZeroesMayUnmap, DeviceFailure);

        Assert.Equal("03/31/03", (await unit.Do(UnrestrictedBlockErase)).Sense);
        Assert.Equal("03/31/03", (await unit.Do(Read)).Sense);
        (await unit.Do(ExitFailureMode)).AssertGood();
        (await unit.Do(Read)).AssertGood();
    }

    [Fact]
    public async Task EXIT_FAILURE_MODE_without_a_failure_does_nothing() => (await new Unit().Do(ExitFailureMode)).AssertGood();

    [Fact]
    public async Task After_a_failed_format_the_medium_cannot_be_accessed_until_one_succeeds_SBC_3_5_3_1()
    {
        var unit = new Unit();
        unit.Device.FailNext(Call.WriteZeroesMayUnmap, DeviceFailure);

        Assert.Equal("03/31/01", (await unit.Do(Format)).Sense);
        Assert.Equal("03/31/01", (await unit.Do(Read)).Sense);
        (await unit.Do("25 00 00 00 00 00 00 00 00 00")).AssertGood(); // READ CAPACITY does not access the medium
        (await unit.Do(Format)).AssertGood();
        (await unit.Do(Read)).AssertGood();
    }

    [Theory]
    [InlineData(Call.Flush)]
    [InlineData(Call.Write)]
    internal async Task Whatever_fails_on_the_way_fails_the_whole(Call call)
    {
        var unit = new Unit(BlockDeviceFeatures.Flush | BlockDeviceFeatures.Unmap | BlockDeviceFeatures.Extents);
        unit.Device.FailNext(call, DeviceFailure);

        Assert.Equal("03/31/03", (await unit.Do(Overwrite, [0x01, 0x00, 0x00, 0x02, 1, 2])).Sense);
    }

    [Fact]
    public async Task Aborting_the_command_does_not_end_the_work_SBC_3_4_11_4()
    {
        var unit = new Unit(BlockDeviceFeatures.Flush | BlockDeviceFeatures.Unmap | BlockDeviceFeatures.Extents);
        unit.Device.FlushGate = new TaskCompletionSource();
        using var abort = new CancellationTokenSource();

        Task<ScsiResult> erasing = unit.Server.ExecuteAsync(new DeviceCommand(Unit.Hex(BlockErase), default, default, abort.Token)).AsTask();
        Assert.False(erasing.IsCompleted);
        await abort.CancelAsync();

        Assert.Equal("0B/00/00", (await erasing).Sense.ToString());
        Assert.Equal("02/04/1B", (await unit.Do(Read)).Sense);
        unit.Device.FlushGate.SetResult();
        (await unit.Do(Read)).AssertGood();
    }

    [Fact]
    public async Task Where_the_device_server_stands_alone_it_begins_when_the_commands_before_it_have_ended()
    {
        var device = new MemoryDevice(new Unit().Device.Info) { ReadGate = new TaskCompletionSource(), FlushGate = new TaskCompletionSource() };
        var server = new DeviceServer(device, keepsAtomicCommandsApart: true);

        Task<ScsiResult> reading = Execute(server, Read);
        Task<ScsiResult> erasing = Execute(server, BlockEraseInBackground);
        Task<ScsiResult> later = Execute(server, Read);
        Assert.False(erasing.IsCompleted);
        Assert.DoesNotContain(device.Calls!, call => call.Call == Call.WriteZeroesMayUnmap);
        device.ReadGate.SetResult();

        Assert.True((await reading).IsGood);
        Assert.True((await erasing).IsGood);
        Assert.Equal("02/04/1B", (await later).Sense.ToString()); // it waited behind it, and not until its end
        Task ended = server.MediumWork!.Completion;
        device.FlushGate.SetResult();
        await ended;
        Assert.True((await Execute(server, Read)).IsGood);
    }

    [Fact]
    public async Task Work_that_is_stopped_for_good_has_failed()
    {
        var unit = new Unit(BlockDeviceFeatures.None, maxTransferBytes: 512);
        unit.Device.Written = data => _ = unit.Server.StopBackgroundAsync();

        Assert.Equal("03/31/01", (await unit.Do(Format)).Sense);
        Assert.Equal([Call.Write], unit.Calls);
    }

    [Theory]
    [InlineData(BlockErase, "03/31/03")]
    [InlineData(Format, "03/31/01")]
    public async Task What_a_crash_has_interrupted_has_failed_where_that_could_be_kept(string cdb, string sense)
    {
        var store = new MemoryStore();
        var unit = new Unit(BlockDeviceFeatures.Flush | BlockDeviceFeatures.Unmap | BlockDeviceFeatures.Extents) { Server = { Store = store } };
        unit.Device.FlushGate = new TaskCompletionSource(); // and it never comes to its end

        _ = Execute(unit.Server, cdb);
        var next = new Unit(BlockDeviceFeatures.Flush | BlockDeviceFeatures.Unmap | BlockDeviceFeatures.Extents) { Server = { Store = store } };
        next.Server.Restore(store.State);

        Assert.Equal(sense, (await next.Do(Read)).Sense);
        (await next.Do(cdb)).AssertGood();
        (await next.Do(Read)).AssertGood();
        Assert.Equal(DeviceState.Empty, store.State);
    }

    [Fact]
    public async Task Leaving_the_failure_mode_is_kept_too()
    {
        var store = new MemoryStore();
        var unit = new Unit { Server = { Store = store } };
        unit.Device.FailNext(Call.WriteZeroesMayUnmap, DeviceFailure);

        await unit.Do(UnrestrictedBlockErase);
        Assert.Equal(MediumWorkKind.UnrestrictedSanitize, store.State.MediumWork);
        (await unit.Do(ExitFailureMode)).AssertGood();

        Assert.Equal(DeviceState.Empty, store.State);
    }

    [Fact]
    public async Task Nothing_is_written_when_it_cannot_be_kept_that_it_is_and_the_unit_has_failed()
    {
        var unit = new Unit { Server = { Store = new MemoryStore { IsFull = true } } };

        Assert.Equal("03/31/03", (await unit.Do(BlockErase)).Sense);
        Assert.Empty(unit.Calls);
        Assert.Equal("03/31/03", (await unit.Do(Read)).Sense);
    }

    [Theory]
    [InlineData(Overwrite)]
    [InlineData(Format)]
    public async Task A_read_only_unit_is_not_written_over(string cdb) =>
        Assert.Equal("07/27/00", (await new Unit(BlockDeviceFeatures.ReadOnly).Do(cdb)).Sense);

    [Fact]
    public async Task Blocks_can_be_read_after_a_block_erase_and_there_is_no_cryptographic_erase_SBC_4_B1h() =>
        Assert.Equal(0x40, (await new Unit().Do("12 01 B1 00 FF 00")).Data[7]);

    static Task<ScsiResult> Execute(DeviceServer server, string cdb) =>
        server.ExecuteAsync(new DeviceCommand(Unit.Hex(cdb), default, new DataBuffer(new byte[512]), CancellationToken.None)).AsTask();

    static byte[]? ImmedListFor(string cdb) => cdb == FormatInBackground ? ImmedList : null;
}
