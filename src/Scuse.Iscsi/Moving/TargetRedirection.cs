using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;

namespace Scuse.Iscsi.Moving;

/// <summary>Where initiators are to log in to a target instead of here. RFC 7143 sections 11.13.5 (status class 1) and 13.8.</summary>
/// <remarks>
/// <para>
/// It is the answer to the login of a new session. Sessions that are there stay, and so do their connections: one more connection for such a session, or one in the
/// place of a lost one, goes on as usual, since a session cannot be in two places. Discovery sessions log in as ever.
/// </para>
/// <para>
/// It is told as soon as the target is known, before any security stage, to initiators that could ask for the target's addresses without a proof of who they are, for then these
/// are no secret; otherwise once they have given it, in the first response after the security stage. RFC 7143 allows both. The first is what all initiators can follow: libiscsi 1.19, and so
/// QEMU with it, goes on at the new address with the stage that it was in. What an initiator has to prove, and what it has the target prove, it does at the new address; nothing is gained
/// by who sends it there. Who may not know of the target at all is told that there is none, as ever.
/// </para>
/// <para>
/// SendTargets tells of our own portals while the move is temporary, and of the new address alone, with its group's tag, once it is permanent.
/// </para>
/// </remarks>
public sealed record TargetRedirection
{
    /// <summary>The port that stands for none. RFC 7143 section 13.8.</summary>
    const int DefaultPort = 3260;

    const int MaxHostLength = 253;

    TargetRedirection(string address, ushort portalGroupTag)
    {
        Address = address;
        PortalGroupTag = portalGroupTag;
    }

    /// <summary>The new portal as <c>host:port</c>: a name, an IPv4 address, or an IPv6 address in brackets.</summary>
    public string Address { get; }

    /// <summary>The tag of the new portal's group. Discovery tells it; in a redirection RFC 7143 section 13.8 forbids it.</summary>
    public ushort PortalGroupTag { get; }

    /// <summary>Whether initiators may forget this address (0102h) or are to ask here again the next time (0101h).</summary>
    public bool IsPermanent { get; init; }

    /// <summary>Reads <c>HOST[:PORT][,TAG]</c>; port 3260 and tag 1 where they are not there. An IPv6 address stands in brackets.</summary>
    /// <returns>Null when it is none.</returns>
    public static TargetRedirection? Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        int comma = text.LastIndexOf(',');
        ushort tag = 1;
        if (comma >= 0 && (!ushort.TryParse(text.AsSpan(comma + 1), NumberStyles.None, CultureInfo.InvariantCulture, out tag) || tag == 0))
        {
            return null;
        }

        string place = comma < 0 ? text : text[..comma];
        int colon = place.LastIndexOf(':');
        bool hasPort = colon > place.LastIndexOf(']');
        ushort port = DefaultPort;
        if (hasPort && (!ushort.TryParse(place.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out port) || port == 0))
        {
            return null;
        }

        return TryReadHost(hasPort ? place[..colon] : place, out string? host)
            ? new TargetRedirection(string.Create(CultureInfo.InvariantCulture, $"{host}:{port}"), tag)
            : null;
    }

    static bool TryReadHost(string text, [NotNullWhen(true)] out string? host)
    {
        host = null;
        if (text is ['[', .. var inside, ']'])
        {
            // A scope means something on one side of the wire only; the wildcard is nowhere.
            bool isIPv6 = inside.Contains(':', StringComparison.Ordinal) && !inside.Contains('%', StringComparison.Ordinal);
            host = isIPv6 && IPAddress.TryParse(inside, out IPAddress? address) && !address.Equals(IPAddress.IPv6Any) ? $"[{address}]" : null;
        }
        else if (text.Length is > 0 and <= MaxHostLength && text.All(static character => char.IsAsciiLetterOrDigit(character) || character is '-' or '.' or '_') && text != IPAddress.Any.ToString())
        {
            host = text;
        }

        return host is not null;
    }

    /// <summary>The address.</summary>
    public override string ToString() => Address;
}
