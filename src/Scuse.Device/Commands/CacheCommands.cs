using Scuse.Scsi;

namespace Scuse.Device.Commands;

/// <summary>PRE-FETCH(10) and (16), SYNCHRONIZE CACHE(10) and (16), and flushing for others. SBC-3 clauses 5.8, 5.9, 5.26 and 5.27.</summary>
static class CacheCommands
{
    // There is no cache of our own to bring blocks into, which GOOD says; CONDITION MET would say that they all found room in it.
    public static ValueTask<ScsiResult> PreFetch(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        BlockTransferCdb cdb = BlockTransferCdb.Parse(command.Cdb.Span);
        return BlockRange.TryLocate(info, cdb.Lba, cdb.BlockCount, out _) ? new(ScsiResult.Good) : ControlResponse.Refuse(SenseData.LbaOutOfRange);
    }

    public static ValueTask<ScsiResult> SynchronizeCache(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        BlockTransferCdb cdb = BlockTransferCdb.Parse(command.Cdb.Span);
        if (!BlockRange.TryLocate(info, cdb.Lba, cdb.BlockCount, out _))
        {
            return ControlResponse.Refuse(SenseData.LbaOutOfRange);
        }

        // More blocks than asked for may be made durable, and the device flushes all or none.
        if (!info.Has(BlockDeviceFeatures.Flush))
        {
            return new(ScsiResult.Good);
        }

        if (cdb.Immed)
        {
            FlushInBackground(server);
            return new(ScsiResult.Good);
        }

        return server.Device.FlushAsync(command.Aborted);
    }

    /// <summary>Starts a flush whose command is answered already; a failure is told with the next command. SPC-4 clause 4.5.5, deferred errors.</summary>
    public static void FlushInBackground(DeviceServer server)
    {
        ValueTask<ScsiResult> flushing = server.Device.FlushAsync(CancellationToken.None);
        if (flushing.IsCompletedSuccessfully)
        {
            Note(server, flushing.Result);
            return;
        }

        _ = ObserveAsync(server, flushing);
    }

    static async Task ObserveAsync(DeviceServer server, ValueTask<ScsiResult> flushing)
    {
        ScsiResult result;
        try
        {
            result = await flushing.ConfigureAwait(false);
        }
#pragma warning disable CA1031 // Nobody awaits this flush; whatever broke it, what matters is that the data may not be durable.
        catch (Exception)
#pragma warning restore CA1031
        {
            result = ScsiResult.Check(SenseKey.HardwareError, AdditionalSense.InternalTargetFailure);
        }

        Note(server, result);
    }

    static void Note(DeviceServer server, in ScsiResult result)
    {
        if (!result.IsGood)
        {
            // A status without sense data (BUSY, say) still means that the flush was not done.
            server.Defer(result.Status == ScsiStatus.CheckCondition ? result.Sense : new SenseData(SenseKey.MediumError, AdditionalSense.WriteError));
        }
    }
}
