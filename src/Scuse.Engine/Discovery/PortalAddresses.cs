using System.Globalization;
using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using Scuse.Iscsi;

namespace Scuse.Engine.Discovery;

/// <summary>The addresses under which others find portals, for a name server: it takes nothing but addresses.</summary>
/// <remarks>
/// What is advertised comes first, a name as all the addresses that it has. A portal that listens on every address of a family is found at those of this machine's interfaces that are up:
/// not at loopback, nor at link-local ones, which mean nothing elsewhere. A portal on loopback is for this machine, and told to a server on this machine only.
/// </remarks>
static class PortalAddresses
{
    /// <summary>The addresses, in the portals' order, each once; and which portals have none.</summary>
    /// <param name="portals">The portals.</param>
    /// <param name="isServerHere">Whether they are told on this machine alone.</param>
    /// <param name="cancellation">Ends the asking for names.</param>
    public static async Task<(IReadOnlyList<IPEndPoint> Found, string? Problem)> FindAsync(IEnumerable<IscsiPortal> portals, bool isServerHere, CancellationToken cancellation)
    {
        List<IPEndPoint> found = [];
        List<string> problems = [];
        foreach (IscsiPortal portal in portals)
        {
            (IReadOnlyList<IPAddress> addresses, int port, string? problem) = await FindAsync(portal, cancellation);
            IPEndPoint[] useful = [.. addresses.Where(address => isServerHere || !IPAddress.IsLoopback(address)).Select(address => new IPEndPoint(address, port))];
            found.AddRange(useful.Where(place => !found.Contains(place)));
            if (useful.Length == 0)
            {
                problems.Add($"portal {portal.Advertised ?? portal.Address.ToString()}: {problem ?? "it is on loopback, and the server is on another machine"}");
            }
        }

        return (found, problems.Count == 0 ? null : string.Join("; ", problems));
    }

    static async Task<(IReadOnlyList<IPAddress> Addresses, int Port, string? Problem)> FindAsync(IscsiPortal portal, CancellationToken cancellation)
    {
        if (portal.Advertised is not { } advertised)
        {
            return Expand(portal.Address.Address, portal.Address.Port);
        }

        int colon = advertised.LastIndexOf(':');
        bool hasPort = colon > advertised.LastIndexOf(']');
        string host = (hasPort ? advertised[..colon] : advertised).Trim('[', ']');
        if (!hasPort || !ushort.TryParse(advertised.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out ushort port))
        {
            port = PortalOptions.DefaultPort;
        }

        if (host is "" or "*")
        {
            return Expand(portal.Address.AddressFamily == AddressFamily.InterNetworkV6 ? IPAddress.IPv6Any : IPAddress.Any, port);
        }

        if (IPAddress.TryParse(host, out IPAddress? address))
        {
            return Expand(address, port);
        }

        try
        {
            return (await Dns.GetHostAddressesAsync(host, cancellation), port, null);
        }
        catch (SocketException exception)
        {
            return ([], port, $"{host}: {exception.Message}");
        }
    }

    static (IReadOnlyList<IPAddress> Addresses, int Port, string? Problem) Expand(IPAddress address, int port)
    {
        if (!address.Equals(IPAddress.Any) && !address.Equals(IPAddress.IPv6Any))
        {
            return ([address], port, null);
        }

        IPAddress[] own =
        [
            .. NetworkInterface.GetAllNetworkInterfaces()
                .Where(static each => each.OperationalStatus == OperationalStatus.Up && each.NetworkInterfaceType != NetworkInterfaceType.Loopback)
                .SelectMany(static each => each.GetIPProperties().UnicastAddresses)
                .Select(static each => each.Address)
                .Where(each => each.AddressFamily == address.AddressFamily && !each.IsIPv6LinkLocal && !IPAddress.IsLoopback(each) && !IsLinkLocal(each)),
        ];
        return (own, port, "this machine has no address but loopback and link-local ones; say what to tell with ?advertise=HOST:PORT");
    }

    /// <summary>169.254.0.0/16. RFC 3927.</summary>
    static bool IsLinkLocal(IPAddress address) => address.AddressFamily == AddressFamily.InterNetwork && address.GetAddressBytes() is [169, 254, ..];
}
