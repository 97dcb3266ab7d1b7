using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;

namespace Scuse.Iscsi.Access;

/// <summary>
/// Which initiators are meant: by their iSCSI name, in which <c>*</c> stands for any characters and <c>?</c> for one; or by their address, IPv4 or IPv6, with the
/// length of the prefix that counts after a slash.
/// </summary>
public sealed class InitiatorPattern
{
    readonly string _text;
    readonly IPNetwork? _network;

    InitiatorPattern(string text, IPNetwork? network)
    {
        _text = text;
        _network = network;
    }

    /// <summary>Every initiator.</summary>
    public static InitiatorPattern Any { get; } = new("*", null);

    /// <summary>
    /// Reads a pattern: <c>iqn.2026-11.example:*</c>, <c>192.0.2.7</c>, <c>192.0.2.0/24</c>, <c>2001:db8::/32</c>. False for what is neither the
    /// beginning of an iSCSI name nor an address, or has bits set behind its prefix.
    /// </summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out InitiatorPattern? pattern)
    {
        ArgumentNullException.ThrowIfNull(text);
        pattern = null;
        if (text is "*")
        {
            pattern = Any;
        }
        else if (HasNameForm(text))
        {
            pattern = new InitiatorPattern(text, null);
        }
        else if (TryParseNetwork(text, out IPNetwork network))
        {
            pattern = new InitiatorPattern(text, network);
        }

        return pattern is not null;
    }

    /// <summary>Whether an initiator is meant. Names are compared without regard to case (RFC 7143 section 4.2.7.2); IPv4 in IPv6 is taken as IPv4.</summary>
    public bool Matches(string initiatorName, IPAddress? address)
    {
        ArgumentNullException.ThrowIfNull(initiatorName);
        if (_network is not { } network)
        {
            return MatchesName(_text, initiatorName);
        }

        return address is not null && network.Contains(Plain(address));
    }

    /// <summary>As it was written.</summary>
    public override string ToString() => _text;

    static IPAddress Plain(IPAddress address) => address.IsIPv4MappedToIPv6 ? address.MapToIPv4()
        : IsIPv6(address) && address.ScopeId != 0 ? new IPAddress(address.GetAddressBytes()) // the interface says nothing about who it is
        : address;

    static bool IsIPv6(IPAddress address) => address.GetAddressBytes().Length == 16;

    /// <summary>The three kinds of iSCSI names. RFC 7143 section 4.2.7.3.</summary>
    static bool HasNameForm(string text) =>
        (text.StartsWith("iqn.", StringComparison.OrdinalIgnoreCase) || text.StartsWith("eui.", StringComparison.OrdinalIgnoreCase)
            || text.StartsWith("naa.", StringComparison.OrdinalIgnoreCase))
        && !text.Any(static character => char.IsWhiteSpace(character) || char.IsControl(character));

    static bool TryParseNetwork(string text, out IPNetwork network)
    {
        network = default;
        int slash = text.IndexOf('/', StringComparison.Ordinal);
        ReadOnlySpan<char> prefix = slash < 0 ? text : text.AsSpan(0, slash);
        if (!IPAddress.TryParse(prefix, out IPAddress? address) || !IsWritten(address, prefix))
        {
            return false;
        }

        int bits = address.GetAddressBytes().Length * 8;
        int length = bits;
        if (slash >= 0 && (!int.TryParse(text.AsSpan(slash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out length) || length > bits))
        {
            return false;
        }

        return IPNetwork.TryParse($"{address}/{length}", out network) && network.BaseAddress.Equals(address);
    }

    /// <summary>Whether it is a whole address: "10.1" is one to the parser, and means 10.0.0.1, which nobody means.</summary>
    static bool IsWritten(IPAddress address, ReadOnlySpan<char> text) =>
        IsIPv6(address) ? address.ScopeId == 0 : text.SequenceEqual(address.ToString());

    /// <summary>In time at most the product of the lengths: a star that fails takes one character more, and only the last one is tried again.</summary>
    static bool MatchesName(ReadOnlySpan<char> pattern, ReadOnlySpan<char> name)
    {
        int p = 0, n = 0, star = -1, starAt = 0;
        while (n < name.Length)
        {
            if (p < pattern.Length && pattern[p] == '*')
            {
                star = p++;
                starAt = n;
            }
            else if (p < pattern.Length && (pattern[p] == '?' || char.ToLowerInvariant(pattern[p]) == char.ToLowerInvariant(name[n])))
            {
                p++;
                n++;
            }
            else if (star >= 0)
            {
                p = star + 1;
                n = ++starAt;
            }
            else
            {
                return false;
            }
        }

        return pattern[p..].TrimStart('*').IsEmpty;
    }
}
