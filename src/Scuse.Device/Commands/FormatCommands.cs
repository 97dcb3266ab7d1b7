using System.Buffers.Binary;
using Scuse.Scsi;

namespace Scuse.Device.Commands;

/// <summary>FORMAT UNIT: without protection information and without defects, so that what is left of it is writing every block. SBC-3 clause 5.3.</summary>
static class FormatCommands
{
    const int FlagsOffset = 1, ShortHeaderLength = 4, LongHeaderLength = 8;
    const byte ProtectionInformation = 0xC0, LongList = 0x20, FormatData = 0x10;

    // The parameter list header's second byte. SBC-3 clause 5.3.2.2.
    const byte OptionsValid = 0x80, Options = 0x78, InitializationPattern = 0x08, Immed = 0x02;

    public static ValueTask<ScsiResult> FormatUnit(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        byte flags = command.Cdb.Span[FlagsOffset];
        if ((flags & ProtectionInformation) != 0)
        {
            return ControlResponse.RefuseField(FlagsOffset); // PROTECT is 0 in the standard INQUIRY data
        }

        byte[]? block = null;
        bool isImmediate = false;
        if ((flags & FormatData) != 0 && !TryReadList(command.DataOut.ToArray(), (flags & LongList) != 0, info, out block, out isImmediate, out SenseData refusal))
        {
            return ControlResponse.Refuse(refusal);
        }

        return server.Begin(new MediumWork(server.Device, MediumWorkKind.Format, [block]), isImmediate, command.Aborted);
    }

    // DPRY, DCRT and STPF say what to do about defects and about certifying, of which there is nothing: they are as good as done.
    static bool TryReadList(ReadOnlySpan<byte> list, bool isLong, BlockDeviceInfo info, out byte[]? block, out bool isImmediate, out SenseData refusal)
    {
        const byte protectionFieldUsage = 0x07;
        const int protectionIntervalOffset = 3;
        block = null;
        isImmediate = false;
        int headerLength = isLong ? LongHeaderLength : ShortHeaderLength;
        if (list.Length < headerLength)
        {
            refusal = new SenseData(SenseKey.IllegalRequest, AdditionalSense.ParameterListLengthError);
            return false;
        }

        byte options = list[1];
        isImmediate = (options & Immed) != 0;
        int defectListOffset = isLong ? 4 : 2;
        uint defectListLength = isLong ? BinaryPrimitives.ReadUInt32BigEndian(list[defectListOffset..]) : BinaryPrimitives.ReadUInt16BigEndian(list[defectListOffset..]);
        int wrong =
            (list[0] & protectionFieldUsage) != 0 ? 0
            : (options & OptionsValid) == 0 && (options & Options) != 0 ? 1
            : isLong && list[protectionIntervalOffset] != 0 ? protectionIntervalOffset
            : defectListLength != 0 ? defectListOffset // a defect list would name blocks that this medium does not have
            : -1;
        if (wrong >= 0)
        {
            refusal = SenseData.InvalidFieldInParameterList(wrong);
            return false;
        }

        refusal = default;
        return (options & InitializationPattern) == 0 || TryReadPattern(list, headerLength, info.BlockSize, out block, out refusal);
    }

    // The initialization pattern descriptor. SBC-3 clause 5.3.2.3.
    static bool TryReadPattern(ReadOnlySpan<byte> list, int at, int blockSize, out byte[]? block, out SenseData refusal)
    {
        const int descriptorLength = 4, typeOffset = 1, lengthOffset = 2;
        const byte modifier = 0xC0, defaultPattern = 0, repeatPattern = 1;
        block = null;
        refusal = new SenseData(SenseKey.IllegalRequest, AdditionalSense.ParameterListLengthError);
        if (list.Length < at + descriptorLength)
        {
            return false;
        }

        ReadOnlySpan<byte> descriptor = list[at..];
        int length = BinaryPrimitives.ReadUInt16BigEndian(descriptor[lengthOffset..]);
        int wrong =
            (descriptor[0] & modifier) != 0 ? 0
            : descriptor[typeOffset] is not (defaultPattern or repeatPattern) ? typeOffset
            : (descriptor[typeOffset] == defaultPattern) != (length == 0) || length > blockSize ? lengthOffset
            : -1;
        if (wrong >= 0)
        {
            refusal = SenseData.InvalidFieldInParameterList(at + wrong);
            return false;
        }

        if (descriptor.Length < descriptorLength + length)
        {
            return false;
        }

        if (length > 0)
        {
            block = PatternBlock.Repeat(descriptor.Slice(descriptorLength, length), blockSize);
        }

        refusal = default;
        return true;
    }
}
