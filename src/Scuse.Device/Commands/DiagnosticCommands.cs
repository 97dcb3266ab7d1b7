using System.Runtime.CompilerServices;
using Scuse.Scsi;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Scuse.Device.Commands;

/// <summary>SEND DIAGNOSTIC: the default self-test, which reads the first block. There are no diagnostic pages. SPC-4 clause 6.42.</summary>
static class DiagnosticCommands
{
    const int FlagsOffset = 1, ListLengthOffset = 3;

    public static ValueTask<ScsiResult> SendDiagnostic(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        const byte selfTestCode = 0xE0, selfTest = 0x04;
        ReadOnlySpan<byte> cdb = command.Cdb.Span;
        byte flags = cdb[FlagsOffset];
        if ((flags & selfTestCode) != 0)
        {
            return ControlResponse.RefuseField(FlagsOffset); // neither short nor extended, in the background or not
        }

        if (ReadUInt16BigEndian(cdb[ListLengthOffset..]) != 0)
        {
            return ControlResponse.RefuseField(ListLengthOffset);
        }

        return (flags & selfTest) == 0 ? new(ScsiResult.Good) : TestAsync(server, info, command.Aborted);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    static async ValueTask<ScsiResult> TestAsync(DeviceServer server, BlockDeviceInfo info, CancellationToken aborted)
    {
        using WorkBuffer work = await server.Device.RentAsync(info.BlockSize, aborted).ConfigureAwait(false);
        ScsiResult read = await server.Device.ReadAsync(0, work.Data.Slice(0, info.BlockSize), aborted).ConfigureAwait(false);
        bool hasFailed = read.Status == ScsiStatus.CheckCondition && read.Sense.Key is SenseKey.MediumError or SenseKey.HardwareError;
        return hasFailed ? ScsiResult.Check(SenseKey.HardwareError, AdditionalSense.FailedSelfTest) : read with { DataInLength = 0 };
    }
}
