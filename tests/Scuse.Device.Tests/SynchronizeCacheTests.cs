using Scuse.Scsi;

namespace Scuse.Device.Tests;

public sealed class SynchronizeCacheTests
{
    // What the device finishes on another thread is waited for, but not for ever.
    static readonly TimeSpan Soon = TimeSpan.FromSeconds(10);

    [Theory]
    [InlineData("35 00 00 00 00 00 00 00 00 00")]
    [InlineData("35 00 00 00 00 08 00 00 10 00")]
    [InlineData("91 00 00 00 00 00 00 00 00 00 00 00 00 80 00 00")]
    public async Task A_range_is_flushed_with_everything_else_SBC_3_5_26(string cdb)
    {
        var unit = new Unit();

        (await unit.Do(cdb)).AssertGood();

        Assert.Equal([Call.Flush], unit.Calls);
    }

    [Theory]
    [InlineData("35 00 00 00 00 81 00 00 00 00")]
    [InlineData("35 00 00 00 00 7F 00 00 02 00")]
    [InlineData("91 00 FF FF FF FF FF FF FF FF 00 00 00 00 00 00")]
    public async Task A_range_beyond_the_end_is_refused(string cdb)
    {
        var unit = new Unit();

        Assert.Equal("05/21/00", (await unit.Do(cdb)).SenseAt);
        Assert.Empty(unit.Calls);
    }

    [Fact]
    public async Task A_device_without_a_volatile_cache_is_not_asked_to_flush()
    {
        var unit = new Unit(BlockDeviceFeatures.None);

        (await unit.Do("35 00 00 00 00 00 00 00 00 00")).AssertGood();

        Assert.Empty(unit.Calls);
    }

    [Fact]
    public async Task A_failed_flush_is_the_answer()
    {
        var unit = new Unit();
        unit.Device.FailNext(Call.Flush, ScsiResult.Check(SenseKey.MediumError, AdditionalSense.WriteError));

        Assert.Equal("03/0C/00", (await unit.Do("35 00 00 00 00 00 00 00 00 00")).Sense);
    }

    [Fact]
    public async Task With_IMMED_the_answer_does_not_wait_for_the_flush()
    {
        var unit = new Unit { Device = { FlushGate = new TaskCompletionSource() } };

        (await unit.Do("35 02 00 00 00 00 00 00 00 00")).AssertGood();

        Assert.Empty(unit.Calls);
        unit.Device.FlushGate.SetResult();
        Assert.True(SpinWait.SpinUntil(() => unit.Device.Calls!.Count > 0, Soon));
        Assert.Equal([Call.Flush], unit.Calls);
    }

    [Fact]
    public async Task A_flush_that_fails_after_its_answer_is_a_deferred_error_of_one_later_command_SPC_4_4_5_5()
    {
        var unit = new Unit();
        unit.Device.FailNext(Call.Flush, ScsiResult.Check(SenseKey.MediumError, AdditionalSense.WriteError));
        (await unit.Do("35 02 00 00 00 00 00 00 00 00")).AssertGood();

        (await unit.Do("12 00 00 00 24 00")).AssertGood();
        Answer told = await unit.Do("2A 00 00 00 00 00 00 00 01 00", new byte[512]);
        Answer after = await unit.Do("28 00 00 00 00 00 00 00 01 00");

        Assert.Equal(("03/0C/00", true), (told.Sense, told.Result.Sense.IsDeferred));
        Assert.DoesNotContain(Call.Write, unit.Calls);
        after.AssertGood();
    }

    [Fact]
    public async Task REQUEST_SENSE_tells_a_deferred_error_as_data()
    {
        var unit = new Unit();
        unit.Device.FailNext(Call.Flush, ScsiResult.Check(SenseKey.MediumError, AdditionalSense.WriteError));
        (await unit.Do("35 02 00 00 00 00 00 00 00 00")).AssertGood();

        byte[] sense = (await unit.Do("03 00 00 00 FC 00")).AssertGood().Data;

        Assert.Equal(Unit.Hex("71 00 03 00000000 0A 00000000 0C00 00 000000"), sense);
        (await unit.Do("00 00 00 00 00 00")).AssertGood();
    }

    [Fact]
    public async Task A_flush_that_throws_after_its_answer_is_a_deferred_error_too()
    {
        var unit = new Unit { Device = { FlushGate = new TaskCompletionSource() } };
        (await unit.Do("35 02 00 00 00 00 00 00 00 00")).AssertGood();

        unit.Device.FlushGate.SetException(new IOException("gone"));

        Assert.True(SpinWait.SpinUntil(() => unit.Server.HasDeferredError, Soon));
        Assert.Equal("04/44/00", (await unit.Do("00 00 00 00 00 00")).Sense);
    }
}
