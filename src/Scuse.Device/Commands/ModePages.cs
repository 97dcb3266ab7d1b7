using Scuse.Scsi;

namespace Scuse.Device.Commands;

/// <summary>PC: which values of a mode page are asked for. SPC-4 clause 6.13.1.</summary>
enum ModePageControl
{
    /// <summary>Those in force.</summary>
    Current = 0,

    /// <summary>A mask of those that MODE SELECT may change.</summary>
    Changeable = 1,

    /// <summary>Those in force after power on.</summary>
    Default = 2,

    /// <summary>Those kept across power cycles.</summary>
    Saved = 3,
}

/// <summary>The mode pages of the device. SPC-4 clause 7.5, SBC-3 clause 6.5.</summary>
static class ModePages
{
    const int HeaderLength = 2;

    /// <summary>In ascending order.</summary>
    static ReadOnlySpan<byte> Supported =>
        [ModePage.ReadWriteErrorRecovery, ModePage.Caching, ModePage.Control, ModePage.InformationalExceptionsControl];

    /// <summary>Writes a page, or all, into cleared memory. Returns the length in bytes, or 0 when there is no such page.</summary>
    public static int Write(Span<byte> pages, byte code, ModePageControl control, BlockDeviceInfo info)
    {
        if (code != ModePage.All)
        {
            return WriteOne(pages, code, control, info);
        }

        int length = 0;
        foreach (byte each in Supported)
        {
            length += WriteOne(pages[length..], each, control, info);
        }

        return length;
    }

    static int WriteOne(Span<byte> page, byte code, ModePageControl control, BlockDeviceInfo info)
    {
        int length = code switch
        {
            ModePage.ReadWriteErrorRecovery => 12,
            ModePage.Caching => 20,
            ModePage.Control => 12,
            ModePage.InformationalExceptionsControl => 12,
            _ => 0,
        };
        if (length == 0)
        {
            return 0;
        }

        page[0] = code;
        page[1] = (byte)(length - HeaderLength);

        // Nothing can be changed, so the mask is all zeros; and so the values in force are the default ones.
        if (control != ModePageControl.Changeable)
        {
            WriteValues(page, code, info);
        }

        return length;
    }

    static void WriteValues(Span<byte> page, byte code, BlockDeviceInfo info)
    {
        switch (code)
        {
            case ModePage.Caching: // SBC-3 clause 6.5.5
                const byte wce = 0x04;
                page[2] = info.Has(BlockDeviceFeatures.Flush) ? wce : (byte)0;
                break;
            case ModePage.Control: // SPC-4 clause 7.5.8
                const byte unrestrictedReordering = 0x10;
                page[3] = unrestrictedReordering; // QUEUE ALGORITHM MODIFIER 1h
                page[8] = 0xFF; // BUSY TIMEOUT PERIOD: unlimited
                page[9] = 0xFF;
                break;
            case ModePage.InformationalExceptionsControl: // SPC-4 clause 7.5.12
                const byte dExcpt = 0x08;
                page[2] = dExcpt; // none are reported
                break;
        }
    }
}
