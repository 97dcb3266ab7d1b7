using Scuse.Scsi;

namespace Scuse.Device.Tests;

public sealed class AtomicCommandTests
{
    const string CompareAndWriteBlocks3To4 = "89 00 00 00 00 00 00 00 00 03 00 00 00 02 00 00";
    const string OrWriteBlocks3To4 = "8B 00 00 00 00 00 00 00 00 03 00 00 00 02 00 00";
    const int Offset = 3 * 512, Length = 2 * 512;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task COMPARE_AND_WRITE_writes_what_it_was_to_when_the_blocks_are_as_expected_SBC_3_5_2(bool isLate)
    {
        var unit = new Unit { Device = { IsLate = isLate } };
        byte[] before = unit.Fill();
        byte[] data = [.. Enumerable.Repeat((byte)0xEE, Length)];

        (await unit.Do(CompareAndWriteBlocks3To4, [.. before[Offset..(Offset + Length)], .. data])).AssertGood();

        Assert.Equal([.. before[..Offset], .. data, .. before[(Offset + Length)..]], unit.Device.Bytes);
        Assert.Equal(0, unit.Device.RentedBuffers);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(511)]
    [InlineData(512)]
    [InlineData(Length - 1)]
    public async Task COMPARE_AND_WRITE_writes_nothing_and_tells_where_the_first_difference_is_SBC_3_5_2(int differsAt)
    {
        var unit = new Unit();
        byte[] before = unit.Fill();
        byte[] expected = before[Offset..(Offset + Length)];
        expected[differsAt] ^= 0x10;

        Answer answer = await unit.Do(CompareAndWriteBlocks3To4, [.. expected, .. new byte[Length]]);

        Assert.Equal("0E/1D/00", answer.Sense);
        Assert.Equal((ulong)differsAt, answer.Result.Sense.Information);
        Assert.Equal(before, unit.Device.Bytes);
        Assert.Equal(0, unit.Device.RentedBuffers);
    }

    [Fact]
    public async Task COMPARE_AND_WRITE_with_FUA_writes_with_it()
    {
        var unit = new Unit();

        (await unit.Do("89 08 00 00 00 00 00 00 00 00 00 00 00 01 00 00", new byte[1024])).AssertGood();

        Assert.Equal([Call.Read, Call.WriteWithFua], unit.Calls);
    }

    [Fact]
    public async Task COMPARE_AND_WRITE_of_no_blocks_does_nothing()
    {
        var unit = new Unit();

        (await unit.Do("89 00 00 00 00 00 00 00 00 03 00 00 00 00 00 00")).AssertGood();

        Assert.Empty(unit.Calls);
    }

    [Theory]
    [InlineData("89 20 00 00 00 00 00 00 00 03 00 00 00 01 00 00", 1024, "05/24/00@1")] // WRPROTECT
    [InlineData("89 00 00 00 00 00 00 00 00 80 00 00 00 01 00 00", 1024, "05/21/00")]
    [InlineData("89 00 00 00 00 00 00 00 00 7F 00 00 00 02 00 00", 2048, "05/21/00")]
    [InlineData("89 00 00 00 00 00 00 00 00 03 00 00 00 02 00 00", 2047, "05/24/00@13")] // less data than the blocks to compare and to write
    [InlineData("8B 20 00 00 00 00 00 00 00 03 00 00 00 01 00 00", 512, "05/24/00@1")]
    [InlineData("8B 00 00 00 00 00 00 00 00 7F 00 00 00 02 00 00", 1024, "05/21/00")]
    public async Task What_makes_no_sense_is_refused_and_nothing_is_done(string cdb, int dataOut, string sense)
    {
        var unit = new Unit();

        Assert.Equal(sense, (await unit.Do(cdb, new byte[dataOut])).SenseAt);
        Assert.Empty(unit.Calls);
    }

    [Fact]
    public async Task COMPARE_AND_WRITE_takes_no_more_blocks_than_VPD_page_B0h_says()
    {
        var unit = new Unit(blocks: 512, maxTransferBytes: 64 * 512);
        int most = (await unit.Do("12 01 B0 00 40 00")).Data[5];
        Assert.Equal(32, most);

        Assert.Equal("05/24/00@13", (await unit.Do($"89 00 00 00 00 00 00 00 00 00 00 00 00 {most + 1:X2} 00 00", new byte[2 * 512 * (most + 1)])).SenseAt);
        (await unit.Do($"89 00 00 00 00 00 00 00 00 00 00 00 00 {most:X2} 00 00", new byte[2 * 512 * most])).AssertGood();
    }

    [Theory]
    [InlineData(nameof(Call.Read))]
    [InlineData(nameof(Call.Write))]
    public async Task A_device_that_fails_on_the_way_is_reported(string call)
    {
        foreach (string cdb in new[] { CompareAndWriteBlocks3To4, OrWriteBlocks3To4 })
        {
            var unit = new Unit();
            unit.Device.FailNext(Enum.Parse<Call>(call), ScsiResult.Check(SenseKey.MediumError, AdditionalSense.WriteError));

            Assert.Equal("03/0C/00", (await unit.Do(cdb, new byte[2 * Length])).Sense);
            Assert.Equal(0, unit.Device.RentedBuffers);
        }
    }

    [Theory]
    [InlineData(32 << 20)]
    [InlineData(1024)]
    public async Task ORWRITE_sets_bits_and_clears_none_SBC_3_5_7(int maxTransferBytes)
    {
        var unit = new Unit(maxTransferBytes: maxTransferBytes) { Device = { IsLate = true } };
        byte[] before = unit.Fill();
        byte[] mask = [.. Enumerable.Range(0, Length).Select(i => (byte)(i * 13))];

        (await unit.Do(OrWriteBlocks3To4, mask)).AssertGood();

        for (int i = 0; i < before.Length; i++)
        {
            int set = i is >= Offset and < Offset + Length ? mask[i - Offset] : 0;
            Assert.Equal(before[i] | set, unit.Device.Bytes[i]);
        }
    }

    [Fact]
    public async Task A_server_that_stands_alone_lets_nothing_between_comparing_and_writing()
    {
        // Many at once count the same byte up: each success must have seen the value that the one before wrote.
        var device = new MemoryDevice(new BlockDeviceInfo { SizeBytes = 64 * 512, Serial = "1" }) { IsLate = true, Calls = null };
        var server = new DeviceServer(device, keepsAtomicCommandsApart: true);
        int successes = 0;
        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(async () =>
        {
            for (int i = 0; i < 50; i++)
            {
                byte[] held = new byte[512];
                await Run(server, "88 00 00 00 00 00 00 00 00 00 00 00 00 01 00 00", default, new DataBuffer(held));
                byte[] next = [.. held];
                next[0]++;
                ScsiResult result = await Run(server, "89 00 00 00 00 00 00 00 00 00 00 00 00 01 00 00", new DataBuffer((byte[])[.. held, .. next]), default);
                if (result.IsGood)
                {
                    Interlocked.Increment(ref successes);
                }
                else
                {
                    Assert.Equal(SenseKey.Miscompare, result.Sense.Key);
                }
            }
        }, TestContext.Current.CancellationToken)));

        Assert.Equal((byte)successes, device.Bytes[0]);
        Assert.True(successes > 0);
    }

    static async Task<ScsiResult> Run(DeviceServer server, string cdb, DataBuffer dataOut, DataBuffer dataIn) =>
        await server.ExecuteAsync(new DeviceCommand(Unit.Hex(cdb), dataOut, dataIn, CancellationToken.None));
}

public sealed class WriteAtomicTests
{
    const string Blocks3And4 = " 00 00 00 00 00 00 00 03 00 00 00 02 00 00";

    static readonly byte[] Data = [.. Enumerable.Range(0, 1024).Select(i => (byte)(i + 1))];

    static Unit AtomicUnit(BlockDeviceFeatures features = Unit.AllFeatures) =>
        new(new BlockDeviceInfo { SizeBytes = 128 * 512, Features = features, Serial = "SN-0001", AtomicWriteBytes = 16 * 512 });

    [Theory]
    [InlineData("9C 00", Call.Write)]
    [InlineData("9C 10", Call.Write)] // DPO
    [InlineData("9C 08", Call.WriteWithFua)]
    internal async Task All_blocks_are_written_by_one_write_of_the_device_SBC_4_5_48(string cdb, Call call)
    {
        Unit unit = AtomicUnit();

        (await unit.Do(cdb + Blocks3And4, Data)).AssertGood();

        Assert.Equal([(call, 3 * 512L, 1024L)], unit.Device.Calls!);
        Assert.Equal(Data, unit.Device.Bytes[(3 * 512)..(5 * 512)]);
    }

    [Theory]
    [InlineData("9C 20" + Blocks3And4, 1024, "05/24/00@1")] // WRPROTECT
    [InlineData("9C 00 00 00 00 00 00 00 00 7F 00 00 00 02 00 00", 1024, "05/21/00")]
    [InlineData("9C 00 00 00 00 00 00 00 00 81 00 00 00 00 00 00", 0, "05/21/00")]
    [InlineData("9C 00 00 00 00 00 00 00 00 00 00 00 00 11 00 00", 17 * 512, "05/24/00@12")] // MAXIMUM ATOMIC TRANSFER LENGTH
    [InlineData("9C 00 00 00 00 00 00 00 00 00 00 01 00 02 00 00", 1024, "05/24/00@10")] // ATOMIC BOUNDARY
    [InlineData("9C 00" + Blocks3And4, 1023, "05/24/00@12")] // less data than blocks: a part is not written
    public async Task What_cannot_be_done_as_a_whole_is_refused(string cdb, int dataLength, string sense)
    {
        Unit unit = AtomicUnit();

        Assert.Equal(sense, (await unit.Do(cdb, new byte[dataLength])).SenseAt);
        Assert.Empty(unit.Calls);
    }

    [Fact]
    public async Task A_device_that_promises_nothing_has_no_such_command()
    {
        Assert.Equal("05/20/00", (await new Unit().Do("9C 00" + Blocks3And4, Data)).Sense);
        Assert.Equal(new byte[20], (await new Unit().Do("12 01 B0 00 FF 00")).Data[44..64]);
    }

    [Fact]
    public async Task Its_limits_are_in_the_block_limits_page_SBC_4_6_6_4() =>
        Assert.Equal(Unit.Hex("00 00 00 10 00 00 00 01 00 00 00 01 00 00 00 00 00 00 00 00"), (await AtomicUnit().Do("12 01 B0 00 FF 00")).Data[44..64]);

    [Fact]
    public async Task A_read_only_unit_refuses_it() =>
        Assert.Equal("07/27/00", (await AtomicUnit(BlockDeviceFeatures.ReadOnly).Do("9C 00" + Blocks3And4, Data)).Sense);
}
