using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.Extensions.Logging.Abstractions;
using Scuse.Engine.Portals;
using Scuse.Engine.Reactors;

namespace Scuse.Engine.Tests;

public sealed class TlsGateTests : IDisposable
{
    readonly string _folder = Directory.CreateTempSubdirectory("scuse-tls-").FullName;
    readonly Reactor _reactor = new("test", 0, NullLogger.Instance);

    public void Dispose()
    {
        _reactor.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task Who_says_nothing_is_sent_away_when_the_handshake_should_be_over()
    {
        using var gate = new TlsGate(new TlsOptions(Certificate()), _reactor, (_, _, _) => Assert.Fail("it was let in"), NullLogger.Instance, new ConnectionLog(NullLogger.Instance)) { HandshakeDeadline = TimeSpan.FromMilliseconds(200) };
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var silent = new TcpClient();
        await silent.ConnectAsync((IPEndPoint)listener.LocalEndpoint, TestContext.Current.CancellationToken);
        Stopwatch clock = Stopwatch.StartNew();

        gate.Take(await listener.AcceptSocketAsync(TestContext.Current.CancellationToken));

        Assert.Equal(0, await silent.GetStream().ReadAsync(new byte[1], TestContext.Current.CancellationToken));
        Assert.InRange(clock.ElapsedMilliseconds, 150, 10_000);
        _reactor.RunPosted();
    }

    [Fact]
    public void A_file_without_a_certificate_is_named()
    {
        string empty = Path.Combine(_folder, "empty.pem");
        File.WriteAllText(empty, "nothing");

        EngineException exception = Assert.Throws<EngineException>(() => new TlsGate(new TlsOptions(empty), _reactor, (_, _, _) => { }, NullLogger.Instance, new ConnectionLog(NullLogger.Instance)));
        Assert.Contains(empty, exception.Message);
        exception = Assert.Throws<EngineException>(() => new TlsGate(new TlsOptions(Certificate(), null, empty), _reactor, (_, _, _) => { }, NullLogger.Instance, new ConnectionLog(NullLogger.Instance)));
        Assert.Contains(empty, exception.Message);
    }

    string Certificate()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using X509Certificate2 certificate = new CertificateRequest("CN=engine", key, HashAlgorithmName.SHA256).CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        string path = Path.Combine(_folder, "engine.pem");
        File.WriteAllText(path, $"{certificate.ExportCertificatePem()}\n{key.ExportPkcs8PrivateKeyPem()}\n");
        return path;
    }
}
