using System.Buffers.Binary;
using Scuse.Scsi;

namespace Scuse.Device.Commands;

/// <summary>PC: which values of a mode page are asked for. SPC-4 clause 6.13.1.</summary>
enum ModePageControl
{
    /// <summary>Those in force.</summary>
    Current = 0,

    /// <summary>A mask of those that MODE SELECT may change.</summary>
    Changeable = 1,

    /// <summary>Those that hold when nothing was changed.</summary>
    Default = 2,

    /// <summary>Those kept across power cycles.</summary>
    Saved = 3,
}

/// <summary>What the mode pages of a device hang on.</summary>
/// <param name="Info">The device.</param>
/// <param name="CanSave">Whether what is changed can be kept.</param>
/// <param name="HasResources">Whether it tells of the room behind it.</param>
readonly record struct ModeDevice(BlockDeviceInfo Info, bool CanSave, bool HasResources);

/// <summary>The mode pages of the device. SPC-4 clause 7.5, SBC-3 clause 6.5.</summary>
static class ModePages
{
    /// <summary>The longest page there is, header included.</summary>
    public const int MaxPageLength = 32;

    /// <summary>Where the threshold for what is available stands in the Logical Block Provisioning mode page.</summary>
    public const int AvailableThresholdOffset = 16;

    /// <summary>Where the threshold for what is used stands there.</summary>
    public const int UsedThresholdOffset = 24;

    /// <summary>In ascending order.</summary>
    static readonly Page[] Pages =
    [
        new(ModePage.ReadWriteErrorRecovery, 12) { Values = WriteRecovery, Changeable = WriteChangeableRecovery, Read = ReadRecovery },
        new(ModePage.Caching, 20) { Values = WriteCaching, Changeable = WriteChangeableCaching, Read = ReadCaching },
        new(ModePage.Control, 12) { Values = WriteControl, Changeable = WriteChangeableControl, Read = ReadControl },
        new(ModePage.InformationalExceptionsControl, 12) { Values = WriteExceptions },
        new(ModePage.InformationalExceptionsControl, 32, ModePage.ProvisioningSubpage) { Values = WriteProvisioning, Changeable = WriteChangeableProvisioning, Read = ReadProvisioning },
    ];

    delegate void Writer(Span<byte> page, ModeParameters parameters, ModeDevice device);

    delegate ModeParameters Reader(ReadOnlySpan<byte> page, ModeParameters before, ModeDevice device);

    /// <summary>
    /// Writes a page, or all, into cleared memory: the values in <paramref name="parameters"/>, or the mask of what can be changed. Returns the length in bytes, or 0
    /// when there is no such page.
    /// </summary>
    public static int Write(Span<byte> pages, byte code, byte subpage, ModePageControl control, ModeParameters parameters, ModeDevice device)
    {
        int length = 0;
        foreach (Page page in Pages)
        {
            if ((code == ModePage.All || code == page.Code) && (subpage == ModePage.AllSubpages || subpage == page.Subpage) && IsThere(page, device))
            {
                WriteOne(pages[length..], page, control, parameters, device);
                length += page.Length;
            }
        }

        return length;
    }

    /// <summary>
    /// What the parameters are once a parameter list of MODE SELECT is applied to them. False when it asks for what cannot be had; the refusal points at the byte.
    /// SPC-4 clause 6.11.
    /// </summary>
    public static bool TryApply(ReadOnlySpan<byte> bytes, bool isTen, ModeDevice device, ModeParameters before, out ModeParameters after, out SenseData refusal)
    {
        after = before;
        refusal = new SenseData(SenseKey.IllegalRequest, AdditionalSense.ParameterListLengthError);
        if (!ModeParameterList.TryParse(bytes, isTen, out ModeParameterList list))
        {
            return false;
        }

        if (FirstFault(list, device.Info) is { } fault)
        {
            refusal = SenseData.InvalidFieldInParameterList(fault);
            return false;
        }

        int at = list.PagesOffset;
        bool isCut;
        for (; list.TryReadPage(at, out ModePageView page, out isCut); at += page.Bytes.Length)
        {
            if (!TryApplyPage(page, device, ref after, out int faultInPage))
            {
                refusal = SenseData.InvalidFieldInParameterList(at + faultInPage);
                return false;
            }
        }

        return !isCut;
    }

    /// <summary>What a list that was accepted by somebody else changes of the parameters; what does not fit here is passed over.</summary>
    public static ModeParameters Follow(ReadOnlySpan<byte> bytes, bool isTen, ModeDevice device, ModeParameters before)
    {
        if (!ModeParameterList.TryParse(bytes, isTen, out ModeParameterList list))
        {
            return before;
        }

        ModeParameters after = before;
        int at = list.PagesOffset;
        for (; list.TryReadPage(at, out ModePageView view, out _); at += view.Bytes.Length)
        {
            if (Find(view, device) is { } page && page.Length == view.Bytes.Length)
            {
                after = page.Read(view.Bytes, after, device);
            }
        }

        return after;
    }

    // ---- MODE SELECT ----

    /// <summary>The byte of the header or the block descriptor that asks for what cannot be had.</summary>
    static int? FirstFault(in ModeParameterList list, BlockDeviceInfo info)
    {
        if (list.MediumType != 0)
        {
            return list.MediumTypeOffset;
        }

        if (list.DescriptorsLength == 0)
        {
            return null;
        }

        // One for the whole medium; its size and shape are what they are. SBC-3 clause 6.5.2.
        if (list.DescriptorsLength != (list.HasLongDescriptors ? ModeParameterList.LongDescriptorLength : ModeParameterList.ShortDescriptorLength))
        {
            return list.DescriptorLengthOffset;
        }

        ReadOnlySpan<byte> descriptor = list.Descriptors;
        ReadOnlySpan<byte> blockCount = descriptor[..(descriptor.Length / 2)];
        Span<byte> present = stackalloc byte[ModeParameterList.LongDescriptorLength];
        present.Clear();
        int lengthAt = list.HasLongDescriptors ? ModeCommands.WriteLongDescriptor(present, info) - 4 : ModeCommands.WriteShortDescriptor(present, info) - 3;
        bool isCountKept = !blockCount.ContainsAnyExcept((byte)0x00) // as it is
            || !blockCount.ContainsAnyExcept((byte)0xFF) // as many as there can be
            || blockCount.SequenceEqual(present[..blockCount.Length]);
        return !isCountKept ? list.DescriptorsOffset
            : !descriptor[lengthAt..].SequenceEqual(present[lengthAt..descriptor.Length]) ? list.DescriptorsOffset + lengthAt
            : null;
    }

    static bool TryApplyPage(in ModePageView view, ModeDevice device, ref ModeParameters parameters, out int fault)
    {
        fault = 0;
        if (Find(view, device) is not { } page)
        {
            fault = view.IsSubpage && Array.Exists(Pages, IsCode(view.Code)) ? 1 : 0;
            return false;
        }

        if (page.Length != view.Bytes.Length)
        {
            fault = view.LengthOffset;
            return false;
        }

        Span<byte> current = stackalloc byte[MaxPageLength], mask = stackalloc byte[MaxPageLength];
        current.Clear();
        mask.Clear();
        page.Values(current, parameters, device);
        page.Changeable(mask, parameters, device);
        for (int i = page.HeaderLength; i < page.Length; i++)
        {
            if (((view.Bytes[i] ^ current[i]) & ~mask[i]) != 0)
            {
                fault = i;
                return false;
            }
        }

        if (page.Code == ModePage.Control && ControlFault(view.Bytes) is { } invalid)
        {
            fault = invalid;
            return false;
        }

        parameters = page.Read(view.Bytes, parameters, device);
        return true;
    }

    static Predicate<Page> IsCode(byte code) => page => page.Code == code;

    /// <summary>Thresholds are there where there is room to tell of.</summary>
    static bool IsThere(Page page, ModeDevice device) => page.Subpage == ModePage.NoSubpage || device.HasResources;

    static Page? Find(in ModePageView view, ModeDevice device)
    {
        foreach (Page page in Pages)
        {
            if (page.Code == view.Code && page.Subpage == view.Subpage && page.IsSubpage == view.IsSubpage && IsThere(page, device))
            {
                return page;
            }
        }

        return null;
    }

    // ---- MODE SENSE ----

    static void WriteOne(Span<byte> bytes, Page page, ModePageControl control, ModeParameters parameters, ModeDevice device)
    {
        Span<byte> mask = stackalloc byte[MaxPageLength];
        mask.Clear();
        page.Changeable(mask, parameters, device);
        if (control == ModePageControl.Changeable)
        {
            mask[..page.Length].CopyTo(bytes);
        }
        else
        {
            page.Values(bytes, parameters, device);
        }

        // A page of which nothing changes has nothing to be saved.
        bool isSavable = device.CanSave && mask.ContainsAnyExcept((byte)0);
        bytes[0] = (byte)(page.Code | (isSavable ? ModePageView.CanBeSaved : 0) | (page.IsSubpage ? ModePageView.SubpageFormat : 0));
        if (page.IsSubpage)
        {
            bytes[1] = page.Subpage;
            BinaryPrimitives.WriteUInt16BigEndian(bytes[2..], (ushort)(page.Length - page.HeaderLength));
        }
        else
        {
            bytes[1] = (byte)(page.Length - page.HeaderLength);
        }
    }

    // ---- Read-Write Error Recovery mode page. SBC-5 clause 6.5.10 ----

    const int LbpereOffset = 7;
    const byte Lbpere = 0x80;

    static void WriteRecovery(Span<byte> page, ModeParameters parameters, ModeDevice device) =>
        page[LbpereOffset] = device.HasResources && parameters.ReportsThresholds ? Lbpere : (byte)0;

    static void WriteChangeableRecovery(Span<byte> page, ModeParameters parameters, ModeDevice device) => page[LbpereOffset] = device.HasResources ? Lbpere : (byte)0;

    static ModeParameters ReadRecovery(ReadOnlySpan<byte> page, ModeParameters before, ModeDevice device) =>
        device.HasResources ? before with { ReportsThresholds = (page[LbpereOffset] & Lbpere) != 0 } : before;

    // ---- Caching mode page. SBC-3 clause 6.5.5 ----

    const byte Wce = 0x04;

    static void WriteCaching(Span<byte> page, ModeParameters parameters, ModeDevice device) =>
        page[2] = device.Info.Has(BlockDeviceFeatures.Flush) && parameters.WriteCache ? Wce : (byte)0;

    // Without a cache there is nothing to switch.
    static void WriteChangeableCaching(Span<byte> page, ModeParameters parameters, ModeDevice device) =>
        page[2] = device.Info.Has(BlockDeviceFeatures.Flush) ? Wce : (byte)0;

    static ModeParameters ReadCaching(ReadOnlySpan<byte> page, ModeParameters before, ModeDevice device) =>
        device.Info.Has(BlockDeviceFeatures.Flush) ? before with { WriteCache = (page[2] & Wce) != 0 } : before;

    // ---- Control mode page. SPC-4 clause 7.5.8 ----

    const int TstShift = 5, QueueErrorShift = 1;
    const byte TstMask = 0xE0, TstPerNexus = 1 << TstShift, DSense = 0x04, QueueErrorMask = 0x06, Swp = 0x08, Tas = 0x40;

    static void WriteControl(Span<byte> page, ModeParameters parameters, ModeDevice device)
    {
        const byte unrestrictedReordering = 0x10;
        ControlSettings control = parameters.Control;
        page[2] = (byte)((control.TaskSetPerNexus ? TstPerNexus : 0) | (control.DescriptorSense ? DSense : 0));
        page[3] = (byte)(unrestrictedReordering | ((int)control.QueueError << QueueErrorShift)); // QUEUE ALGORITHM MODIFIER 1h
        page[4] = control.SoftwareWriteProtect ? Swp : (byte)0;
        page[5] = control.ReportsTaskAborted ? Tas : (byte)0;
        page[8] = 0xFF; // BUSY TIMEOUT PERIOD: unlimited
        page[9] = 0xFF;
    }

    static void WriteChangeableControl(Span<byte> page, ModeParameters parameters, ModeDevice device)
    {
        page[2] = TstMask | DSense;
        page[3] = QueueErrorMask;
        page[4] = Swp;
        page[5] = Tas;
    }

    /// <summary>Values that are reserved: TST from 010b on, QERR 10b.</summary>
    static int? ControlFault(ReadOnlySpan<byte> page) =>
        (page[2] & TstMask) >> TstShift > 1 ? 2
        : (page[3] & QueueErrorMask) >> QueueErrorShift == 2 ? 3
        : null;

    static ModeParameters ReadControl(ReadOnlySpan<byte> page, ModeParameters before, ModeDevice device)
    {
        int queueError = (page[3] & QueueErrorMask) >> QueueErrorShift;
        return before with
        {
            Control = new ControlSettings
            {
                TaskSetPerNexus = (page[2] & TstMask) == TstPerNexus,
                DescriptorSense = (page[2] & DSense) != 0,
                QueueError = Enum.IsDefined((QueueErrorManagement)queueError) ? (QueueErrorManagement)queueError : QueueErrorManagement.GoOn,
                SoftwareWriteProtect = (page[4] & Swp) != 0,
                ReportsTaskAborted = (page[5] & Tas) != 0,
            },
        };
    }

    // ---- Informational Exceptions Control mode page. SPC-4 clause 7.5.12 ----

    static void WriteExceptions(Span<byte> page, ModeParameters parameters, ModeDevice device)
    {
        const byte dExcpt = 0x08;
        page[2] = dExcpt; // none are reported
    }

    // ---- Logical Block Provisioning mode page. SBC-5 clause 6.5.9. SITUA is 0: every nexus is told ----

    const byte ThresholdEnabled = 0x80, ArmedIncreasing = 0x01;
    const int ThresholdCountOffset = 4;

    static void WriteProvisioning(Span<byte> page, ModeParameters parameters, ModeDevice device)
    {
        WriteThreshold(page[AvailableThresholdOffset..], parameters.AvailableThreshold, ThresholdSets.Available, arming: 0);
        WriteThreshold(page[UsedThresholdOffset..], parameters.UsedThreshold, ThresholdSets.Used, ArmedIncreasing);
    }

    static void WriteThreshold(Span<byte> descriptor, ResourceThreshold threshold, byte resource, byte arming)
    {
        descriptor[0] = (byte)((threshold.IsEnabled ? ThresholdEnabled : 0) | arming); // THRESHOLD TYPE 000b: in sets
        descriptor[1] = resource;
        BinaryPrimitives.WriteUInt32BigEndian(descriptor[ThresholdCountOffset..], threshold.Count);
    }

    static void WriteChangeableProvisioning(Span<byte> page, ModeParameters parameters, ModeDevice device)
    {
        foreach (int at in (ReadOnlySpan<int>)[AvailableThresholdOffset, UsedThresholdOffset])
        {
            page[at] = ThresholdEnabled;
            BinaryPrimitives.WriteUInt32BigEndian(page[(at + ThresholdCountOffset)..], uint.MaxValue);
        }
    }

    static ModeParameters ReadProvisioning(ReadOnlySpan<byte> page, ModeParameters before, ModeDevice device) => before with
    {
        AvailableThreshold = ReadThreshold(page[AvailableThresholdOffset..]),
        UsedThreshold = ReadThreshold(page[UsedThresholdOffset..]),
    };

    static ResourceThreshold ReadThreshold(ReadOnlySpan<byte> descriptor) =>
        new((descriptor[0] & ThresholdEnabled) != 0, BinaryPrimitives.ReadUInt32BigEndian(descriptor[ThresholdCountOffset..]));

    /// <summary>A page: its values after the header, the mask of those that can be changed, and how it is read; all zero and fixed unless said otherwise.</summary>
    sealed record Page(byte Code, int Length, byte Subpage = ModePage.NoSubpage)
    {
        public bool IsSubpage => Subpage != ModePage.NoSubpage;

        public int HeaderLength => IsSubpage ? ModePageView.SubpageHeaderLength : ModePageView.HeaderLength;

        public Writer Values { get; init; } = static (_, _, _) => { };

        public Writer Changeable { get; init; } = static (_, _, _) => { };

        public Reader Read { get; init; } = static (_, before, _) => before;
    }
}
