using System.Buffers.Binary;

namespace Scuse.Iscsi.Pdus;

/// <summary>The additional header segments of a SCSI Command PDU. RFC 7143 section 11.2.2.</summary>
internal readonly ref struct AdditionalHeaders
{
    /// <summary>The bytes of all segments that a TotalAHSLength of 255 words allows.</summary>
    public const int MaxLength = 255 * 4;

    const byte TypeMask = 0x3F;
    const byte ExtendedCdbType = 1;
    const byte BidirectionalReadType = 2;
    const int TypeOffset = 2;
    const int ContentOffset = 4; // behind length, type and one reserved or specific byte
    const int BidirectionalReadLength = 5;

    AdditionalHeaders(ReadOnlySpan<byte> extendedCdb, uint? readLength)
    {
        ExtendedCdb = extendedCdb;
        BidirectionalReadDataLength = readLength;
    }

    /// <summary>The CDB's bytes from the seventeenth on. RFC 7143 section 11.2.2.3.</summary>
    public ReadOnlySpan<byte> ExtendedCdb { get; }

    /// <summary>Expected Bidirectional Read Data Length in bytes, when there is one. RFC 7143 section 11.2.2.4.</summary>
    public uint? BidirectionalReadDataLength { get; }

    /// <summary>Reads all segments; false when their lengths do not add up or one comes twice. Unknown types are passed over.</summary>
    public static bool TryRead(ReadOnlySpan<byte> segments, out AdditionalHeaders headers)
    {
        ReadOnlySpan<byte> cdb = default;
        uint? readLength = null;
        headers = default;
        while (!segments.IsEmpty)
        {
            if (segments.Length < ContentOffset)
            {
                return false;
            }

            int length = BinaryPrimitives.ReadUInt16BigEndian(segments);
            int whole = TypeOffset + 1 + length;
            whole += BasicHeader.PaddingFor(whole);
            if (length == 0 || whole > segments.Length)
            {
                return false;
            }

            switch (segments[TypeOffset] & TypeMask)
            {
                case ExtendedCdbType when cdb.IsEmpty:
                    cdb = segments.Slice(ContentOffset, length - 1);
                    break;
                case BidirectionalReadType when readLength is null && length == BidirectionalReadLength:
                    readLength = BinaryPrimitives.ReadUInt32BigEndian(segments[ContentOffset..]);
                    break;
                case ExtendedCdbType or BidirectionalReadType:
                    return false;
            }

            segments = segments[whole..];
        }

        headers = new AdditionalHeaders(cdb, readLength);
        return true;
    }

    /// <summary>Writes an extended CDB segment; returns its length with padding.</summary>
    public static int WriteExtendedCdb(Span<byte> segment, ReadOnlySpan<byte> rest)
    {
        int whole = ContentOffset + rest.Length;
        whole += BasicHeader.PaddingFor(whole);
        segment[..whole].Clear();
        BinaryPrimitives.WriteUInt16BigEndian(segment, (ushort)(rest.Length + 1));
        segment[TypeOffset] = ExtendedCdbType;
        rest.CopyTo(segment[ContentOffset..]);
        return whole;
    }

    /// <summary>Writes a bidirectional read length segment; returns its length.</summary>
    public static int WriteBidirectionalReadLength(Span<byte> segment, uint lengthBytes)
    {
        const int whole = 8;
        segment[..whole].Clear();
        BinaryPrimitives.WriteUInt16BigEndian(segment, BidirectionalReadLength);
        segment[TypeOffset] = BidirectionalReadType;
        BinaryPrimitives.WriteUInt32BigEndian(segment[ContentOffset..], lengthBytes);
        return whole;
    }
}
