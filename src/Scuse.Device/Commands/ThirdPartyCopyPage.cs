using Scuse.Scsi;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Scuse.Device.Commands;

/// <summary>VPD page 8Fh: what the target's copy manager can do. SPC-4 clause 7.8.17.</summary>
static class ThirdPartyCopyPage
{
    const int DescriptorHeaderLength = 4;

    /// <summary>Writes the page's body, descriptors in ascending order of their type, into cleared memory. Returns its length.</summary>
    public static int Write(Span<byte> body, BlockDeviceInfo info)
    {
        int length = WriteTokenLimits(body, info);
        length += WriteSupportedCommands(body[length..]);
        length += WriteParameterData(body[length..]);
        length += WriteSupportedDescriptors(body[length..]);
        length += WriteSupportedIds(body[length..]);
        length += WriteTokenFeatures(body[length..]);
        length += WriteSupportedTypes(body[length..]);
        return length + WriteGeneralOperations(body[length..]);
    }

    // The Block Device ROD Token Limits descriptor. SBC-3.
    static int WriteTokenLimits(Span<byte> descriptor, BlockDeviceInfo info)
    {
        const ushort tokenLimits = 0x0000;
        WriteUInt16BigEndian(descriptor[10..], ThirdPartyCopyLimits.MaxTokenRanges);
        WriteUInt32BigEndian(descriptor[12..], ThirdPartyCopyLimits.MaxTokenInactivitySeconds);
        WriteUInt32BigEndian(descriptor[16..], ThirdPartyCopyLimits.DefaultTokenInactivitySeconds);
        WriteInt64BigEndian(descriptor[20..], ThirdPartyCopyLimits.MaxTokenBytes / info.BlockSize);
        WriteInt64BigEndian(descriptor[28..], ThirdPartyCopyLimits.OptimalTokenBytes / info.BlockSize);
        return WriteHeader(descriptor, tokenLimits, 0x20);
    }

    // For each operation code its service actions.
    static int WriteSupportedCommands(Span<byte> descriptor)
    {
        const ushort supportedCommands = 0x0001;
        ReadOnlySpan<byte> commands =
        [
            OperationCode.ThirdPartyCopyOut, 4, ServiceAction.ExtendedCopyLid1, ServiceAction.ExtendedCopyLid4, ServiceAction.PopulateToken, ServiceAction.WriteUsingToken,
            OperationCode.ThirdPartyCopyIn, 6, ServiceAction.CopyStatusLid1, ServiceAction.CopyDataLid1, ServiceAction.CopyOperatingParameters,
            ServiceAction.CopyFailureDetailsLid1, ServiceAction.CopyStatusLid4, ServiceAction.RodTokenInformation,
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

    // REMOTE TOKENS stays 0h: tokens of this target only. SPC-4 clause 7.8.17.8.
    static int WriteTokenFeatures(Span<byte> descriptor)
    {
        const ushort tokenFeatures = 0x0106, blockFeaturesLength = 0x2C;
        const int featuresOffset = 48;
        WriteUInt32BigEndian(descriptor[16..], 1); // MINIMUM TOKEN LIFETIME
        WriteUInt32BigEndian(descriptor[20..], ThirdPartyCopyLimits.MaxTokenLifetimeSeconds);
        WriteUInt32BigEndian(descriptor[24..], ThirdPartyCopyLimits.MaxTokenInactivitySeconds);
        WriteUInt16BigEndian(descriptor[46..], DescriptorHeaderLength + blockFeaturesLength);
        Span<byte> features = descriptor[featuresOffset..];
        WriteUInt16BigEndian(features[2..], blockFeaturesLength);
        WriteUInt64BigEndian(features[8..], ThirdPartyCopyLimits.MaxTokenBytes); // MAXIMUM BYTES IN BLOCK ROD
        WriteUInt64BigEndian(features[16..], ThirdPartyCopyLimits.OptimalTokenBytes); // OPTIMAL BYTES IN BLOCK ROD TRANSFER
        return WriteHeader(descriptor, tokenFeatures, featuresOffset + blockFeaturesLength);
    }

    // In ascending order. The zero token is taken, never given. SPC-4 clause 7.8.17.9.
    static int WriteSupportedTypes(Span<byte> descriptor)
    {
        const ushort supportedTypes = 0x0108;
        const int typesOffset = 8, typeLength = 64;
        const byte tokenIn = 0x02, tokenOut = 0x01;
        ReadOnlySpan<(uint Type, byte Flags)> types =
        [
            (ThirdPartyCopyLimits.PointInTimeDefault, tokenIn | tokenOut),
            (ThirdPartyCopyLimits.PointInTimeChangeVulnerable, tokenIn | tokenOut),
            (ThirdPartyCopyLimits.PointInTimeAny, tokenOut),
            (ThirdPartyCopyLimits.BlockDeviceZero, tokenIn),
        ];
        WriteUInt16BigEndian(descriptor[6..], (ushort)(types.Length * typeLength));
        Span<byte> at = descriptor[typesOffset..];
        foreach ((uint type, byte flags) in types)
        {
            WriteUInt32BigEndian(at, type);
            at[4] = flags;
            at = at[typeLength..];
        }

        return WriteHeader(descriptor, supportedTypes, typesOffset - DescriptorHeaderLength + (types.Length * typeLength));
    }

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
