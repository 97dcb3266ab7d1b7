using System.Net;
using Scuse.Iscsi;

namespace Scuse.Engine.Tests.Configuration;

public sealed class DescriptorBudgetTests
{
    static EngineOptions Options(int luns, bool tls = false) => new()
    {
        SocketPath = "/nowhere",
        Targets = [new TargetOptions { Luns = [.. Enumerable.Range(0, luns).Select(static number => new LunOptions { Number = number, Spec = "memory:1M", DeviceName = $"d{number}" })] }],
        Portals = [new PortalOptions(new IPEndPoint(IPAddress.Loopback, 0)) { Tls = tls ? new TlsOptions("/nowhere.pem") : null }],
        Iscsi = new IscsiOptions { MaxConnections = 2048 },
    };

    [Fact]
    public void Where_there_are_descriptors_enough_the_limit_is_the_configured_one() =>
        Assert.Equal(2048, DescriptorBudget.ConnectionsOf(Options(luns: 10), 20_000));

    [Theory]
    [InlineData(1, false, 1024 - 192 - 12)]
    [InlineData(50, false, 1024 - 192 - 600)]
    [InlineData(1, true, (1024 - 192 - 12) / 3)]
    public void Where_there_are_few_the_handlers_keep_theirs_and_connections_get_the_rest(int luns, bool tls, int connections) =>
        Assert.Equal(connections, DescriptorBudget.ConnectionsOf(Options(luns, tls), 1024));

    [Fact]
    public void Rings_of_other_reactors_take_descriptors_from_connections()
    {
        EngineOptions one = Options(luns: 20) with { Reactors = 4 };

        Assert.Equal(20 * 3 * 6, DescriptorBudget.ConnectionsOf(one, 1024) - DescriptorBudget.ConnectionsOf(one with { SpreadTargets = true }, 1024));
    }

    [Fact]
    public void Some_connections_there_are_always() => Assert.Equal(16, DescriptorBudget.ConnectionsOf(Options(luns: 1000), 1024));
}
