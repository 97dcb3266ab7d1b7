using System.Globalization;
using Scuse.Engine;

namespace Scuse.Cli.Serving;

/// <summary>An iSNS server as the command line writes it: <c>HOST[:PORT]</c>, an IPv6 address in brackets.</summary>
static class IsnsSpec
{
    public const string Usage = "HOST[:PORT]";

    /// <exception cref="FormatException">It is wrong; the message is one line for a person.</exception>
    public static IsnsOptions Parse(string text)
    {
        int colon = text.LastIndexOf(':');
        bool hasPort = colon > text.LastIndexOf(']');
        string host = hasPort ? text[..colon] : text;
        bool isAddress = host is ['[', .., ']'];
        string name = isAddress ? host[1..^1] : host;
        ushort port = IsnsOptions.DefaultPort;
        bool isPort = !hasPort || (ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out port) && port != 0);
        return isPort && Uri.CheckHostName(name) switch
        {
            UriHostNameType.IPv6 => isAddress,
            UriHostNameType.IPv4 or UriHostNameType.Dns => !isAddress,
            _ => false,
        }
            ? new IsnsOptions(name, port)
            : throw new FormatException($"iSNS server '{text}' is not {Usage}, such as 192.0.2.5, isns.example:3205 or [2001:db8::5]");
    }
}
