using System.Runtime.CompilerServices;
using Scuse.Scsi;

namespace Scuse.Device.Commands;

/// <summary>TEST UNIT READY, REQUEST SENSE (SPC-4 clauses 6.47 and 6.39), START STOP UNIT and PREVENT ALLOW MEDIUM REMOVAL (SBC-3 clauses 5.25 and 5.10).</summary>
static class UnitCommands
{
    // A stopped unit never comes this far.
    public static ValueTask<ScsiResult> TestUnitReady(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command) => new(ScsiResult.Good);

    // Sense data goes with the status of its command, so there is none to ask for but that of background work, how far it is, or what went wrong; and that a unit is
    // stopped. SPC-4 clause 5.11.
    public static ValueTask<ScsiResult> RequestSense(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        const byte desc = 0x01;
        const int maxSenseLength = 252;
        ReadOnlySpan<byte> cdb = command.Cdb.Span;
        SenseData sense = server.TakeDeferredError() ?? server.MediumWork?.Sense
            ?? (server.IsStopped ? new SenseData(SenseKey.NotReady, AdditionalSense.InitializingCommandRequired) : SenseData.NoSense);
        Span<byte> data = stackalloc byte[maxSenseLength];
        int length = (cdb[1] & desc) != 0 ? sense.WriteDescriptor(data) : sense.WriteFixed(data);
        return ControlResponse.Send(command, data[..length], cdb[4]);
    }

    // The medium cannot be removed, so that preventing it is granted and changes nothing. Values above 1 are obsolete.
    public static ValueTask<ScsiResult> PreventAllowMediumRemoval(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        const int preventOffset = 4;
        const byte preventMask = 0x03, obsolete = 0x02;
        return (command.Cdb.Span[preventOffset] & preventMask & obsolete) != 0 ? ControlResponse.RefuseField(preventOffset) : new(ScsiResult.Good);
    }

    public static ValueTask<ScsiResult> StartStopUnit(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        const int immedOffset = 1, modifierOffset = 3, conditionOffset = 4;
        const byte immed = 0x01, modifier = 0x0F, powerCondition = 0xF0, noFlush = 0x04, loadEject = 0x02, start = 0x01;
        ReadOnlySpan<byte> cdb = command.Cdb.Span;
        if ((cdb[modifierOffset] & modifier) != 0)
        {
            return ControlResponse.RefuseField(modifierOffset);
        }

        // No power conditions, and no medium that could be taken out.
        byte condition = cdb[conditionOffset];
        if ((condition & (powerCondition | loadEject)) != 0)
        {
            return ControlResponse.RefuseField(conditionOffset);
        }

        if ((condition & start) != 0)
        {
            server.IsStopped = false;
            return new(ScsiResult.Good);
        }

        if ((condition & noFlush) != 0 || server.IsStopped || !info.Has(BlockDeviceFeatures.Flush))
        {
            server.IsStopped = true;
            return new(ScsiResult.Good);
        }

        if ((cdb[immedOffset] & immed) != 0)
        {
            server.IsStopped = true;
            CacheCommands.FlushInBackground(server);
            return new(ScsiResult.Good);
        }

        return FlushAndStopAsync(server, command.Aborted);
    }

    // A unit whose flush failed stays started, so that the flush can be tried again.
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    static async ValueTask<ScsiResult> FlushAndStopAsync(DeviceServer server, CancellationToken aborted)
    {
        ScsiResult flushed = await server.Device.FlushAsync(aborted).ConfigureAwait(false);
        if (flushed.IsGood)
        {
            server.IsStopped = true;
        }

        return flushed;
    }
}
