using System.Net.Sockets;
using Scuse.Engine.Reactors;
using Scuse.Iscsi;
using Scuse.Linux;

namespace Scuse.Engine.Portals;

/// <summary>One TCP connection: carries bytes between the socket and the protocol, and knows nothing of what they mean.</summary>
/// <remarks>Touched only by the owning reactor.</remarks>
sealed class ConnectionSocket : IEventSource, IReactorConnection, IConnectionHost
{
    /// <summary>How often one connection is read in a turn at most, so that it cannot keep the others waiting.</summary>
    const int ReadsPerTurn = 16;

    const int MaxReceivePieces = 64;

    readonly Reactor _reactor;
    readonly Socket _socket;
    readonly int _descriptor;
    readonly ConnectionSet _all;
    readonly int _registration;
    EpollEvents _interest = EpollEvents.In;
    bool _flushQueued;
    bool _isReadingStopped;
    bool _isClosed;

    /// <exception cref="LinuxException">It cannot be watched.</exception>
    public ConnectionSocket(Reactor reactor, Socket socket, Portal portal, ConnectionSet all, Func<IConnectionHost, IscsiConnection> begin)
    {
        _reactor = reactor;
        _socket = socket;
        _descriptor = (int)socket.Handle;
        _all = all;
        Portal = portal;
        Protocol = begin(this);
        try
        {
            _registration = reactor.Add(_descriptor, _interest, this);
        }
        catch (LinuxException)
        {
            Protocol.Closed();
            throw;
        }
    }

    public IscsiConnection Protocol { get; }

    /// <summary>By which it came.</summary>
    public Portal Portal { get; }

    /// <summary>Who works goes before who wants to log in, and before who sends more requests than can be under way.</summary>
    public bool IsPatient => Protocol.Session is null || Protocol.IsFlooding;

    public void OnEvents(EpollEvents events)
    {
        if (_isReadingStopped && (events & (EpollEvents.HangUp | EpollEvents.Error)) != 0)
        {
            Close(Protocol.InitiatorLeft());
        }
        else if (!_isReadingStopped && (events & ~EpollEvents.Out) != 0)
        {
            Receive();
        }

        if (!_isClosed)
        {
            Flush();
        }
    }

    void Receive()
    {
        ReactorScratch scratch = _reactor.Scratch;
        for (int i = 0; i < (IsPatient ? 1 : ReadsPerTurn) && !Protocol.CloseNow; i++)
        {
            int count = Protocol.GetReceiveBuffers(scratch.Pieces.AsSpan(0, MaxReceivePieces));
            if (count == 0)
            {
                return;
            }

            long room = scratch.ToVectors(count);
            int received = SocketIo.Receive(_descriptor, scratch.Vectors.AsSpan(0, count));
            if (received <= 0)
            {
                if (received != -Errno.EAGAIN)
                {
                    Close(received == 0 ? Protocol.InitiatorLeft() : LinuxException.Text(-received));
                }

                return;
            }

            _reactor.LookAtClock();
            Protocol.Received(received, _reactor.NowMs);
            if (received < room)
            {
                return; // the socket is empty: epoll tells when it is not
            }
        }
    }

    /// <summary>Sends all that is ready, as much in one call as there is.</summary>
    public void Flush()
    {
        _flushQueued = false;
        if (_isClosed)
        {
            return;
        }

        ReactorScratch scratch = _reactor.Scratch;
        bool blocked = false;
        while (Protocol.HasOutput && !Protocol.CloseNow)
        {
            int count = Protocol.GetSendBuffers(scratch.Pieces);
            if (count == 0)
            {
                break; // what was to be sent is not wanted any more
            }

            long bytes = scratch.ToVectors(count);
            int sent = SocketIo.Send(_descriptor, scratch.Vectors.AsSpan(0, count));
            if (sent == -Errno.EAGAIN)
            {
                blocked = true;
                break;
            }

            if (sent < 0)
            {
                Close(LinuxException.Text(-sent));
                return;
            }

            _reactor.LookAtClock();
            Protocol.Sent(sent);
            if (sent < bytes)
            {
                blocked = true;
                break;
            }
        }

        if (Protocol.CloseNow || (Protocol.ShouldClose && !Protocol.HasOutput))
        {
            Close(Protocol.CloseReason);
            return;
        }

        if (Protocol.MovesTo is not null && !Protocol.HasOutput)
        {
            MoveOn();
            return;
        }

        Watch(blocked);
    }

    /// <summary>Another reactor has the target: the socket goes there. What has come meanwhile stays in it.</summary>
    void MoveOn()
    {
        _isClosed = true;
        _reactor.Remove(_registration);
        _all.Leave(this, _socket, Portal, Protocol.HandOver());
    }

    void Watch(bool blocked)
    {
        EpollEvents wanted = blocked ? EpollEvents.Out : EpollEvents.None;
        if (!_isReadingStopped && Protocol.GetReceiveBuffers(_reactor.Scratch.Pieces.AsSpan(0, 1)) > 0)
        {
            wanted |= EpollEvents.In;
        }

        if (wanted != _interest)
        {
            _interest = wanted;
            _reactor.Modify(_registration, wanted);
        }
    }

    /// <summary>Leaves in the socket whatever else the initiator sends.</summary>
    public void StopReading()
    {
        _isReadingStopped = true;
        Flush();
    }

    public void Tick(long nowMs)
    {
        if (!_isClosed)
        {
            Protocol.Tick(nowMs);
            if (Protocol.HasOutput || Protocol.ShouldClose || Protocol.MovesTo is not null)
            {
                OutputReady(Protocol);
            }
        }
    }

    public void OutputReady(IscsiConnection connection)
    {
        if (!_flushQueued)
        {
            _flushQueued = true;
            _reactor.FlushLater(this);
        }
    }

    public void CloseRequested(IscsiConnection connection, string reason) => OutputReady(connection);

    public void Close(string reason)
    {
        if (_isClosed)
        {
            return;
        }

        _isClosed = true;
        _reactor.Remove(_registration);
        Protocol.Closed();
        _socket.Dispose();
        if (Protocol.IsRefused)
        {
            _all.Log.Refused(Protocol.RemoteAddress, reason, _reactor.NowMs);
        }
        else
        {
            _all.Log.Ended(Protocol.RemoteAddress, reason, _reactor.NowMs);
        }

        _all.Remove(this);
    }
}
