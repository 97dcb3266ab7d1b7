using Scuse.Scsi;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Scuse.Device.Commands;

/// <summary>VPD page 8Fh: what the target's copy manager can do. SPC-4 clause 7.8.17.</summary>
static class ThirdPartyCopyPage
{
    const int DescriptorHeaderLength = 4;

    /// <summary>Writes the page's body, descriptors in ascending order of their type, into cleared memory. Returns its length.</summary>
    public static int Write(Span<byte> body)
    {
        int length = WriteSupportedCommands(body);
        length += WriteParameterData(body[length..]);
        length += WriteSupportedDescriptors(body[length..]);
        length += WriteSupportedIds(body[length..]);
        return length + WriteGeneralOperations(body[length..]);
    }

    // For each operation code its service actions.
    static int WriteSupportedCommands(Span<byte> descriptor)
    {
        const ushort supportedCommands = 0x0001;
        ReadOnlySpan<byte> commands =
        [
            OperationCode.ThirdPartyCopyOut, 2, ServiceAction.ExtendedCopyLid1, ServiceAction.ExtendedCopyLid4,
            OperationCode.ThirdPartyCopyIn, 5, ServiceAction.CopyStatusLid1, ServiceAction.CopyDataLid1, ServiceAction.CopyOperatingParameters,
            ServiceAction.CopyFailureDetailsLid1, ServiceAction.CopyStatusLid4,
        ];
        descriptor[DescriptorHeaderLength] = (byte)commands.Length;
        commands.CopyTo(descriptor[(DescriptorHeaderLength + 1)..]);
        return WriteHeader(descriptor, supportedCommands, 1 + commands.Length);
    }

    static int WriteParameterData(Span<byte> descriptor)
    {
        const ushort parameterData = 0x0004;
        WriteUInt16BigEndian(descriptor[8..], ThirdPartyCopyLimits.MaxCscds);
        WriteUInt16BigEndian(descriptor[10..], ThirdPartyCopyLimits.MaxSegments);
        WriteUInt32BigEndian(descriptor[12..], ThirdPartyCopyLimits.MaxDescriptorListBytes);
        return WriteHeader(descriptor, parameterData, 0x1C);
    }

    static int WriteSupportedDescriptors(Span<byte> descriptor)
    {
        const ushort supportedDescriptors = 0x0008;
        ReadOnlySpan<byte> codes = [ThirdPartyCopyLimits.BlockToBlock, ThirdPartyCopyLimits.BlockToBlockWithOffset, ThirdPartyCopyLimits.IdentificationDescriptor];
        descriptor[DescriptorHeaderLength] = (byte)codes.Length;
        codes.CopyTo(descriptor[(DescriptorHeaderLength + 1)..]);
        return WriteHeader(descriptor, supportedDescriptors, 1 + codes.Length);
    }

    // CSCD descriptor IDs beside those of a list: none.
    static int WriteSupportedIds(Span<byte> descriptor) => WriteHeader(descriptor, 0x000C, sizeof(ushort));

    static int WriteGeneralOperations(Span<byte> descriptor)
    {
        const ushort generalOperations = 0x8001;
        const byte granularity512 = 9;
        WriteUInt32BigEndian(descriptor[4..], ThirdPartyCopyLimits.MaxConcurrentCopies);
        WriteUInt32BigEndian(descriptor[8..], ThirdPartyCopyLimits.MaxConcurrentCopies); // MAXIMUM IDENTIFIED CONCURRENT COPIES
        WriteUInt32BigEndian(descriptor[12..], ThirdPartyCopyLimits.MaxSegmentBytes);
        descriptor[16] = granularity512; // DATA SEGMENT GRANULARITY
        return WriteHeader(descriptor, generalOperations, 0x20);
    }

    // Descriptors are a multiple of four bytes long, what is added counted.
    static int WriteHeader(Span<byte> descriptor, ushort type, int length)
    {
        length = (length + 3) / 4 * 4;
        WriteUInt16BigEndian(descriptor, type);
        WriteUInt16BigEndian(descriptor[2..], (ushort)length);
        return DescriptorHeaderLength + length;
    }
}
