using Scuse.Scsi;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Scuse.Device.Commands;

/// <summary>REPORT TIMESTAMP and SET TIMESTAMP. SPC-4 clauses 5.2, 6.38 and 6.46.</summary>
static class TimestampCommands
{
    const int LengthOffset = 6, ParameterLength = 12, TimestampOffset = 4, TimestampBytes = 6;

    public static ValueTask<ScsiResult> Report(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        const byte wasSet = 0x02, fromElsewhere = 0x03;
        Span<byte> data = stackalloc byte[ParameterLength];
        data.Clear();
        WriteUInt16BigEndian(data, ParameterLength - sizeof(ushort));
        data[2] = server.Clock.WasSet ? wasSet : fromElsewhere; // TIMESTAMP ORIGIN
        Span<byte> wide = stackalloc byte[sizeof(long)];
        WriteInt64BigEndian(wide, server.Clock.NowMs);
        wide[^TimestampBytes..].CopyTo(data[TimestampOffset..]);
        return ControlResponse.Send(command, data, ReadUInt32BigEndian(command.Cdb.Span[LengthOffset..]));
    }

    public static ValueTask<ScsiResult> Set(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        uint length = ReadUInt32BigEndian(command.Cdb.Span[LengthOffset..]);
        if (length == 0)
        {
            return new(ScsiResult.Good);
        }

        if (length < ParameterLength || command.DataOut.Length < ParameterLength)
        {
            return ControlResponse.Refuse(new SenseData(SenseKey.IllegalRequest, AdditionalSense.ParameterListLengthError));
        }

        Span<byte> list = stackalloc byte[ParameterLength];
        command.DataOut.Slice(0, ParameterLength).CopyTo(list);
        Span<byte> wide = stackalloc byte[sizeof(long)];
        wide.Clear();
        list.Slice(TimestampOffset, TimestampBytes).CopyTo(wide[^TimestampBytes..]);
        server.Clock.Set(ReadInt64BigEndian(wide));
        server.RaiseAttention(AdditionalSense.TimestampChanged, command.Sender);
        return new(ScsiResult.Good);
    }
}
