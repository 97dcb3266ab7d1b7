using System.Buffers.Binary;
using Scuse.Device;
using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>The parameter lists of POPULATE TOKEN and WRITE USING TOKEN. SBC-3; in SBC-5 clauses 5.12.2 and 5.59.2.</summary>
sealed class TokenParameterList
{
    public const int RodTokenOffset = 16, OffsetIntoRodOffset = 8;

    const int FlagsOffset = 2, InactivityOffset = 4, TypeOffset = 8;
    const int PopulateHeaderLength = 16, WriteHeaderLength = 536, RangeLength = 16;
    const byte Immed = 0x01, DeleteToken = 0x02, TypeIsValid = 0x02;

    /// <summary>Whether the command is to be answered before the work is done.</summary>
    public bool IsImmediate { get; private init; }

    /// <summary>Of POPULATE TOKEN: the ROD type of the token.</summary>
    public uint Type { get; private init; }

    /// <summary>Of POPULATE TOKEN: for how long to keep the token unused; 0 for the default.</summary>
    public int InactivitySeconds { get; private init; }

    /// <summary>Of WRITE USING TOKEN: whether the token is of no use afterwards.</summary>
    public bool DeletesToken { get; private init; }

    /// <summary>Of WRITE USING TOKEN: where in the data to begin, in blocks of the destination.</summary>
    public ulong OffsetIntoRod { get; private init; }

    /// <summary>Of WRITE USING TOKEN: the token.</summary>
    public byte[] Token { get; private init; } = [];

    /// <summary>The blocks to represent or to write.</summary>
    public required IReadOnlyList<BlockRun> Ranges { get; init; }

    /// <summary>How many blocks they are.</summary>
    public long BlockCount => Ranges.Sum(static range => (long)range.BlockCount);

    public static bool TryParsePopulate(ReadOnlySpan<byte> list, BlockDeviceInfo info, out TokenParameterList parsed, out SenseData refusal)
    {
        const int leastDataLength = 0x1E;
        parsed = null!;
        if (list.Length < PopulateHeaderLength)
        {
            refusal = LengthError;
            return false;
        }

        uint inactivity = BinaryPrimitives.ReadUInt32BigEndian(list[InactivityOffset..]);
        bool hasType = (list[FlagsOffset] & TypeIsValid) != 0;
        uint type = hasType ? BinaryPrimitives.ReadUInt32BigEndian(list[TypeOffset..]) : ThirdPartyCopyLimits.PointInTimeAny;
        bool isTypeKnown = type is ThirdPartyCopyLimits.PointInTimeDefault or ThirdPartyCopyLimits.PointInTimeChangeVulnerable or ThirdPartyCopyLimits.PointInTimeAny;
        int wrong = BinaryPrimitives.ReadUInt16BigEndian(list) < leastDataLength ? 0
            : inactivity > ThirdPartyCopyLimits.MaxTokenInactivitySeconds ? InactivityOffset
            : !isTypeKnown ? TypeOffset
            : -1;
        if (wrong >= 0)
        {
            refusal = SenseData.InvalidFieldInParameterList(wrong);
            return false;
        }

        if (!TryReadRanges(list, PopulateHeaderLength, info, out List<BlockRun> ranges, out refusal))
        {
            return false;
        }

        parsed = new TokenParameterList
        {
            IsImmediate = (list[FlagsOffset] & Immed) != 0,
            InactivitySeconds = (int)inactivity,
            Type = type == ThirdPartyCopyLimits.PointInTimeAny ? ThirdPartyCopyLimits.PointInTimeChangeVulnerable : type,
            Ranges = ranges,
        };
        return true;
    }

    public static bool TryParseWrite(ReadOnlySpan<byte> list, BlockDeviceInfo info, out TokenParameterList parsed, out SenseData refusal)
    {
        const int leastDataLength = 0x0226;
        parsed = null!;
        if (list.Length < WriteHeaderLength)
        {
            refusal = LengthError;
            return false;
        }

        int dataLength = BinaryPrimitives.ReadUInt16BigEndian(list);
        if (dataLength < leastDataLength || dataLength != BinaryPrimitives.ReadUInt16BigEndian(list[(WriteHeaderLength - sizeof(ushort))..]) + WriteHeaderLength - sizeof(ushort))
        {
            refusal = SenseData.InvalidFieldInParameterList(0);
            return false;
        }

        if (!TryReadRanges(list, WriteHeaderLength, info, out List<BlockRun> ranges, out refusal))
        {
            return false;
        }

        parsed = new TokenParameterList
        {
            IsImmediate = (list[FlagsOffset] & Immed) != 0,
            DeletesToken = (list[FlagsOffset] & DeleteToken) != 0,
            OffsetIntoRod = BinaryPrimitives.ReadUInt64BigEndian(list[OffsetIntoRodOffset..]),
            Token = list.Slice(RodTokenOffset, RodToken.Length).ToArray(),
            Ranges = ranges,
        };
        return true;
    }

    static SenseData LengthError => new(SenseKey.IllegalRequest, AdditionalSense.ParameterListLengthError);

    // Block device range descriptors, of which a last one that is not whole is passed over. Their length stands in the two bytes before them. SBC-5 clause 5.12.3.
    static bool TryReadRanges(ReadOnlySpan<byte> list, int at, BlockDeviceInfo info, out List<BlockRun> ranges, out SenseData refusal)
    {
        ranges = [];
        int lengthOffset = at - sizeof(ushort);
        int length = BinaryPrimitives.ReadUInt16BigEndian(list[lengthOffset..]);
        if (length < RangeLength)
        {
            refusal = SenseData.InvalidFieldInParameterList(lengthOffset);
            return false;
        }

        if (length / RangeLength > ThirdPartyCopyLimits.MaxTokenRanges)
        {
            refusal = new SenseData(SenseKey.IllegalRequest, AdditionalSense.TooManySegmentDescriptors);
            return false;
        }

        int count = Math.Min(length, list.Length - at) / RangeLength;
        if (count == 0)
        {
            refusal = LengthError;
            return false;
        }

        long blocks = 0;
        for (int i = 0; i < count; i++, at += RangeLength)
        {
            var range = new BlockRun(BinaryPrimitives.ReadUInt64BigEndian(list[at..]), BinaryPrimitives.ReadUInt32BigEndian(list[(at + 8)..]));
            blocks += range.BlockCount;
            if (blocks > ThirdPartyCopyLimits.MaxTokenBytes / info.BlockSize)
            {
                refusal = SenseData.InvalidFieldInParameterList(at + 8);
                return false;
            }

            if (range.Lba > info.BlockCount || range.BlockCount > info.BlockCount - range.Lba)
            {
                refusal = SenseData.LbaOutOfRange;
                return false;
            }

            if (ranges.Exists(other => IsTwiceIn(range, other)))
            {
                refusal = SenseData.InvalidFieldInParameterList(at);
                return false;
            }

            ranges.Add(range);
        }

        refusal = default;
        return true;
    }

    static bool IsTwiceIn(BlockRun one, BlockRun other) =>
        one.BlockCount > 0 && other.BlockCount > 0 && one.Lba < other.Lba + other.BlockCount && other.Lba < one.Lba + one.BlockCount;
}
