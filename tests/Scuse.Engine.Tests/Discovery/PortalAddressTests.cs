using System.Net;
using Scuse.Engine.Discovery;
using Scuse.Iscsi;

namespace Scuse.Engine.Tests.Discovery;

public class PortalAddressTests
{
    static async Task<(string[] Found, string? Problem)> FindAsync(bool isServerHere, params IscsiPortal[] portals)
    {
        (IReadOnlyList<IPEndPoint> found, string? problem) = await PortalAddresses.FindAsync(portals, isServerHere, TestContext.Current.CancellationToken);
        return ([.. found.Select(static place => place.ToString())], problem);
    }

    static IscsiPortal Portal(string address, string? advertised = null) => new(IPEndPoint.Parse(address), advertised);

    [Fact]
    public async Task A_portal_is_found_where_it_listens_or_where_it_says_and_each_place_once()
    {
        (string[] found, string? problem) = await FindAsync(
            isServerHere: false, Portal("192.0.2.7:3260"), Portal("[2001:db8::1]:3261"), Portal("10.0.0.1:3260", "192.0.2.9:4000"), Portal("10.0.0.2:3260", "192.0.2.7"));
        Assert.Equal(["192.0.2.7:3260", "[2001:db8::1]:3261", "192.0.2.9:4000"], found);
        Assert.Null(problem);
    }

    [Fact]
    public async Task A_name_is_its_addresses_and_one_that_has_none_is_told()
    {
        (string[] found, string? problem) = await FindAsync(isServerHere: true, Portal("127.0.0.1:3260", "localhost:4000"), Portal("127.0.0.1:3260", "no-such-host.invalid:4000"));
        Assert.Contains("127.0.0.1:4000", found);
        Assert.StartsWith("portal no-such-host.invalid:4000: ", problem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Loopback_is_told_on_this_machine_only()
    {
        Assert.Equal(["127.0.0.1:3260"], (await FindAsync(isServerHere: true, Portal("127.0.0.1:3260"))).Found);
        (string[] found, string? problem) = await FindAsync(isServerHere: false, Portal("127.0.0.1:3260"), Portal("192.0.2.7:3260"));
        Assert.Equal(["192.0.2.7:3260"], found);
        Assert.Contains("127.0.0.1:3260: it is on loopback", problem, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("0.0.0.0:3260", null, 3260)]
    [InlineData("0.0.0.0:3260", "0.0.0.0:4000", 4000)]
    [InlineData("0.0.0.0:3260", "*:4000", 4000)]
    [InlineData("[::]:3260", null, 3260)]
    [InlineData("[::]:3260", "[::]:4000", 4000)]
    public async Task A_wildcard_is_the_addresses_of_this_machine_and_never_itself(string address, string? advertised, int port)
    {
        (string[] found, string? problem) = await FindAsync(isServerHere: true, Portal(address, advertised));
        IPEndPoint[] places = [.. found.Select(IPEndPoint.Parse)];
        Assert.All(places, place => Assert.Equal((port, IPEndPoint.Parse(address).AddressFamily), (place.Port, place.AddressFamily)));
        Assert.All(places, static place => Assert.False(IPAddress.IsLoopback(place.Address) || place.Address.Equals(IPAddress.Any) || place.Address.Equals(IPAddress.IPv6Any)));
        Assert.Equal(places.Length == 0, problem is not null); // a machine without a network has none
    }
}
