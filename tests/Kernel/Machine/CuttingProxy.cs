using System.Net;
using System.Net.Sockets;

namespace Scuse.Kernel;

/// <summary>The way between an initiator and an engine: it can be cut wherever the bytes happen to be.</summary>
sealed class CuttingProxy : IAsyncDisposable
{
    // Small, so that a cut is likely to fall into a PDU.
    const int PieceBytes = 5000;

    readonly TcpListener _listener;
    readonly int _enginePort;
    readonly Lock _lock = new();
    readonly List<(Socket Initiator, Socket Engine)> _ways = []; // under _lock
    readonly Task _accepting;
    int _count;

    /// <summary>Opens a way to a port of the engine.</summary>
    /// <param name="enginePort">Where it leads.</param>
    /// <param name="port">Where it begins, to take the place of one that is gone; 0: wherever there is room.</param>
    public CuttingProxy(int enginePort, int port = 0)
    {
        _enginePort = enginePort;
        _listener = new TcpListener(IPAddress.Loopback, port);
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    /// <summary>How many connections there have been that reached the engine.</summary>
    public int Connections => Volatile.Read(ref _count);

    /// <summary>Resets every connection, on both sides: what is in the buffers is lost.</summary>
    public void Cut()
    {
        lock (_lock)
        {
            foreach ((Socket initiator, Socket engine) in _ways)
            {
                Reset(initiator);
                Reset(engine);
            }

            _ways.Clear();
        }
    }

    public async ValueTask DisposeAsync()
    {
        _listener.Stop();
        await _accepting;
        Cut();
    }

    static void Reset(Socket socket)
    {
        socket.LingerState = new LingerOption(enable: true, seconds: 0);
        socket.Close();
    }

    async Task AcceptAsync()
    {
        while (true)
        {
            Socket initiator;
            try
            {
                initiator = await _listener.AcceptSocketAsync();
            }
            catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
            {
                return; // stopped
            }

            var engine = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                await engine.ConnectAsync(IPAddress.Loopback, _enginePort);
            }
            catch (SocketException)
            {
                engine.Dispose();
                Reset(initiator); // as it would be without a proxy
                continue;
            }

            initiator.NoDelay = engine.NoDelay = true;
            lock (_lock)
            {
                _ways.Add((initiator, engine));
            }

            Interlocked.Increment(ref _count);
            _ = CarryAsync(initiator, engine);
            _ = CarryAsync(engine, initiator);
        }
    }

    // When one end closes, so is the other closed.
    async Task CarryAsync(Socket from, Socket to)
    {
        byte[] piece = new byte[PieceBytes];
        try
        {
            while (await from.ReceiveAsync(piece) is > 0 and int received)
            {
                for (int sent = 0; sent < received;)
                {
                    sent += await to.SendAsync(piece.AsMemory(sent, received - sent));
                }
            }
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // It was cut, here or by one of them.
        }

        lock (_lock)
        {
            _ways.RemoveAll(way => way.Initiator == from || way.Engine == from);
        }

        from.Dispose();
        to.Dispose();
    }
}
