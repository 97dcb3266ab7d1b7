using System.Buffers.Binary;

namespace Scuse.Scsi;

/// <summary>What a CHECK CONDITION reports: sense key, additional sense code and qualifier, and what goes with them. SPC-4 clause 4.5.</summary>
/// <param name="Key">The sense key.</param>
/// <param name="Code">ASC and ASCQ as one value; see <see cref="AdditionalSense"/>.</param>
public readonly record struct SenseData(SenseKey Key, ushort Code)
{
    /// <summary>Length of fixed-format sense data as written by <see cref="WriteFixed"/>.</summary>
    public const int FixedLength = 18;

    const byte FixedCurrent = 0x70;
    const byte FixedDeferred = 0x71;
    const byte DescriptorCurrent = 0x72;
    const byte DescriptorDeferred = 0x73;

    /// <summary>The INFORMATION field (an LBA, or the byte offset of a miscompare), when there is one.</summary>
    public ulong? Information { get; init; }

    /// <summary>The byte of the CDB or of the parameter list that is at fault, when it is known.</summary>
    public ushort? FieldPointer { get; init; }

    /// <summary>Whether <see cref="FieldPointer"/> points into the CDB (and not into the parameter list).</summary>
    public bool FieldIsInCdb { get; init; }

    /// <summary>
    /// Whether the error belongs to an earlier command that was already answered with GOOD; the command that carries it was not done. SPC-4 clause 4.5.5.
    /// </summary>
    public bool IsDeferred { get; init; }

    /// <summary>NO SENSE.</summary>
    public static SenseData NoSense => new(SenseKey.NoSense, AdditionalSense.None);

    /// <summary>05/20/00.</summary>
    public static SenseData InvalidOperationCode => new(SenseKey.IllegalRequest, AdditionalSense.InvalidOperationCode);

    /// <summary>05/21/00.</summary>
    public static SenseData LbaOutOfRange => new(SenseKey.IllegalRequest, AdditionalSense.LbaOutOfRange);

    /// <summary>05/25/00.</summary>
    public static SenseData LogicalUnitNotSupported => new(SenseKey.IllegalRequest, AdditionalSense.LogicalUnitNotSupported);

    /// <summary>05/24/00, pointing at a byte of the CDB.</summary>
    public static SenseData InvalidFieldInCdb(int cdbByte) =>
        new(SenseKey.IllegalRequest, AdditionalSense.InvalidFieldInCdb) { FieldPointer = (ushort)cdbByte, FieldIsInCdb = true };

    /// <summary>05/26/00, pointing at a byte of the parameter list.</summary>
    public static SenseData InvalidFieldInParameterList(int parameterByte) =>
        new(SenseKey.IllegalRequest, AdditionalSense.InvalidFieldInParameterList) { FieldPointer = (ushort)parameterByte };

    /// <summary>Writes fixed-format sense data (SPC-4 clause 4.5.3): 18 bytes. Returns the length.</summary>
    public int WriteFixed(Span<byte> sense)
    {
        sense = sense[..FixedLength];
        sense.Clear();
        sense[0] = IsDeferred ? FixedDeferred : FixedCurrent;
        sense[2] = (byte)Key;
        if (Information is { } information && information <= uint.MaxValue)
        {
            sense[0] |= 0x80; // VALID
            BinaryPrimitives.WriteUInt32BigEndian(sense[3..], (uint)information);
        }

        sense[7] = FixedLength - 8; // ADDITIONAL SENSE LENGTH
        BinaryPrimitives.WriteUInt16BigEndian(sense[12..], Code);
        if (FieldPointer is { } field)
        {
            sense[15] = (byte)(FieldIsInCdb ? 0xC0 : 0x80); // SKSV, C/D
            BinaryPrimitives.WriteUInt16BigEndian(sense[16..], field);
        }

        return FixedLength;
    }

    /// <summary>Writes descriptor-format sense data (SPC-4 clause 4.5.2): 8 bytes and its descriptors. Returns the length.</summary>
    public int WriteDescriptor(Span<byte> sense)
    {
        const int headerLength = 8, informationLength = 12, keySpecificLength = 8;
        int length = headerLength + (Information is null ? 0 : informationLength) + (FieldPointer is null ? 0 : keySpecificLength);
        sense = sense[..length];
        sense.Clear();
        sense[0] = IsDeferred ? DescriptorDeferred : DescriptorCurrent;
        sense[1] = (byte)Key;
        BinaryPrimitives.WriteUInt16BigEndian(sense[2..], Code);
        sense[7] = (byte)(length - headerLength);
        int at = headerLength;
        if (Information is { } information)
        {
            sense[at] = 0x00; // information descriptor
            sense[at + 1] = 0x0A;
            sense[at + 2] = 0x80; // VALID
            BinaryPrimitives.WriteUInt64BigEndian(sense[(at + 4)..], information);
            at += informationLength;
        }

        if (FieldPointer is { } field)
        {
            sense[at] = 0x02; // sense key specific descriptor
            sense[at + 1] = 0x06;
            sense[at + 4] = (byte)(FieldIsInCdb ? 0xC0 : 0x80);
            BinaryPrimitives.WriteUInt16BigEndian(sense[(at + 5)..], field);
        }

        return length;
    }

    /// <summary>
    /// Reads sense data in fixed or descriptor format; bytes that are missing count as zeros. What is not sense data (a response code other than 70h to
    /// 73h, or nothing at all) comes back as <see cref="NoSense"/>.
    /// </summary>
    public static SenseData Parse(ReadOnlySpan<byte> sense)
    {
        if (sense.IsEmpty)
        {
            return NoSense;
        }

        const byte responseCodeMask = 0x7F;
        int responseCode = sense[0] & responseCodeMask;
        return responseCode switch
        {
            FixedCurrent or FixedDeferred => ParseFixed(sense, responseCode == FixedDeferred),
            DescriptorCurrent or DescriptorDeferred => ParseDescriptor(sense, responseCode == DescriptorDeferred),
            _ => NoSense,
        };
    }

    /// <summary>The key, ASC and ASCQ in the field's way of writing them, such as <c>05/24/00</c>.</summary>
    public override string ToString() => $"{(byte)Key:X2}/{Code >> 8:X2}/{Code & 0xFF:X2}";

    static SenseData ParseFixed(ReadOnlySpan<byte> source, bool isDeferred)
    {
        // Only the bytes that ADDITIONAL SENSE LENGTH counts are defined.
        Span<byte> sense = stackalloc byte[FixedLength];
        sense.Clear();
        int present = source.Length > 7 ? Math.Min(source.Length, 8 + source[7]) : source.Length;
        source[..Math.Min(present, FixedLength)].CopyTo(sense);
        bool isValid = (sense[0] & 0x80) != 0;
        bool hasField = (sense[15] & 0x80) != 0 && (sense[2] & 0x0F) == (byte)SenseKey.IllegalRequest;
        return new SenseData((SenseKey)(sense[2] & 0x0F), BinaryPrimitives.ReadUInt16BigEndian(sense[12..]))
        {
            IsDeferred = isDeferred,
            Information = isValid ? BinaryPrimitives.ReadUInt32BigEndian(sense[3..]) : null,
            FieldPointer = hasField ? BinaryPrimitives.ReadUInt16BigEndian(sense[16..]) : null,
            FieldIsInCdb = hasField && (sense[15] & 0x40) != 0,
        };
    }

    static SenseData ParseDescriptor(ReadOnlySpan<byte> source, bool isDeferred)
    {
        const int headerLength = 8;
        Span<byte> header = stackalloc byte[headerLength];
        header.Clear();
        source[..Math.Min(source.Length, headerLength)].CopyTo(header);
        var parsed = new SenseData((SenseKey)(header[1] & 0x0F), BinaryPrimitives.ReadUInt16BigEndian(header[2..])) { IsDeferred = isDeferred };
        if (source.Length <= headerLength)
        {
            return parsed;
        }

        ReadOnlySpan<byte> descriptors = source[headerLength..Math.Min(source.Length, headerLength + header[7])];
        while (descriptors.Length >= 2 && descriptors.Length >= 2 + descriptors[1])
        {
            int length = 2 + descriptors[1];
            parsed = parsed.WithDescriptor(descriptors[..length]);
            descriptors = descriptors[length..];
        }

        return parsed;
    }

    // Descriptor types 00h (information) and 02h (sense key specific). SPC-4 clause 4.5.2.
    SenseData WithDescriptor(ReadOnlySpan<byte> descriptor) => descriptor[0] switch
    {
        0x00 when descriptor.Length >= 12 && (descriptor[2] & 0x80) != 0 =>
            this with { Information = BinaryPrimitives.ReadUInt64BigEndian(descriptor[4..]) },
        0x02 when descriptor.Length >= 8 && (descriptor[4] & 0x80) != 0 && Key == SenseKey.IllegalRequest =>
            this with { FieldPointer = BinaryPrimitives.ReadUInt16BigEndian(descriptor[5..]), FieldIsInCdb = (descriptor[4] & 0x40) != 0 },
        _ => this,
    };
}
