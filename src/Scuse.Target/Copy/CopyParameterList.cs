using Scuse.Device;
using Scuse.Scsi;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Scuse.Target;

/// <summary>A copy source or copy destination as EXTENDED COPY names it: by a designator of its VPD page 83h. SPC-4 clause 6.4.5.4.</summary>
/// <param name="Offset">Where its descriptor begins in the parameter list.</param>
/// <param name="IsNull">NUL: none is meant.</param>
/// <param name="DeviceType">The peripheral device type that it is taken for.</param>
/// <param name="CodeSet">What the designator is written in.</param>
/// <param name="Association">What the designator belongs to.</param>
/// <param name="DesignatorType">What kind of designator it is.</param>
/// <param name="Designator">The designator.</param>
/// <param name="BlockBytes">The logical block length that it is taken for; 0 where nothing is said.</param>
sealed record CopyDevice(int Offset, bool IsNull, byte DeviceType, byte CodeSet, byte Association, byte DesignatorType, byte[] Designator, int BlockBytes);

/// <summary>One segment of an EXTENDED COPY: what is copied where. SPC-4 clauses 6.4.6.5 and 6.4.6.13.</summary>
/// <param name="Source">The source's place in the list of devices.</param>
/// <param name="Destination">The destination's place there.</param>
/// <param name="SourceLba">The first block to read.</param>
/// <param name="DestinationLba">The first block to write.</param>
/// <param name="Count">How much: blocks, or bytes.</param>
/// <param name="CountedIn">What <paramref name="Count"/> is counted in.</param>
/// <param name="SourceOffset">Bytes to skip in the first block that is read.</param>
/// <param name="DestinationOffset">Bytes to skip in the first block that is written.</param>
sealed record CopySegment(
    ushort Source, ushort Destination, ulong SourceLba, ulong DestinationLba, uint Count, CopyUnit CountedIn, ushort SourceOffset, ushort DestinationOffset);

/// <summary>What a segment's length is counted in.</summary>
enum CopyUnit
{
    SourceBlocks,
    DestinationBlocks,
    Bytes,
}

/// <summary>The parameter list of EXTENDED COPY, in the form of LID1 or of LID4. SPC-4 clauses 6.4.3 and 6.5.</summary>
sealed class CopyParameterList
{
    const int Header1Length = 16, Header4Length = 48;
    const int DeviceLength = 32, SegmentHeaderLength = 4;
    const byte UsageMask = 0x18, UsageReserved = 0x08, UsageNone = 0x18;

    CopyParameterList(uint listIdentifier, bool isIdentified, List<CopyDevice> devices, List<CopySegment> segments)
    {
        ListIdentifier = listIdentifier;
        IsIdentified = isIdentified;
        Devices = devices;
        Segments = segments;
    }

    /// <summary>The name by which RECEIVE COPY RESULTS asks for the copy.</summary>
    public uint ListIdentifier { get; }

    /// <summary>Whether it has that name: LIST ID USAGE is not 11b.</summary>
    public bool IsIdentified { get; }

    public IReadOnlyList<CopyDevice> Devices { get; }

    public IReadOnlyList<CopySegment> Segments { get; }

    /// <summary>Reads a list; false with the refusal when anything in it is not as it should be: then nothing has been copied.</summary>
    public static bool TryParse(ReadOnlySpan<byte> list, bool isLid4, out CopyParameterList parsed, out SenseData refusal)
    {
        parsed = null!;
        int headerLength = isLid4 ? Header4Length : Header1Length;
        if (list.Length < headerLength)
        {
            refusal = LengthError;
            return false;
        }

        int devicesLength, identifierOffset;
        long segmentsLength, inlineLength;
        uint identifier;
        if (isLid4)
        {
            identifierOffset = 20;
            identifier = ReadUInt32BigEndian(list[identifierOffset..]);
            devicesLength = ReadUInt16BigEndian(list[42..]);
            segmentsLength = ReadUInt16BigEndian(list[44..]);
            inlineLength = ReadUInt16BigEndian(list[46..]);
        }
        else
        {
            identifierOffset = 0;
            identifier = list[identifierOffset];
            devicesLength = ReadUInt16BigEndian(list[2..]);
            segmentsLength = ReadUInt32BigEndian(list[8..]);
            inlineLength = ReadUInt32BigEndian(list[12..]);
        }

        int usage = list[1] & UsageMask;
        int wrong =
            isLid4 ? FindWrongInHeader4(list)
            : usage == UsageReserved ? 1
            : -1;
        wrong = wrong < 0 && usage == UsageNone && identifier != 0 ? identifierOffset : wrong;
        if (wrong >= 0)
        {
            refusal = SenseData.InvalidFieldInParameterList(wrong);
            return false;
        }

        if (devicesLength + segmentsLength > ThirdPartyCopyLimits.MaxDescriptorListBytes || headerLength + devicesLength + segmentsLength + inlineLength > list.Length)
        {
            refusal = LengthError;
            return false;
        }

        if (inlineLength > 0)
        {
            refusal = new SenseData(SenseKey.IllegalRequest, AdditionalSense.InlineDataLengthExceeded);
            return false;
        }

        List<CopyDevice> devices = [];
        List<CopySegment> segments = [];
        int segmentsOffset = headerLength + devicesLength;
        if (!TryReadDevices(list[..segmentsOffset], headerLength, devices, out refusal)
            || !TryReadSegments(list[..(segmentsOffset + (int)segmentsLength)], segmentsOffset, segments, out refusal))
        {
            return false;
        }

        parsed = new CopyParameterList(identifier, usage != UsageNone, devices, segments);
        return true;
    }

    static SenseData LengthError => new(SenseKey.IllegalRequest, AdditionalSense.ParameterListLengthError);

    // Its own fields stand in a descriptor of type FFh. SPC-4 clause 6.5. IMMED and G_SENSE are not done.
    static int FindWrongInHeader4(ReadOnlySpan<byte> list)
    {
        const byte format = 0x01, descriptorType = 0xFF, immedAndGSense = 0x03;
        const int descriptorLengthOffset = 2, optionsOffset = 15, descriptorTypeOffset = 16;
        return list[0] != format ? 0
            : ReadUInt16BigEndian(list[descriptorLengthOffset..]) != DeviceLength ? descriptorLengthOffset
            : (list[optionsOffset] & immedAndGSense) != 0 ? optionsOffset
            : list[descriptorTypeOffset] != descriptorType ? descriptorTypeOffset
            : (list[1] & UsageMask) == UsageReserved ? 1
            : -1;
    }

    // LU ID TYPE says how an LU IDENTIFIER is to be read, which these descriptors have not.
    static bool TryReadDevices(ReadOnlySpan<byte> list, int at, List<CopyDevice> devices, out SenseData refusal)
    {
        const byte nul = 0x20, deviceTypeMask = 0x1F, lowNibble = 0x0F;
        const int maxDesignatorLength = 20;
        for (; at < list.Length; at += DeviceLength)
        {
            ReadOnlySpan<byte> device = list[at..];
            if (device[0] != ThirdPartyCopyLimits.IdentificationDescriptor)
            {
                refusal = new SenseData(SenseKey.IllegalRequest, AdditionalSense.UnsupportedTargetDescriptorType) { FieldPointer = (ushort)at };
                return false;
            }

            if (device.Length < DeviceLength)
            {
                refusal = LengthError;
                return false;
            }

            if (devices.Count == ThirdPartyCopyLimits.MaxCscds)
            {
                refusal = new SenseData(SenseKey.IllegalRequest, AdditionalSense.TooManyTargetDescriptors);
                return false;
            }

            if (device[7] > maxDesignatorLength)
            {
                refusal = SenseData.InvalidFieldInParameterList(at + 7);
                return false;
            }

            devices.Add(new CopyDevice(
                at,
                (device[1] & nul) != 0,
                (byte)(device[1] & deviceTypeMask),
                (byte)(device[4] & lowNibble),
                (byte)((device[5] >> 4) & 0x3),
                (byte)(device[5] & lowNibble),
                device.Slice(8, device[7]).ToArray(),
                (device[29] << 16) | (device[30] << 8) | device[31]));
        }

        refusal = default;
        return true;
    }

    static bool TryReadSegments(ReadOnlySpan<byte> list, int at, List<CopySegment> segments, out SenseData refusal)
    {
        const byte destinationCount = 0x02;
        while (at < list.Length)
        {
            ReadOnlySpan<byte> segment = list[at..];
            bool hasOffset = segment[0] == ThirdPartyCopyLimits.BlockToBlockWithOffset;
            if (!hasOffset && segment[0] != ThirdPartyCopyLimits.BlockToBlock)
            {
                refusal = new SenseData(SenseKey.IllegalRequest, AdditionalSense.UnsupportedSegmentDescriptorType) { FieldPointer = (ushort)at };
                return false;
            }

            int length = SegmentHeaderLength + (hasOffset ? 0x1C : 0x18);
            if (segment.Length < length)
            {
                refusal = LengthError;
                return false;
            }

            if (ReadUInt16BigEndian(segment[2..]) != length - SegmentHeaderLength)
            {
                refusal = SenseData.InvalidFieldInParameterList(at + 2);
                return false;
            }

            if (segments.Count == ThirdPartyCopyLimits.MaxSegments)
            {
                refusal = new SenseData(SenseKey.IllegalRequest, AdditionalSense.TooManySegmentDescriptors);
                return false;
            }

            segments.Add(new CopySegment(
                ReadUInt16BigEndian(segment[4..]),
                ReadUInt16BigEndian(segment[6..]),
                ReadUInt64BigEndian(segment[12..]),
                ReadUInt64BigEndian(segment[20..]),
                hasOffset ? ReadUInt32BigEndian(segment[8..]) : ReadUInt16BigEndian(segment[10..]),
                hasOffset ? CopyUnit.Bytes : (segment[1] & destinationCount) != 0 ? CopyUnit.DestinationBlocks : CopyUnit.SourceBlocks,
                hasOffset ? ReadUInt16BigEndian(segment[28..]) : (ushort)0,
                hasOffset ? ReadUInt16BigEndian(segment[30..]) : (ushort)0));
            at += length;
        }

        refusal = default;
        return true;
    }
}
