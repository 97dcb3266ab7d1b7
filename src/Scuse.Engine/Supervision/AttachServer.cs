using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Scuse.Engine.Backstores;
using Scuse.Linux;
using Scuse.Ring.Attach;

namespace Scuse.Engine.Supervision;

/// <summary>
/// The socket where handlers attach, and the one thread that talks to all of them. It never waits for any of them: each packet is taken as it
/// comes. docs/attach-protocol.md.
/// </summary>
/// <remarks>Everything but <see cref="Post"/>, <see cref="Start"/> and <see cref="Dispose"/> is touched only by the server's own thread.</remarks>
sealed partial class AttachServer : IDisposable
{
    /// <summary>How long a handler may take from connecting to being ready, in milliseconds: opening a large store takes its time.</summary>
    public const int HandshakeMs = 30_000;

    /// <summary>How many connections may be in their handshake at once, over the number of devices.</summary>
    const int SpareSessions = 64;

    const int MaxEvents = 64;
    const int TickMs = 500;
    const ulong ListenerToken = 0, WakeToken = 1, FirstSessionToken = 2;

    readonly Dictionary<string, DeviceSlot> _slots;
    readonly SeqPacketListener _listener;
    readonly ILogger _logger;
    readonly Epoll _epoll = Epoll.Create();
    readonly EventFd _wake = EventFd.Create();
    readonly ConcurrentQueue<Action> _posted = new();
    readonly Dictionary<ulong, AttachSession> _sessions = [];
    readonly byte[] _packet = new byte[AttachMessage.MaxBytes];
    readonly Thread _thread;
    volatile bool _stopping;
    ulong _nextToken = FirstSessionToken;

    /// <exception cref="EngineException">The socket cannot be made.</exception>
    public AttachServer(string path, IEnumerable<DeviceSlot> slots, ILogger logger)
    {
        _logger = logger;
        _slots = slots.ToDictionary(static slot => slot.Options.DeviceName);
        try
        {
            if (Path.GetDirectoryName(path) is { Length: > 0 } folder && !Directory.Exists(folder))
            {
                Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            }

            _listener = SeqPacketListener.Listen(path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new EngineException($"attach socket {path}: {exception.Message}", exception);
        }

        _epoll.Add(_listener.Descriptor, EpollEvents.In, ListenerToken);
        _epoll.Add(_wake.Descriptor, EpollEvents.In, WakeToken);
        _thread = new Thread(Run) { Name = "scuse attach", IsBackground = true };
    }

    /// <summary>Where handlers connect.</summary>
    public string SocketPath => _listener.Path;

    public void Start() => _thread.Start();

    /// <summary>Has the server's thread run something, soon. From any thread.</summary>
    public void Post(Action action)
    {
        _posted.Enqueue(action);
        _wake.Signal();
    }

    /// <summary>Gives a handler up: its connection is closed, and its process ended where it can be reached. From any thread.</summary>
    public void Drop(HandlerLink link, string reason) => Post(() =>
    {
        foreach (AttachSession session in _sessions.Values.Where(session => session.Link == link).ToArray())
        {
            session.Kill();
            End(session, reason);
        }
    });

    /// <summary>Tells every attached handler that its device goes away. From any thread.</summary>
    public void RemoveAll() => Post(() =>
    {
        foreach (AttachSession session in _sessions.Values.ToArray())
        {
            session.Remove();
        }
    });

    void Run()
    {
        var events = new EpollEvent[MaxEvents];
        while (!_stopping)
        {
            int count = _epoll.Wait(events, TickMs);
            for (int i = 0; i < count; i++)
            {
                switch (events[i].Token)
                {
                    case ListenerToken:
                        Accept();
                        break;
                    case WakeToken:
                        _wake.Drain();
                        break;
                    default:
                        OnSession(events[i].Token);
                        break;
                }
            }

            while (_posted.TryDequeue(out Action? action))
            {
                action();
            }

            EndOverdue();
        }
    }

    void Accept()
    {
        try
        {
            while (_listener.Accept() is { } socket)
            {
                if (_sessions.Count >= _slots.Count + SpareSessions)
                {
                    socket.Dispose();
                    LogTooMany(_logger);
                    continue;
                }

                ulong token = _nextToken;
                _nextToken += 2; // even: the socket; odd: the process
                var session = new AttachSession(token, socket, Environment.TickCount64);
                _sessions.Add(token, session);
                _epoll.Add(socket.Descriptor, EpollEvents.In, token);
                session.WatchProcess(_epoll, token + 1);
            }
        }
        catch (LinuxException exception)
        {
            LogAcceptFailed(_logger, exception.Message);
        }
    }

    void OnSession(ulong token)
    {
        if (!_sessions.TryGetValue(token & ~1ul, out AttachSession? session))
        {
            return;
        }

        if ((token & 1) != 0)
        {
            End(session, "its process ended");
            return;
        }

        try
        {
            int length = session.Socket.Receive(_packet, descriptors: null, timeoutMs: 0);
            if (length == 0)
            {
                End(session, "it closed its connection");
            }
            else if (length > 0 && session.Handle(_packet.AsSpan(0, length), _slots) is { } refusal)
            {
                session.TrySend(new RefusedMessage { Message = refusal });
                LogRefused(_logger, session.Socket.PeerPid, refusal);
                End(session, refusal);
            }
        }
        catch (LinuxException exception)
        {
            End(session, exception.Message);
        }
#pragma warning disable CA1031 // whatever a handler's message brings about costs that handler alone
        catch (Exception exception)
#pragma warning restore CA1031
        {
            LogBroken(_logger, session.Socket.PeerPid, exception);
            End(session, "its message could not be handled");
        }
    }

    void EndOverdue()
    {
        long now = Environment.TickCount64;
        foreach (AttachSession session in _sessions.Values.Where(session => session.Link is null && now - session.StartedMs > HandshakeMs).ToArray())
        {
            session.TrySend(new RefusedMessage { Message = $"not ready within {HandshakeMs / 1000} s" });
            LogRefused(_logger, session.Socket.PeerPid, "not ready in time");
            End(session, "it was not ready in time");
        }
    }

    void End(AttachSession session, string reason)
    {
        _sessions.Remove(session.Token);
        session.Close(_epoll, reason);
    }

    /// <summary>Stops the thread and closes every connection; a handler that still runs sees its engine end.</summary>
    public void Dispose()
    {
        _stopping = true;
        _wake.Signal();
        if (_thread.IsAlive)
        {
            _thread.Join();
        }

        foreach (AttachSession session in _sessions.Values)
        {
            session.Close(_epoll, "the engine stopped");
        }

        _sessions.Clear();
        _listener.Dispose();
        _epoll.Dispose();
        _wake.Dispose();
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "attach: process {Pid} refused: {Reason}")]
    static partial void LogRefused(ILogger logger, int pid, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "attach: a message of process {Pid} could not be handled")]
    static partial void LogBroken(ILogger logger, int pid, Exception exception);

    [LoggerMessage(Level = LogLevel.Warning, Message = "attach: a connection was closed: too many at once")]
    static partial void LogTooMany(ILogger logger);

    [LoggerMessage(Level = LogLevel.Warning, Message = "attach: a connection could not be accepted: {Reason}")]
    static partial void LogAcceptFailed(ILogger logger, string reason);
}
