using System.Buffers.Binary;
using System.Net;

namespace Scuse.Iscsi.Login;

/// <summary>What is one initiator by its address: an IPv4 address, or the first 64 bits of an IPv6 address, since an IPv6 host has all the rest for itself.</summary>
internal static class InitiatorAddress
{
    /// <summary>The same for all that is one; a number that no address has for what is not known.</summary>
    public static UInt128 KeyOf(IPAddress? address)
    {
        if (address is null)
        {
            return UInt128.MaxValue;
        }

        Span<byte> bytes = stackalloc byte[16];
        IPAddress wide = address.MapToIPv6();
        wide.TryWriteBytes(bytes, out _);
        UInt128 whole = BinaryPrimitives.ReadUInt128BigEndian(bytes);
        return wide.IsIPv4MappedToIPv6 ? whole : whole >> 64 << 64;
    }
}
