using static System.Buffers.Binary.BinaryPrimitives;

namespace Scuse.Scsi;

/// <summary>One range of blocks to unmap. SBC-3 clause 5.28.2, UNMAP block descriptor.</summary>
/// <param name="Lba">The first block.</param>
/// <param name="BlockCount">How many blocks; zero unmaps nothing and is no error.</param>
public readonly record struct UnmapBlockDescriptor(ulong Lba, uint BlockCount);

/// <summary>The parameter list of UNMAP: a header, then one descriptor for each range. SBC-3 clause 5.28.2.</summary>
public readonly ref struct UnmapParameterList
{
    /// <summary>Length of the header in bytes.</summary>
    public const int HeaderLength = 8;

    /// <summary>Length of a descriptor in bytes.</summary>
    public const int DescriptorLength = 16;

    /// <summary>The most descriptors that the 16-bit length fields leave room for.</summary>
    public const int MaxDescriptorCount = (ushort.MaxValue - HeaderLength) / DescriptorLength;

    const int DataLengthOffset = 0;
    const int DescriptorDataLengthOffset = 2;
    const int DescriptorBlockCountOffset = 8;

    readonly ReadOnlySpan<byte> _descriptors;

    UnmapParameterList(ReadOnlySpan<byte> descriptors)
    {
        _descriptors = descriptors;
    }

    /// <summary>How many whole descriptors there are.</summary>
    public int Count => _descriptors.Length / DescriptorLength;

    /// <summary>The descriptor at <paramref name="index"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is none.</exception>
    public UnmapBlockDescriptor this[int index]
    {
        get
        {
            ReadOnlySpan<byte> descriptor = _descriptors.Slice(index * DescriptorLength, DescriptorLength);
            return new(ReadUInt64BigEndian(descriptor), ReadUInt32BigEndian(descriptor[DescriptorBlockCountOffset..]));
        }
    }

    /// <summary>Length in bytes of a list with <paramref name="descriptorCount"/> descriptors.</summary>
    public static int LengthFor(int descriptorCount) => HeaderLength + (descriptorCount * DescriptorLength);

    /// <summary>The byte of the list where the descriptor at <paramref name="index"/> starts: what sense data points at.</summary>
    public static int OffsetOf(int index) => LengthFor(index);

    /// <summary>
    /// Reads a list; false when it is shorter than its header, or than the lengths in its header say. A last descriptor that is not whole is ignored,
    /// as the clause wants it.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> list, out UnmapParameterList view)
    {
        view = default;
        if (list.Length < HeaderLength)
        {
            return false;
        }

        int dataLength = ReadUInt16BigEndian(list[DataLengthOffset..]);
        int descriptorDataLength = ReadUInt16BigEndian(list[DescriptorDataLengthOffset..]);
        const int afterDataLength = 2; // UNMAP DATA LENGTH does not count itself
        if (list.Length < afterDataLength + dataLength || list.Length < HeaderLength + descriptorDataLength)
        {
            return false;
        }

        view = new UnmapParameterList(list.Slice(HeaderLength, descriptorDataLength));
        return true;
    }

    /// <summary>Writes a list. Returns its length in bytes.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There are more than <see cref="MaxDescriptorCount"/> descriptors, or <paramref name="list"/> is too short.</exception>
    public static int Write(Span<byte> list, ReadOnlySpan<UnmapBlockDescriptor> descriptors)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(descriptors.Length, MaxDescriptorCount, nameof(descriptors));
        int length = LengthFor(descriptors.Length);
        list = list[..length];
        list.Clear();
        WriteUInt16BigEndian(list[DataLengthOffset..], (ushort)(length - 2));
        WriteUInt16BigEndian(list[DescriptorDataLengthOffset..], (ushort)(length - HeaderLength));
        Span<byte> at = list[HeaderLength..];
        foreach (UnmapBlockDescriptor descriptor in descriptors)
        {
            WriteUInt64BigEndian(at, descriptor.Lba);
            WriteUInt32BigEndian(at[DescriptorBlockCountOffset..], descriptor.BlockCount);
            at = at[DescriptorLength..];
        }

        return length;
    }
}
