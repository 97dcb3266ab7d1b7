using System.Runtime.CompilerServices;
using Scuse.Scsi;

namespace Scuse.Device.Commands;

/// <summary>READ and WRITE in all their lengths. SBC-3 clauses 5.11 to 5.13 and 5.33 to 5.35.</summary>
static class ReadWriteCommands
{
    public static ValueTask<ScsiResult> Read(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        BlockTransferCdb cdb = BlockTransferCdb.Parse(command.Cdb.Span);
        if (!BlockRange.TryLocateTransfer(info, cdb, out BlockRange range, out SenseData refusal))
        {
            return ControlResponse.Refuse(refusal);
        }

        int asked = (int)range.LengthBytes;
        server.Statistics.Count(isWrite: false, asked);
        int fit = range.FitInto(command.DataIn, info.BlockSize);
        if (fit == 0)
        {
            return new(ScsiResult.GoodWith(asked));
        }

        ValueTask<ScsiResult> reading = server.Device.ReadAsync(range.OffsetBytes, command.DataIn.Slice(0, fit), command.Aborted);
        if (cdb.Fua && server.HasVolatileWrites)
        {
            return FinishDurablyAsync(server, reading, asked, command.Aborted);
        }

        return reading.IsCompletedSuccessfully ? new(WithDataIn(reading.Result, asked)) : FinishReadAsync(reading, asked);
    }

    public static ValueTask<ScsiResult> Write(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        BlockTransferCdb cdb = BlockTransferCdb.Parse(command.Cdb.Span);
        if (!BlockRange.TryLocateTransfer(info, cdb, out BlockRange range, out SenseData refusal))
        {
            return ControlResponse.Refuse(refusal);
        }

        server.Statistics.Count(isWrite: true, (int)range.LengthBytes);
        int fit = range.FitInto(command.DataOut, info.BlockSize);
        return fit == 0
            ? new(ScsiResult.Good)
            : server.Device.WriteAsync(range.OffsetBytes, command.DataOut.Slice(0, fit), cdb.Fua, command.Aborted);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    static async ValueTask<ScsiResult> FinishReadAsync(ValueTask<ScsiResult> reading, int asked) =>
        WithDataIn(await reading.ConfigureAwait(false), asked);

    // FUA: what is shown must be on the medium. Flushed afterwards, so that what was written in between is so too. SBC-3 clause 5.11.
    static async ValueTask<ScsiResult> FinishDurablyAsync(DeviceServer server, ValueTask<ScsiResult> reading, int asked, CancellationToken aborted)
    {
        ScsiResult read = await reading.ConfigureAwait(false);
        ScsiResult flushed = read.IsGood ? await server.Device.FlushAsync(aborted).ConfigureAwait(false) : read;
        return WithDataIn(flushed.IsGood ? read : flushed, asked);
    }

    static ScsiResult WithDataIn(in ScsiResult result, int dataInLength) => result with { DataInLength = result.IsGood ? dataInLength : 0 };
}
