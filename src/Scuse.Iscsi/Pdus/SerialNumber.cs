namespace Scuse.Iscsi.Pdus;

/// <summary>Order among 32-bit serial numbers, which wrap around. RFC 1982; RFC 7143 section 4.2.2.1.</summary>
internal static class SerialNumber
{
    public static bool IsBefore(uint a, uint b) => unchecked((int)(a - b)) < 0;

    /// <summary>Whether first &lt;= number &lt;= last; nothing lies inside when last is first - 1.</summary>
    public static bool IsWithin(uint number, uint first, uint last) => !IsBefore(number, first) && !IsBefore(last, number);
}
