using System.Text;

namespace Scuse.Device;

/// <summary>The logical unit's name in VPD page 83h: an NAA Locally Assigned identifier. SPC-4 clause 7.8.6.6.4.</summary>
static class LogicalUnitIdentifier
{
    /// <summary>Length in bytes.</summary>
    public const int Length = 8;

    /// <summary>Type 3h: four bits, then sixty that we assign.</summary>
    const ulong NaaLocallyAssigned = 3UL << 60;

    const ulong LocalMask = (1UL << 60) - 1;

    // FNV-1a, 64 bits.
    const ulong FnvOffset = 14695981039346656037;
    const ulong FnvPrime = 1099511628211;

    /// <summary>
    /// The identifier that belongs to a serial number. Initiators recognise disks by it, across restarts, hosts and versions: this function never changes.
    /// </summary>
    public static ulong FromSerial(string serial)
    {
        ulong hash = FnvOffset;
        foreach (byte b in Encoding.UTF8.GetBytes(serial))
        {
            hash = (hash ^ b) * FnvPrime;
        }

        // FNV leaves its upper bits poor for short texts; this mixes all 64 bits before four are dropped.
        hash = (hash ^ (hash >> 33)) * 0xFF51AFD7ED558CCD;
        hash = (hash ^ (hash >> 33)) * 0xC4CEB9FE1A85EC53;
        hash ^= hash >> 33;
        return NaaLocallyAssigned | (hash & LocalMask);
    }
}
