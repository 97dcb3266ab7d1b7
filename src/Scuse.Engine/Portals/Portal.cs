using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Scuse.Engine.Reactors;
using Scuse.Iscsi;
using Scuse.Linux;

namespace Scuse.Engine.Portals;

/// <summary>A listening TCP address. Connections begin on the reactor that listens, and go from there to that of their target. RFC 7143 section 4.1.</summary>
/// <remarks>Opened on any thread; from <see cref="Start"/> on touched only by the owning reactor, but for what it says of connections.</remarks>
sealed partial class Portal : IEventSource, IDisposable
{
    /// <summary>How many connections may wait to be accepted; the kernel has a limit of its own (net.core.somaxconn).</summary>
    const int Backlog = 4096;

    /// <summary>How many are accepted in a turn: each costs as much as some commands, and those go first.</summary>
    const int AcceptsPerTurn = 2;

    /// <summary>How long it is not told again that connections cannot be accepted.</summary>
    const int TellAgainMs = 10_000;

    readonly Socket _listener;
    readonly Reactor _reactor;
    readonly ConnectionSet _connections;
    readonly int _loopbackSendBufferBytes;
    readonly ILogger _logger;
    readonly ConnectionLog _log;
    readonly TlsGate? _tls;
    volatile string? _closedFor;
    int _count; // of connections, on any reactor
    int _registration = -1;
    bool _isPaused;
    long _toldMs = -TellAgainMs; // that connections cannot be accepted

    /// <exception cref="EngineException">The address cannot be listened on.</exception>
    public Portal(PortalOptions options, Reactor reactor, ConnectionSet connections, int loopbackSendBufferBytes, ILogger logger, ConnectionLog log)
    {
        IPEndPoint address = options.Address;
        Options = options;
        _loopbackSendBufferBytes = loopbackSendBufferBytes;
        _reactor = reactor;
        _connections = connections;
        _logger = logger;
        _log = log;
        _tls = options.Tls is { } tls ? new TlsGate(tls, reactor, Admit, logger, log) : null;
        _listener = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            _listener.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
            if (address.AddressFamily == AddressFamily.InterNetworkV6)
            {
                _listener.DualMode = false; // IPv4 is a portal of its own, so that [::] and 0.0.0.0 can stand side by side
            }

            _listener.Bind(address);
            _listener.Listen(Backlog);
            _listener.Blocking = false;
        }
        catch (SocketException exception)
        {
            _listener.Dispose();
            _tls?.Dispose();
            throw new EngineException(
                exception.SocketErrorCode == SocketError.AddressAlreadyInUse
                    ? $"portal {address}: the port is in use; choose another with --portal, or port 0 for a free one"
                    : $"portal {address}: {exception.Message}",
                exception);
        }

        Address = (IPEndPoint)_listener.LocalEndPoint!;
        Place = new IscsiPortal(Address, options.Advertised);
        IsTold = _tls is null || options.Advertised is not null;
    }

    /// <summary>As configured.</summary>
    public PortalOptions Options { get; }

    /// <summary>The address listened on, with the port that was picked.</summary>
    public IPEndPoint Address { get; }

    /// <summary>Where initiators find it.</summary>
    public IscsiPortal Place { get; }

    /// <summary>Whether discovery tells of it.</summary>
    public bool IsTold { get; }

    /// <summary>Whether it speaks TLS.</summary>
    public bool IsEncrypted => _tls is not null;

    /// <summary>How many connections have come by it and are open.</summary>
    public int Connections => Volatile.Read(ref _count);

    /// <summary>Why no connection that came by it may be open any more; null: they may.</summary>
    public string? ClosedFor
    {
        get => _closedFor;
        set => _closedFor = value;
    }

    /// <summary>A connection has come by it. From any thread.</summary>
    public void ConnectionCame() => Interlocked.Increment(ref _count);

    /// <summary>A connection that came by it is closed. From any thread.</summary>
    public void ConnectionGone() => Interlocked.Decrement(ref _count);

    /// <summary>Who has come already goes first.</summary>
    public bool IsPatient => true;

    public void Start() => _registration = _reactor.Add((int)_listener.Handle, EpollEvents.In, this);

    public void OnEvents(EpollEvents events)
    {
        if (_registration < 0)
        {
            return;
        }

        for (int i = 0; i < AcceptsPerTurn; i++)
        {
            Socket socket;
            try
            {
                socket = _listener.Accept();
            }
            catch (SocketException exception) when (exception.SocketErrorCode is SocketError.WouldBlock)
            {
                return;
            }
            catch (SocketException exception)
            {
                // Most likely no descriptor is left. The next tick tries again: at once would be a busy loop.
                TellAcceptFailed(exception.Message);
                _reactor.Modify(_registration, EpollEvents.None);
                _isPaused = true;
                return;
            }

            if (_tls is { } tls)
            {
                tls.Take(socket);
            }
            else
            {
                Accept(socket);
            }
        }
    }

    void Accept(Socket socket)
    {
        try
        {
            socket.Blocking = false;
            socket.NoDelay = true;
            var remote = (IPEndPoint)socket.RemoteEndPoint!;
            if (_loopbackSendBufferBytes > 0 && IPAddress.IsLoopback(remote.Address))
            {
                socket.SendBufferSize = _loopbackSendBufferBytes;
            }

            Begin(socket, remote, (IPEndPoint)socket.LocalEndPoint!);
        }
        catch (SocketException)
        {
            socket.Dispose(); // it was gone before it was here
        }
        catch (LinuxException exception)
        {
            socket.Dispose();
            TellAcceptFailed(exception.Message);
        }
    }

    /// <summary>A connection that has passed the TLS handshake.</summary>
    void Admit(Socket socket, IPEndPoint remote, IPEndPoint local)
    {
        if (_registration < 0)
        {
            socket.Dispose(); // the portal was closed meanwhile
            return;
        }

        try
        {
            socket.Blocking = false;
            Begin(socket, remote, local);
        }
        catch (LinuxException exception)
        {
            socket.Dispose();
            TellAcceptFailed(exception.Message);
        }
    }

    void Begin(Socket socket, IPEndPoint remote, IPEndPoint local) => _connections.Begin(socket, this, local.ToString(), remote.ToString());

    public void Tick()
    {
        if (_isPaused && _registration >= 0)
        {
            _isPaused = false;
            _reactor.Modify(_registration, EpollEvents.In);
        }
    }

    /// <summary>Takes no more connections; the ones there are go on.</summary>
    public void StopListening()
    {
        if (_registration >= 0)
        {
            _reactor.Remove(_registration);
            _registration = -1;
        }

        _listener.Dispose();
        _tls?.Dispose();
    }

    public void Dispose() => StopListening();

    void TellAcceptFailed(string reason)
    {
        if (_reactor.NowMs - _toldMs >= TellAgainMs)
        {
            _toldMs = _reactor.NowMs;
            LogAcceptFailed(_logger, Address, reason);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "portal {Address}: a connection could not be accepted: {Reason}")]
    static partial void LogAcceptFailed(ILogger logger, IPEndPoint address, string reason);
}
