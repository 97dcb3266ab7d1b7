using System.Net;

namespace Scuse.Iscsi;

/// <summary>A network portal of the node: where initiators connect, and what discovery says of it. RFC 7143 sections 4.1 and 13.8.</summary>
/// <param name="Address">What is listened on; the wildcard address stands for all of the machine's.</param>
/// <param name="Advertised">The <c>host:port</c> that discovery tells instead; a wildcard host stands for the address that the initiator reached us at. Null: the address.</param>
public sealed record IscsiPortal(IPEndPoint Address, string? Advertised = null)
{
    const string AnyIPv4 = "0.0.0.0";
    const string AnyIPv6 = "[::]";
    const int IPv6Bytes = 16;

    /// <summary>
    /// What discovery tells of the portal to an initiator that reached us at <paramref name="local"/>; null for nothing: it listens on every address of a family that the
    /// initiator has not shown to speak.
    /// </summary>
    internal string? AddressFor(string local)
    {
        if (Advertised is { } advertised)
        {
            return Resolve(advertised, local);
        }

        if (!Address.Address.Equals(IPAddress.Any) && !Address.Address.Equals(IPAddress.IPv6Any))
        {
            return Address.ToString();
        }

        return IPEndPoint.TryParse(local, out IPEndPoint? reached) && reached.AddressFamily == Address.AddressFamily
            ? new IPEndPoint(WithoutScope(reached.Address), Address.Port).ToString()
            : null;
    }

    /// <summary>An advertised portal, or the address that the initiator reached us at: where there is none, and for a wildcard host.</summary>
    internal static string Resolve(string? advertised, string local)
    {
        if (advertised is null)
        {
            return Bracketed(local);
        }

        int colon = advertised.LastIndexOf(':');
        string host = colon < 0 ? advertised : advertised[..colon];
        if (host is AnyIPv4 or AnyIPv6 or "*" or "")
        {
            string bracketed = Bracketed(local);
            return colon < 0 ? bracketed : string.Concat(bracketed.AsSpan(0, bracketed.LastIndexOf(':')), advertised.AsSpan(colon));
        }

        return advertised;
    }

    /// <summary>Puts the address of an <c>address:port</c> in brackets when it has colons of its own.</summary>
    static string Bracketed(string portal)
    {
        int colon = portal.LastIndexOf(':');
        bool isBareIPv6 = colon > 0 && portal[0] != '[' && portal.AsSpan(0, colon).Contains(':');
        return isBareIPv6 ? $"[{portal[..colon]}]{portal[colon..]}" : portal;
    }

    /// <summary>A scope means something on our side of the wire only.</summary>
    static IPAddress WithoutScope(IPAddress address) =>
        address.GetAddressBytes() is { Length: IPv6Bytes } bytes ? new IPAddress(bytes) : address;
}
