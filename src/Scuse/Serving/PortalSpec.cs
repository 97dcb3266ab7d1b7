using System.Net;
using Scuse.Engine;

namespace Scuse.Cli.Serving;

/// <summary>A portal as the command line and the control interface write it: <c>ADDRESS:PORT[?advertise=HOST:PORT]</c>.</summary>
static class PortalSpec
{
    public const string Usage = "ADDRESS:PORT[?advertise=HOST:PORT]";

    const string Advertise = "advertise";

    /// <exception cref="FormatException">It is wrong; the message is one line for a person.</exception>
    public static PortalOptions Parse(string text)
    {
        HandlerSpec spec = HandlerSpec.Parse(text, Advertise);
        return new PortalOptions(ParseAddress(spec.Main)) { Advertised = spec.Get(Advertise) };
    }

    /// <exception cref="FormatException">It is wrong; the message is one line for a person.</exception>
    public static IPEndPoint ParseAddress(string text) =>
        IPEndPoint.TryParse(text, out IPEndPoint? address) && text.Contains(':', StringComparison.Ordinal) && !IsBareIPv6(text)
            ? address
            : throw new FormatException($"portal '{text}' is not ADDRESS:PORT, such as 127.0.0.1:3260 or [::1]:3260");

    /// <summary>Without brackets nobody can tell where the address ends and the port begins.</summary>
    static bool IsBareIPv6(string text) => text[0] != '[' && IPAddress.TryParse(text, out IPAddress? address) && address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6;
}
