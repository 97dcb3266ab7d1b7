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

    // Sense data descriptor types. SPC-4 table 28.
    const byte InformationDescriptor = 0x00;
    const byte CommandSpecificDescriptor = 0x01;
    const byte KeySpecificDescriptor = 0x02;

    /// <summary>The most that descriptor-format sense data has as written by <see cref="WriteDescriptor"/>.</summary>
    public const int MaxDescriptorLength = 40;

    /// <summary>The INFORMATION field (an LBA, or the byte offset of a miscompare), when there is one.</summary>
    public ulong? Information { get; init; }

    /// <summary>The COMMAND-SPECIFIC INFORMATION field, when there is some; in fixed format zero and none are the same.</summary>
    public ulong? CommandSpecific { get; init; }

    /// <summary>
    /// PROGRESS INDICATION: how much of a long operation is done, in parts of 65536. Only NO SENSE and NOT READY carry it. SPC-4 clause 4.5.2.4.4.
    /// </summary>
    public ushort? Progress { get; init; }

    /// <summary>The byte of the CDB or of the parameter list that is at fault, when it is known. Only ILLEGAL REQUEST carries it.</summary>
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
        if (CommandSpecific is { } specific && specific <= uint.MaxValue)
        {
            BinaryPrimitives.WriteUInt32BigEndian(sense[8..], (uint)specific);
        }

        BinaryPrimitives.WriteUInt16BigEndian(sense[12..], Code);
        WriteKeySpecific(sense[15..]);
        return FixedLength;
    }

    /// <summary>Writes descriptor-format sense data (SPC-4 clause 4.5.2): 8 bytes and its descriptors. Returns the length.</summary>
    public int WriteDescriptor(Span<byte> sense)
    {
        const int headerLength = 8, informationLength = 12, keySpecificLength = 8;
        int length = headerLength + (Information is null ? 0 : informationLength) + (CommandSpecific is null ? 0 : informationLength)
            + (HasKeySpecific ? keySpecificLength : 0);
        sense = sense[..length];
        sense.Clear();
        sense[0] = IsDeferred ? DescriptorDeferred : DescriptorCurrent;
        sense[1] = (byte)Key;
        BinaryPrimitives.WriteUInt16BigEndian(sense[2..], Code);
        sense[7] = (byte)(length - headerLength);
        Span<byte> at = sense[headerLength..];
        if (Information is { } information)
        {
            at[0] = InformationDescriptor;
            at[1] = informationLength - 2;
            at[2] = 0x80; // VALID
            BinaryPrimitives.WriteUInt64BigEndian(at[4..], information);
            at = at[informationLength..];
        }

        if (CommandSpecific is { } specific)
        {
            at[0] = CommandSpecificDescriptor;
            at[1] = informationLength - 2;
            BinaryPrimitives.WriteUInt64BigEndian(at[4..], specific);
            at = at[informationLength..];
        }

        if (HasKeySpecific)
        {
            at[0] = KeySpecificDescriptor;
            at[1] = keySpecificLength - 2;
            WriteKeySpecific(at[4..]);
        }

        return length;
    }

    bool HasKeySpecific => (FieldPointer is not null && CarriesField(Key)) || (Progress is not null && CarriesProgress(Key));

    // What the three bytes mean is the sense key's choice. SPC-4 table 35.
    static bool CarriesField(SenseKey key) => key == SenseKey.IllegalRequest;

    static bool CarriesProgress(SenseKey key) => key is SenseKey.NoSense or SenseKey.NotReady;

    void WriteKeySpecific(Span<byte> keySpecific)
    {
        const byte sksv = 0x80, commandData = 0x40;
        if (FieldPointer is { } field && CarriesField(Key))
        {
            keySpecific[0] = (byte)(sksv | (FieldIsInCdb ? commandData : 0));
            BinaryPrimitives.WriteUInt16BigEndian(keySpecific[1..], field);
        }
        else if (Progress is { } progress && CarriesProgress(Key))
        {
            keySpecific[0] = sksv;
            BinaryPrimitives.WriteUInt16BigEndian(keySpecific[1..], progress);
        }
    }

    SenseData WithKeySpecific(ReadOnlySpan<byte> keySpecific)
    {
        const byte sksv = 0x80, commandData = 0x40;
        if ((keySpecific[0] & sksv) == 0)
        {
            return this;
        }

        ushort value = BinaryPrimitives.ReadUInt16BigEndian(keySpecific[1..]);
        return CarriesField(Key) ? this with { FieldPointer = value, FieldIsInCdb = (keySpecific[0] & commandData) != 0 }
            : CarriesProgress(Key) ? this with { Progress = value }
            : this;
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

    /// <summary>Whether sense data is in descriptor format.</summary>
    public static bool IsDescriptorFormat(ReadOnlySpan<byte> sense) => !sense.IsEmpty && (sense[0] & 0x7F) is DescriptorCurrent or DescriptorDeferred;

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
        uint specific = BinaryPrimitives.ReadUInt32BigEndian(sense[8..]);
        return new SenseData((SenseKey)(sense[2] & 0x0F), BinaryPrimitives.ReadUInt16BigEndian(sense[12..]))
        {
            IsDeferred = isDeferred,
            Information = isValid ? BinaryPrimitives.ReadUInt32BigEndian(sense[3..]) : null,
            CommandSpecific = specific != 0 ? specific : null,
        }.WithKeySpecific(sense[15..]);
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

    SenseData WithDescriptor(ReadOnlySpan<byte> descriptor) => descriptor[0] switch
    {
        InformationDescriptor when descriptor.Length >= 12 && (descriptor[2] & 0x80) != 0 =>
            this with { Information = BinaryPrimitives.ReadUInt64BigEndian(descriptor[4..]) },
        CommandSpecificDescriptor when descriptor.Length >= 12 =>
            this with { CommandSpecific = BinaryPrimitives.ReadUInt64BigEndian(descriptor[4..]) },
        KeySpecificDescriptor when descriptor.Length >= 8 => WithKeySpecific(descriptor[4..]),
        _ => this,
    };
}
