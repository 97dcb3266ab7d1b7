namespace Scuse.Target;

/// <summary>Logical unit numbers as eight bytes, single level. SAM-5 clause 4.7.</summary>
public static class LunAddress
{
    /// <summary>The highest logical unit number that flat space addressing can say. SAM-5 clause 4.7.7.4.</summary>
    public const int MaxLun = 0x3FFF;

    const int PeripheralLimit = 256;
    const ulong BelowFirstLevel = 0x0000_FFFF_FFFF_FFFF;

    /// <summary>The logical unit's number, or -1 for an address that no logical unit here can have.</summary>
    public static int Parse(ulong address)
    {
        if ((address & BelowFirstLevel) != 0)
        {
            return -1;
        }

        int first = (int)(address >> 48);
        return (first >> 14) switch
        {
            0b00 => first, // peripheral device addressing; behind another bus than 0 is nothing here, so that initiators that put a plain number there are understood
            0b01 => first & MaxLun, // flat space addressing
            _ => -1,
        };
    }

    /// <summary>The address of a logical unit: peripheral device addressing below 256, flat space above.</summary>
    public static ulong Format(int lun)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)lun, (uint)MaxLun, nameof(lun));
        return (ulong)(lun < PeripheralLimit ? lun : lun | 0x4000) << 48;
    }
}
