using System.Buffers;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.Extensions.Logging;
using Scuse.Engine.Reactors;
using Scuse.Linux;

namespace Scuse.Engine.Portals;

/// <summary>
/// TLS in front of a portal: it makes the handshake and carries bytes between the initiator and a socket pair, whose other end is an ordinary connection to the reactor. RFC 7143
/// knows no TLS; this is for initiators and proxies that begin with it.
/// </summary>
/// <remarks>
/// Handshakes and ciphers are the thread pool's work, so that no reactor waits for them. <see cref="Take"/> is called by the reactor, everything else runs on the pool.
/// </remarks>
sealed partial class TlsGate : IDisposable
{
    /// <summary>How many handshakes may be under way; one more connection is closed at once.</summary>
    const int MaxHandshakes = 256;

    /// <summary>The most plain text in one TLS record, which is what a read returns. RFC 8446 section 5.1.</summary>
    const int RecordBytes = 16 << 10;

    const int SendBytes = 64 << 10;

    // What the initiator has not taken by then, after the engine has closed the connection, it does not get.
    static readonly TimeSpan GoodbyeDeadline = TimeSpan.FromSeconds(5);

    readonly SslServerAuthenticationOptions _options;
    readonly Reactor _reactor;
    readonly Action<Socket, IPEndPoint, IPEndPoint> _admit;
    readonly ILogger _logger;
    readonly ConnectionLog _log;
    readonly CancellationTokenSource _closing = new();
    int _handshakes;

    /// <param name="tls">The certificates.</param>
    /// <param name="reactor">Where connections go.</param>
    /// <param name="admit">Called on the reactor: a connection, where it comes from, and where it reached us.</param>
    /// <param name="logger">Where to tell.</param>
    /// <param name="log">The same, of what others can have told as often as they like.</param>
    /// <exception cref="EngineException">A certificate or key cannot be read.</exception>
    public TlsGate(TlsOptions tls, Reactor reactor, Action<Socket, IPEndPoint, IPEndPoint> admit, ILogger logger, ConnectionLog log)
    {
        _options = Read(tls);
        _reactor = reactor;
        _admit = admit;
        _logger = logger;
        _log = log;
    }

    /// <summary>How long a handshake may take; after it the time limit of the login begins.</summary>
    public TimeSpan HandshakeDeadline { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Takes over a connection that was accepted.</summary>
    public void Take(Socket socket)
    {
        if (Interlocked.Increment(ref _handshakes) > MaxHandshakes)
        {
            Interlocked.Decrement(ref _handshakes);
            _log.Refused("an initiator", $"{MaxHandshakes} TLS handshakes are under way", _reactor.NowMs);
            socket.Dispose();
            return;
        }

        _ = Task.Run(() => ServeAsync(socket));
    }

    /// <summary>No handshake goes on; connections that have passed do.</summary>
    public void Dispose()
    {
        _closing.Cancel();
        _closing.Dispose();
    }

    static SslServerAuthenticationOptions Read(TlsOptions tls)
    {
        string reading = tls.CertificateFile;
        try
        {
            using var pem = X509Certificate2.CreateFromPemFile(tls.CertificateFile, tls.KeyFile ?? tls.CertificateFile);
            X509Certificate2Collection chain = [];
            chain.ImportFromPemFile(tls.CertificateFile);
            chain.RemoveAt(0);
            var options = new SslServerAuthenticationOptions
            {
                // Through PKCS #12 the key is one that every platform's TLS can use.
                ServerCertificateContext = SslStreamCertificateContext.Create(X509CertificateLoader.LoadPkcs12(pem.Export(X509ContentType.Pkcs12), null), chain, offline: true),
                EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
                AllowRenegotiation = false,
            };
            if (tls.ClientAuthorityFile is { } authorities)
            {
                reading = authorities;
                options.ClientCertificateRequired = true;
                options.CertificateChainPolicy = new X509ChainPolicy
                {
                    TrustMode = X509ChainTrustMode.CustomRootTrust,
                    RevocationMode = X509RevocationMode.NoCheck,
                    DisableCertificateDownloads = true,
                };
                options.CertificateChainPolicy.CustomTrustStore.ImportFromPemFile(authorities);
                if (options.CertificateChainPolicy.CustomTrustStore.Count == 0)
                {
                    throw new EngineException($"{authorities} holds no certificate");
                }
            }

            return options;
        }
        catch (Exception exception) when (exception is CryptographicException or IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new EngineException($"the certificate or key in {reading} cannot be used: {exception.Message}", exception);
        }
    }

    async Task ServeAsync(Socket socket)
    {
        string from = "";
        bool isHandshake = true;
        try
        {
            socket.Blocking = true; // streams want it so; they wait in the runtime's own way all the same
            socket.NoDelay = true;
            var remote = (IPEndPoint)socket.RemoteEndPoint!;
            var local = (IPEndPoint)socket.LocalEndPoint!;
            from = remote.ToString();
            await using var encrypted = new SslStream(new NetworkStream(socket, ownsSocket: true));
            using (var deadline = CancellationTokenSource.CreateLinkedTokenSource(_closing.Token))
            {
                deadline.CancelAfter(HandshakeDeadline);
                await encrypted.AuthenticateAsServerAsync(_options, deadline.Token);
            }

            isHandshake = false;
            Interlocked.Decrement(ref _handshakes);
            if (_log.MayTell(Environment.TickCount64))
            {
                LogProtected(_logger, from, encrypted.SslProtocol, encrypted.RemoteCertificate?.Subject ?? "none");
            }

            (Socket engine, Socket here) = StreamPair.Create();
            using var plain = new NetworkStream(here, ownsSocket: true);
            _reactor.Post(() => _admit(engine, remote, local));
            await CarryAsync(encrypted, plain, here);
        }
        catch (Exception exception) when (exception is IOException or SocketException or AuthenticationException or OperationCanceledException or ObjectDisposedException or LinuxException)
        {
            if (isHandshake)
            {
                _log.Refused(from, $"TLS failed: {(exception is OperationCanceledException ? "it was not done in time" : exception.InnerException?.Message ?? exception.Message)}", Environment.TickCount64);
            }
        }
        finally
        {
            socket.Dispose();
            if (isHandshake)
            {
                Interlocked.Decrement(ref _handshakes);
            }
        }
    }

    /// <summary>Until the engine has closed its end, which it also does when the initiator's ends.</summary>
    static async Task CarryAsync(SslStream encrypted, NetworkStream plain, Socket here)
    {
        Task inwards = CopyAsync(encrypted, plain, RecordBytes, () => here.Shutdown(SocketShutdown.Send));
        try
        {
            await CopyAsync(plain, encrypted, SendBytes, static () => { });
            await encrypted.ShutdownAsync().WaitAsync(GoodbyeDeadline);
        }
        catch (TimeoutException)
        {
            // It does not listen any more.
        }
        finally
        {
            here.Dispose();
            encrypted.Close();
            await inwards.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    static async Task CopyAsync(Stream from, Stream to, int bufferBytes, Action ended)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(bufferBytes);
        try
        {
            int count;
            while ((count = await from.ReadAsync(buffer)) > 0)
            {
                await to.WriteAsync(buffer.AsMemory(0, count));
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
            ended();
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "TLS with {Remote}: {Protocol}, client certificate: {Subject}")]
    static partial void LogProtected(ILogger logger, string remote, SslProtocols protocol, string subject);
}
