using System.Net;

namespace Scuse.Engine.Tests.Configuration;

/// <summary>Portals that other machines reach are not opened to everybody by mistake.</summary>
public sealed class ExposureTests
{
    static readonly EngineOptions s_open = new() { SocketPath = "/nowhere", Targets = [new TargetOptions { Luns = [] }] };

    static EngineOptions With(AccessOptions access) => s_open with { Targets = [s_open.Targets[0] with { Access = access }] };

    static string? ProblemOf(EngineOptions options, string portal) => Exposure.ProblemOf(options, new PortalOptions(IPEndPoint.Parse(portal)));

    [Theory]
    [InlineData("0.0.0.0:3260")]
    [InlineData("192.0.2.1:3260")]
    [InlineData("[::]:3260")]
    [InlineData("[2001:db8::1]:3260")]
    public void A_portal_for_other_machines_needs_to_be_told_who_may_come(string portal)
    {
        string problem = ProblemOf(s_open, portal)!;
        Assert.StartsWith($"portal {portal} ", problem, StringComparison.Ordinal);
        Assert.Contains("--chap-file", problem, StringComparison.Ordinal);
        Assert.Contains("--initiator", problem, StringComparison.Ordinal);
        Assert.Contains("--allow-anyone", problem, StringComparison.Ordinal);
        Assert.Null(ProblemOf(s_open with { AllowAnyone = true }, portal));
        Assert.Null(ProblemOf(With(new AccessOptions { Initiators = ["10.0.0.0/8"] }), portal));
        Assert.Null(ProblemOf(With(new AccessOptions { Chap = new ChapOptions() }), portal));
    }

    [Theory]
    [InlineData("127.0.0.1:3260")]
    [InlineData("127.0.0.2:0")]
    [InlineData("[::1]:3260")]
    public void Loopback_is_open(string portal) => Assert.Null(ProblemOf(s_open, portal));

    [Fact]
    public void A_portal_that_asks_for_certificates_lets_not_everybody_in()
    {
        PortalOptions portal = new(new IPEndPoint(IPAddress.Any, 3260)) { Tls = new TlsOptions("cert.pem") };
        Assert.NotNull(Exposure.ProblemOf(s_open, portal));
        Assert.Null(Exposure.ProblemOf(s_open, portal with { Tls = new TlsOptions("cert.pem", ClientAuthorityFile: "ca.pem") }));
    }

    [Fact]
    public void Rules_for_discovery_alone_protect_no_disk() =>
        Assert.NotNull(ProblemOf(s_open with { DiscoveryAccess = new AccessOptions { Initiators = ["10.0.0.0/8"] } }, "0.0.0.0:3260"));
}
