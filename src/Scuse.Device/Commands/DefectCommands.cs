using Scuse.Scsi;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Scuse.Device.Commands;

/// <summary>READ DEFECT DATA(10) and (12): a disk made of software has no defects to list. SBC-3 clauses 5.17 and 5.18.</summary>
static class DefectCommands
{
    const byte ListsAndFormat = 0x1F; // PLISTV, GLISTV and DEFECT LIST FORMAT, given back as asked for

    public static ValueTask<ScsiResult> ReadDefectData10(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        const int formatOffset = 2, allocationLengthOffset = 7, headerLength = 4;
        ReadOnlySpan<byte> cdb = command.Cdb.Span;
        Span<byte> data = stackalloc byte[headerLength];
        data.Clear();
        data[1] = (byte)(cdb[formatOffset] & ListsAndFormat);
        return ControlResponse.Send(command, data, ReadUInt16BigEndian(cdb[allocationLengthOffset..]));
    }

    public static ValueTask<ScsiResult> ReadDefectData12(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        const int formatOffset = 1, allocationLengthOffset = 6, headerLength = 8;
        ReadOnlySpan<byte> cdb = command.Cdb.Span;
        Span<byte> data = stackalloc byte[headerLength];
        data.Clear();
        data[1] = (byte)(cdb[formatOffset] & ListsAndFormat);
        return ControlResponse.Send(command, data, ReadUInt32BigEndian(cdb[allocationLengthOffset..]));
    }
}
