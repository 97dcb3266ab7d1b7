using System.Buffers.Binary;
using Scuse.Scsi;

namespace Scuse.Device.Commands;

/// <summary>MODE SENSE(6) and (10). SPC-4 clauses 6.13 and 6.14.</summary>
static class ModeCommands
{
    const int FlagsOffset = 1;
    const int PageOffset = 2;
    const int SubpageOffset = 3;
    const byte Dbd = 0x08;
    const byte Llbaa = 0x10;

    const int Header6Length = 4;
    const int Header10Length = 8;
    const int ShortDescriptorLength = 8;
    const int LongDescriptorLength = 16;

    public static ValueTask<ScsiResult> ModeSense6(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        ReadOnlySpan<byte> cdb = command.Cdb.Span;
        Span<byte> data = stackalloc byte[ControlResponse.MaxLength];
        data.Clear();
        int descriptorLength = (cdb[FlagsOffset] & Dbd) != 0 ? 0 : WriteShortDescriptor(data[Header6Length..], info);
        int pagesOffset = Header6Length + descriptorLength;
        if (!TryWritePages(data[pagesOffset..], cdb, info, out int pagesLength, out SenseData refusal))
        {
            return ControlResponse.Refuse(refusal);
        }

        // Mode parameter header(6). SPC-4 clause 7.5.5. The lengths do not count themselves.
        int length = pagesOffset + pagesLength;
        data[0] = (byte)(length - 1);
        data[2] = DeviceSpecificParameter(info);
        data[3] = (byte)descriptorLength;
        return ControlResponse.Send(command, data[..length], cdb[4]);
    }

    public static ValueTask<ScsiResult> ModeSense10(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        const byte longLba = 0x01;
        ReadOnlySpan<byte> cdb = command.Cdb.Span;
        Span<byte> data = stackalloc byte[ControlResponse.MaxLength];
        data.Clear();
        bool isLong = (cdb[FlagsOffset] & Llbaa) != 0;
        int descriptorLength = 0;
        if ((cdb[FlagsOffset] & Dbd) == 0)
        {
            descriptorLength = isLong ? WriteLongDescriptor(data[Header10Length..], info) : WriteShortDescriptor(data[Header10Length..], info);
        }

        int pagesOffset = Header10Length + descriptorLength;
        if (!TryWritePages(data[pagesOffset..], cdb, info, out int pagesLength, out SenseData refusal))
        {
            return ControlResponse.Refuse(refusal);
        }

        // Mode parameter header(10). SPC-4 clause 7.5.5.
        int length = pagesOffset + pagesLength;
        BinaryPrimitives.WriteUInt16BigEndian(data, (ushort)(length - 2));
        data[3] = DeviceSpecificParameter(info);
        data[4] = isLong && descriptorLength != 0 ? longLba : (byte)0;
        BinaryPrimitives.WriteUInt16BigEndian(data[6..], (ushort)descriptorLength);
        return ControlResponse.Send(command, data[..length], BinaryPrimitives.ReadUInt16BigEndian(cdb[7..]));
    }

    static bool TryWritePages(Span<byte> pages, ReadOnlySpan<byte> cdb, BlockDeviceInfo info, out int length, out SenseData refusal)
    {
        const int pageControlShift = 6;
        const byte pageCodeMask = 0x3F;
        length = 0;
        var control = (ModePageControl)(cdb[PageOffset] >> pageControlShift);
        if (control == ModePageControl.Saved)
        {
            refusal = new SenseData(SenseKey.IllegalRequest, AdditionalSense.SavingParametersNotSupported);
            return false;
        }

        // There are no subpages, so a request for all of them gives the pages themselves.
        if (cdb[SubpageOffset] is not (ModePage.NoSubpage or ModePage.AllSubpages))
        {
            refusal = SenseData.InvalidFieldInCdb(SubpageOffset);
            return false;
        }

        length = ModePages.Write(pages, (byte)(cdb[PageOffset] & pageCodeMask), control, info);
        refusal = length == 0 ? SenseData.InvalidFieldInCdb(PageOffset) : default;
        return length != 0;
    }

    // DEVICE-SPECIFIC PARAMETER of a direct access device. SBC-3 clause 6.5.1.
    static byte DeviceSpecificParameter(BlockDeviceInfo info)
    {
        const byte wp = 0x80, dpoFua = 0x10;
        return (byte)(dpoFua | (info.Has(BlockDeviceFeatures.ReadOnly) ? wp : 0));
    }

    // SBC-3 clause 6.5.2.2.
    static int WriteShortDescriptor(Span<byte> descriptor, BlockDeviceInfo info)
    {
        BinaryPrimitives.WriteUInt32BigEndian(descriptor, (uint)Math.Min(info.BlockCount, uint.MaxValue));
        BinaryPrimitives.WriteUInt32BigEndian(descriptor[4..], (uint)info.BlockSize); // 24 bits; the byte before them is reserved
        return ShortDescriptorLength;
    }

    // SBC-3 clause 6.5.2.3.
    static int WriteLongDescriptor(Span<byte> descriptor, BlockDeviceInfo info)
    {
        BinaryPrimitives.WriteUInt64BigEndian(descriptor, info.BlockCount);
        BinaryPrimitives.WriteUInt32BigEndian(descriptor[12..], (uint)info.BlockSize);
        return LongDescriptorLength;
    }
}
