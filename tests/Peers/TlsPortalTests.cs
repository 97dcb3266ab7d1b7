using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json.Nodes;

namespace Scuse.Peers;

/// <summary>A portal that speaks TLS, with initiators behind socat as their proxy, since none of them does.</summary>
public sealed class TlsPortalTests : PeerTest
{
    static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task What_one_initiator_writes_through_TLS_another_reads_without()
    {
        Needs.Qemu();
        Needs.Program("socat", "socat");
        Identity engine = Certify("engine");
        ScuseServe serve = await StartAsync("memory:64M", "--portal", "127.0.0.1:0", "--portal", $"127.0.0.1:0?tls={engine.Certificate}&key={engine.Key}");
        using Proxy proxy = await Proxy.StartAsync((await PortalsAsync())[1], $"cafile={engine.Certificate},commonname=engine");

        await Qemu.IoMustSucceedAsync($"iscsi://127.0.0.1:{proxy.Port}/{serve.Target}/0", "write -P 0x5a 0 64M", "read -P 0x5a 0 64M");

        await Qemu.IoMustSucceedAsync(serve.Url, "read -P 0x5a 0 64M");
        await serve.MustLogAsync("Tls1");
    }

    [Fact]
    public async Task Where_initiators_need_a_certificate_only_one_of_the_right_authority_lets_in()
    {
        Needs.Libiscsi("iscsi-inq");
        Needs.Program("socat", "socat");
        Identity engine = Certify("engine"), client = Certify("client"), stranger = Certify("stranger");
        ScuseServe serve = await StartAsync("memory:8M", "--portal", "127.0.0.1:0", "--portal", $"127.0.0.1:0?tls={engine.Certificate}&key={engine.Key}&client-ca={client.Certificate}");
        string portal = (await PortalsAsync())[1];

        Assert.NotEqual(0, await InquireAsync($"cafile={engine.Certificate},commonname=engine"));
        Assert.NotEqual(0, await InquireAsync($"cafile={engine.Certificate},commonname=engine,cert={stranger.Certificate},key={stranger.Key}"));
        Assert.Equal(0, await InquireAsync($"cafile={engine.Certificate},commonname=engine,cert={client.Certificate},key={client.Key}"));

        async Task<int> InquireAsync(string options)
        {
            using Proxy proxy = await Proxy.StartAsync(portal, options);
            return (await Peer.RunAsync(Deadline, "iscsi-inq", $"iscsi://127.0.0.1:{proxy.Port}/{serve.Target}/0")).ExitCode;
        }
    }

    [Fact]
    public async Task Who_does_not_begin_with_TLS_is_sent_away_and_the_portal_serves_on()
    {
        Needs.Libiscsi("iscsi-inq");
        Identity engine = Certify("engine");
        ScuseServe serve = await StartAsync("memory:8M", "--portal", $"127.0.0.1:0?tls={engine.Certificate}&key={engine.Key}");

        Outcome plain = await Peer.RunAsync(Deadline, "iscsi-inq", serve.Url);

        Assert.NotEqual(0, plain.ExitCode);
        using var client = new TcpClient();
        await client.ConnectAsync(IPEndPoint.Parse(serve.Portal));
        await using var encrypted = new SslStream(client.GetStream());
        await encrypted.AuthenticateAsClientAsync(new SslClientAuthenticationOptions { TargetHost = "engine", CertificateChainPolicy = Trusting(engine) });
        Assert.True(encrypted.IsEncrypted);
        await serve.MustLogAsync("failed:");
    }

    [Fact]
    public async Task Discovery_does_not_tell_of_a_TLS_portal_unless_it_is_advertised()
    {
        Needs.Libiscsi("iscsi-ls");
        Identity engine = Certify("engine");
        ScuseServe serve = await StartAsync(
            "memory:8M", "--portal", "127.0.0.1:0", "--portal", $"127.0.0.1:0?tls={engine.Certificate}&key={engine.Key}",
            "--portal", $"127.0.0.1:0?tls={engine.Certificate}&key={engine.Key}&advertise=tls.example:3260");

        string told = (await Peer.RunAsync(Deadline, "iscsi-ls", serve.PortalUrl)).OrThrow().Output;

        Assert.Contains("Portal:tls.example:3260,1", told);
        Assert.Equal(2, told.Split("Portal:").Length - 1);
    }

    [Fact]
    public async Task A_certificate_that_cannot_be_read_is_one_line()
    {
        Outcome outcome = await ScuseServe.RunAsync(Deadline, "serve", "memory:1M", "--portal", $"127.0.0.1:0?tls={TemporaryFile("nothing.pem")}");

        Assert.Equal(1, outcome.ExitCode);
        Assert.Contains("nothing.pem", Assert.Single(outcome.Error.TrimEnd().Split('\n')));
    }

    // ---- what it takes ----

    Task<ScuseServe> StartAsync(params string[] arguments) => ServeAsync([.. arguments, "--socket", TemporaryFile("attach.sock")]);

    async Task<string[]> PortalsAsync()
    {
        Outcome list = (await ScuseServe.RunAsync(Deadline, "portal", "ls", "--json", "--control", TemporaryFile("attach.sock.control"))).OrThrow();
        return [.. JsonNode.Parse(list.Output)!.AsArray().Select(static portal => (string)portal!["address"]!)];
    }

    static X509ChainPolicy Trusting(Identity identity)
    {
        var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        policy.CustomTrustStore.ImportFromPemFile(identity.Certificate);
        return policy;
    }

    /// <summary>A key and a certificate that is its own authority.</summary>
    Identity Certify(string name)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: false, pathLengthConstraint: 0, critical: true));
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName(name);
        request.CertificateExtensions.Add(names.Build());
        using X509Certificate2 certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        var identity = new Identity(TemporaryFile($"{name}.pem"), TemporaryFile($"{name}.key"));
        File.WriteAllText(identity.Certificate, certificate.ExportCertificatePem());
        File.WriteAllText(identity.Key, key.ExportPkcs8PrivateKeyPem());
        return identity;
    }

    readonly record struct Identity(string Certificate, string Key);

    /// <summary>socat, which listens in plain and connects with TLS.</summary>
    sealed class Proxy : IDisposable
    {
        readonly RunningPeer _socat;

        Proxy(RunningPeer socat, int port) => (_socat, Port) = (socat, port);

        public int Port { get; }

        public static async Task<Proxy> StartAsync(string portal, string options)
        {
            int port = FreePort();
            var proxy = new Proxy(RunningPeer.Start("socat", [$"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr", $"OPENSSL-CONNECT:{portal},{options}"]), port);
            for (int i = 0; i < 100; i++)
            {
                await Task.Delay(20);
                if (IsListening(port))
                {
                    break;
                }
            }

            return proxy;
        }

        public void Dispose() => _socat.Dispose();

        static bool IsListening(int port) =>
            System.Net.NetworkInformation.IPGlobalProperties.GetIPGlobalProperties().GetActiveTcpListeners().Any(listener => listener.Port == port);

        static int FreePort()
        {
            using var listener = new TcpListener(IPAddress.Loopback, 0);
            listener.Start();
            return ((IPEndPoint)listener.LocalEndpoint).Port;
        }
    }
}
