using Scuse.Scsi;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Scuse.Device.Commands;

/// <summary>REPORT IDENTIFYING INFORMATION and SET IDENTIFYING INFORMATION: what an administrator calls the disk. SPC-4 clauses 6.32 and 6.43.</summary>
static class IdentifyingCommands
{
    const int LengthOffset = 6, TypeOffset = 10;

    // INFORMATION TYPE, as it stands in bits 1 to 7.
    const byte TypeMask = 0xFE, PeripheralDevice = 0x00 << 1, Text = 0x02 << 1, SupportedTypes = 0x7F << 1;

    const int MaxPeripheralDeviceLength = DeviceState.MaxInformationLength, MaxTextLength = 256;

    public static ValueTask<ScsiResult> Report(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        const int headerLength = 4, descriptorLength = 4;
        ReadOnlySpan<byte> cdb = command.Cdb.Span;
        Span<byte> data = stackalloc byte[headerLength + MaxPeripheralDeviceLength];
        data.Clear();
        Span<byte> body = data[headerLength..];
        int length;
        switch (cdb[TypeOffset] & TypeMask)
        {
            case PeripheralDevice:
                length = Copy(server.Saved.PeripheralDeviceInformation, body);
                break;
            case Text:
                length = Copy(server.Saved.TextInformation, body);
                break;
            case SupportedTypes:
                body[0] = PeripheralDevice;
                WriteUInt16BigEndian(body[2..], MaxPeripheralDeviceLength);
                body[descriptorLength] = Text;
                WriteUInt16BigEndian(body[(descriptorLength + 2)..], MaxTextLength);
                length = 2 * descriptorLength;
                break;
            default:
                return ControlResponse.RefuseField(TypeOffset);
        }

        WriteUInt16BigEndian(data[2..], (ushort)length);
        return ControlResponse.Send(command, data[..(headerLength + length)], ReadUInt32BigEndian(cdb[LengthOffset..]));
    }

    public static ValueTask<ScsiResult> Set(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        ReadOnlySpan<byte> cdb = command.Cdb.Span;
        byte type = (byte)(cdb[TypeOffset] & TypeMask);
        if (type is not (PeripheralDevice or Text))
        {
            return ControlResponse.RefuseField(TypeOffset);
        }

        uint length = ReadUInt32BigEndian(cdb[LengthOffset..]);
        if (length > (type == Text ? MaxTextLength : MaxPeripheralDeviceLength))
        {
            return ControlResponse.RefuseField(LengthOffset);
        }

        if (command.DataOut.Length < (int)length)
        {
            return ControlResponse.Refuse(new SenseData(SenseKey.IllegalRequest, AdditionalSense.ParameterListLengthError));
        }

        byte[] information = new byte[length];
        command.DataOut.Slice(0, (int)length).CopyTo(information);
        return SetAsync(server, type == Text, Convert.ToHexString(information), command.Sender);
    }

    static async ValueTask<ScsiResult> SetAsync(DeviceServer server, bool isText, string information, object? sender)
    {
        await server.Changes.TakeAsync().ConfigureAwait(false);
        try
        {
            DeviceState before = server.Saved;
            DeviceState after = isText ? before with { TextInformation = information } : before with { PeripheralDeviceInformation = information };
            if (after == before)
            {
                return ScsiResult.Good;
            }

            if (!await server.SaveAsync(after).ConfigureAwait(false))
            {
                return ScsiResult.Check(SenseKey.HardwareError, AdditionalSense.InternalTargetFailure);
            }

            server.RaiseAttention(AdditionalSense.DeviceIdentifierChanged, sender);
            return ScsiResult.Good;
        }
        finally
        {
            server.Changes.End();
        }
    }

    static int Copy(string information, Span<byte> into)
    {
        Convert.FromHexString(information, into, out _, out int length);
        return length;
    }
}
