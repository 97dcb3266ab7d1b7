using static System.Buffers.Binary.BinaryPrimitives;

namespace Scuse.Scsi;

/// <summary>
/// The parameter list of MODE SELECT, and the parameter data of MODE SENSE: a header, block descriptors, mode pages. SPC-4 clause 7.5.4.
/// </summary>
public readonly ref struct ModeParameterList
{
    /// <summary>Length in bytes of the header of MODE SENSE(6) and MODE SELECT(6). SPC-4 table 347.</summary>
    public const int Header6Length = 4;

    /// <summary>Length in bytes of the header of MODE SENSE(10) and MODE SELECT(10). SPC-4 table 348.</summary>
    public const int Header10Length = 8;

    /// <summary>Length in bytes of a short block descriptor. SBC-3 clause 6.5.2.2.</summary>
    public const int ShortDescriptorLength = 8;

    /// <summary>Length in bytes of a long block descriptor. SBC-3 clause 6.5.2.3.</summary>
    public const int LongDescriptorLength = 16;

    /// <summary>LONGLBA, in byte 4 of a header(10).</summary>
    public const byte LongLba = 0x01;

    readonly ReadOnlySpan<byte> _list;

    ModeParameterList(ReadOnlySpan<byte> list, bool isTen)
    {
        _list = list;
        MediumTypeOffset = isTen ? 2 : 1;
        DescriptorLengthOffset = isTen ? 6 : 3;
        HasLongDescriptors = isTen && (list[4] & LongLba) != 0;
        DescriptorsLength = isTen ? ReadUInt16BigEndian(list[6..]) : list[3];
        DescriptorsOffset = isTen ? Header10Length : Header6Length;
    }

    /// <summary>MEDIUM TYPE.</summary>
    public byte MediumType => _list[MediumTypeOffset];

    /// <summary>The byte of the list that holds <see cref="MediumType"/>.</summary>
    public int MediumTypeOffset { get; }

    /// <summary>Whether the block descriptors are long ones.</summary>
    public bool HasLongDescriptors { get; }

    /// <summary>BLOCK DESCRIPTOR LENGTH: that of all of them together, in bytes.</summary>
    public int DescriptorsLength { get; }

    /// <summary>The byte of the list where <see cref="DescriptorsLength"/> stands.</summary>
    public int DescriptorLengthOffset { get; }

    /// <summary>The byte of the list where the block descriptors start.</summary>
    public int DescriptorsOffset { get; }

    /// <summary>The block descriptors.</summary>
    public ReadOnlySpan<byte> Descriptors => _list.Slice(DescriptorsOffset, DescriptorsLength);

    /// <summary>The byte of the list where the first page starts.</summary>
    public int PagesOffset => DescriptorsOffset + DescriptorsLength;

    /// <summary>Reads a list up to its pages; false when it ends before.</summary>
    /// <param name="list">The list.</param>
    /// <param name="isTen">Whether it belongs to the commands of ten bytes.</param>
    /// <param name="view">The list, to be read.</param>
    public static bool TryParse(ReadOnlySpan<byte> list, bool isTen, out ModeParameterList view)
    {
        view = default;
        if (list.Length < (isTen ? Header10Length : Header6Length))
        {
            return false;
        }

        view = new ModeParameterList(list, isTen);
        return list.Length >= view.PagesOffset;
    }

    /// <summary>
    /// The page that starts at a byte of the list, in either page format; the next one starts at its end. False when there is none: the list ends there, or, when
    /// <paramref name="isCut"/>, within the page. SPC-4 clause 7.5.7.
    /// </summary>
    public bool TryReadPage(int offset, out ModePageView page, out bool isCut)
    {
        ReadOnlySpan<byte> rest = _list[offset..];
        page = default;
        isCut = !rest.IsEmpty && !ModePageView.TryParse(rest, out page);
        return !rest.IsEmpty && !isCut;
    }
}

/// <summary>One mode page with its header, in page_0 format or sub_page format. SPC-4 tables 359 and 360.</summary>
public readonly ref struct ModePageView
{
    /// <summary>Length in bytes of the header of a page_0.</summary>
    public const int HeaderLength = 2;

    /// <summary>Length in bytes of the header of a sub_page.</summary>
    public const int SubpageHeaderLength = 4;

    /// <summary>SPF, in byte 0.</summary>
    public const byte SubpageFormat = 0x40;

    /// <summary>PS, in byte 0: the page can be saved; reserved in MODE SELECT.</summary>
    public const byte CanBeSaved = 0x80;

    const byte CodeMask = 0x3F;

    ModePageView(ReadOnlySpan<byte> bytes) => Bytes = bytes;

    /// <summary>The page, header included.</summary>
    public ReadOnlySpan<byte> Bytes { get; }

    /// <summary>PAGE CODE.</summary>
    public byte Code => (byte)(Bytes[0] & CodeMask);

    /// <summary>SUBPAGE CODE; zero for a page_0.</summary>
    public byte Subpage => IsSubpage ? Bytes[1] : (byte)0;

    /// <summary>Whether it has the header of a sub_page.</summary>
    public bool IsSubpage => (Bytes[0] & SubpageFormat) != 0;

    /// <summary>The byte of the page that holds PAGE LENGTH.</summary>
    public int LengthOffset => IsSubpage ? 2 : 1;

    internal static bool TryParse(ReadOnlySpan<byte> rest, out ModePageView page)
    {
        page = default;
        bool isSubpage = (rest[0] & SubpageFormat) != 0;
        if (rest.Length < (isSubpage ? SubpageHeaderLength : HeaderLength))
        {
            return false;
        }

        int length = isSubpage ? SubpageHeaderLength + ReadUInt16BigEndian(rest[2..]) : HeaderLength + rest[1];
        if (rest.Length < length)
        {
            return false;
        }

        page = new ModePageView(rest[..length]);
        return true;
    }
}
