using System.Buffers.Binary;
using Scuse.Scsi;

namespace Scuse.Device.Commands;

/// <summary>INQUIRY. SPC-4 clause 6.6.</summary>
static class InquiryCommands
{
    const int EvpdOffset = 1;
    const int PageCodeOffset = 2;
    const int AllocationLengthOffset = 3;

    /// <summary>SAM-5, SPC-4, SBC-3 and iSCSI, each without a version claimed. SPC-4 clause 6.6.2 table 143.</summary>
    static ReadOnlySpan<ushort> VersionDescriptors => [0x00A0, 0x0460, 0x04C0, 0x0960];

    public static ValueTask<ScsiResult> Inquiry(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        const byte evpd = 0x01, commandSupportData = 0x02;
        ReadOnlySpan<byte> cdb = command.Cdb.Span;
        if ((cdb[EvpdOffset] & commandSupportData) != 0)
        {
            return ControlResponse.RefuseField(EvpdOffset); // CMDDT, obsolete since SPC-3
        }

        Span<byte> data = stackalloc byte[ControlResponse.MaxLength];
        data.Clear();
        int length;
        if ((cdb[EvpdOffset] & evpd) == 0)
        {
            length = cdb[PageCodeOffset] == 0 ? WriteStandard(data, info, server.HasCopyManager) : 0;
        }
        else
        {
            length = VpdPages.Write(data, cdb[PageCodeOffset], info, server.TargetPortDesignators.Span, server.HasCopyManager, server.HasResources(info));
        }

        return length == 0
            ? ControlResponse.RefuseField(PageCodeOffset)
            : ControlResponse.Send(command, data[..length], BinaryPrimitives.ReadUInt16BigEndian(cdb[AllocationLengthOffset..]));
    }

    // Standard INQUIRY data. SPC-4 clause 6.6.2.
    static int WriteStandard(Span<byte> data, BlockDeviceInfo info, bool hasCopyManager)
    {
        const int length = 96, vendorOffset = 8, productOffset = 16, revisionOffset = 32, versionDescriptorsOffset = 58;
        const byte directAccess = 0x00, spc4 = 0x06, normAca = 0x20, hiSup = 0x10, responseDataFormat = 0x02, thirdPartyCopy = 0x08, cmdQue = 0x02;
        data[0] = directAccess;
        data[2] = spc4;
        data[3] = normAca | hiSup | responseDataFormat;
        data[4] = length - 5; // ADDITIONAL LENGTH
        data[5] = hasCopyManager ? thirdPartyCopy : (byte)0;
        data[7] = cmdQue;
        ControlResponse.WriteAscii(data[vendorOffset..productOffset], info.Vendor);
        ControlResponse.WriteAscii(data[productOffset..revisionOffset], info.Product);
        ControlResponse.WriteAscii(data.Slice(revisionOffset, 4), info.Revision);
        Span<byte> at = data[versionDescriptorsOffset..];
        foreach (ushort descriptor in VersionDescriptors)
        {
            BinaryPrimitives.WriteUInt16BigEndian(at, descriptor);
            at = at[sizeof(ushort)..];
        }

        return length;
    }
}
