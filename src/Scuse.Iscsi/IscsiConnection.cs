using System.Net;
using Scuse.Iscsi.FullFeature;
using Scuse.Iscsi.Input;
using Scuse.Iscsi.Login;
using Scuse.Iscsi.Negotiation;
using Scuse.Iscsi.Output;
using Scuse.Iscsi.Pdus;
using Scuse.Target;

namespace Scuse.Iscsi;

/// <summary>
/// One transport connection of an initiator: bytes and time in, bytes out. It opens nothing and waits for nothing; whoever owns the socket moves the bytes.
/// </summary>
/// <remarks>
/// Touched only by the owning reactor. Between <see cref="GetReceiveBuffers"/> and its <see cref="Received"/>, and between
/// <see cref="GetSendBuffers"/> and its <see cref="Sent"/>, nothing else may be called: the memory named may belong to tasks, and the receive buffer is that of
/// all connections of the server.
/// </remarks>
public sealed class IscsiConnection : IPduHandler
{
    /// <summary>Reading pauses while this many control PDUs wait to be sent: an initiator that asks and does not listen.</summary>
    const int MaxWaitingControlPdus = 256;

    /// <summary>The same while they hold so many bytes: pings come with up to MaxRecvDataSegmentLength of data, to be echoed.</summary>
    const int MaxWaitingControlBytes = 1 << 20;

    /// <summary>What an initiator has to take of its output in <see cref="IscsiOptions.OutputTimeoutMs"/>, if that is not all there is: 2 KiB/s by default, less than any line has.</summary>
    const int LeastOutputBytes = 64 << 10;

    /// <summary>What a connection in a flood is read at a time: some tens of requests. See <see cref="IsFlooding"/>.</summary>
    const int FloodReadBytes = 1024;

    /// <summary>A flood is over when so much brings no more than this many PDUs.</summary>
    const int FloodPdus = FloodReadBytes / (4 * BasicHeader.Length);

    /// <summary>MaxRecvDataSegmentLength during login, and when none was declared. RFC 7143 section 13.12.</summary>
    const int LoginSegmentLength = 8192;

    readonly IscsiServer _server;
    readonly IConnectionHost _host;
    readonly PduReader _reader;
    readonly GatherSink _gather;
    readonly OutputQueue _output;
    readonly long _acceptedMs;
    LoginExchange? _login;
    ConnectionState _state = ConnectionState.Free;
    long _lastHeardMs;
    long _nowMs;
    long _closeAskedMs;
    long _outputSinceMs; // since when there has been output all the time; 0: there is none
    long _takenBytes; // of its output since then
    int _inside; // calls of ours on the stack: the host hears of things when the last one ends
    bool _outputAppeared;
    bool _closeIsNew;
    bool _isClosed;
    bool _isLengthDeclared;
    AskedOfInitiator _asked;
    LoginStart? _loginStart;

    internal IscsiConnection(IscsiServer server, string remoteAddress, string localAddress, IConnectionHost host, long nowMs)
    {
        _server = server;
        _host = host;
        RemoteAddress = remoteAddress;
        RemoteIP = IPEndPoint.TryParse(remoteAddress, out IPEndPoint? remote) ? remote.Address : null;
        LocalAddress = localAddress;
        _acceptedMs = _lastHeardMs = _nowMs = nowMs;
        _reader = new PduReader(this, server.ReceiveBuffer);
        _gather = new GatherSink(server.Buffers, OnGathered);
        _output = new OutputQueue(server.Buffers, server.Writers, OnOutputAppeared);
        _login = new LoginExchange(this, server, _output);
        Move(ConnectionEvent.TransportAccepted);
    }

    /// <summary>Its place among the connections that are in login.</summary>
    internal LinkedListNode<IscsiConnection>? PlaceInLogin { get; set; }

    /// <summary>Where the initiator is, for messages.</summary>
    public string RemoteAddress { get; }

    /// <summary>The initiator's IP address; null when <see cref="RemoteAddress"/> is not an <c>ip:port</c>.</summary>
    public IPAddress? RemoteIP { get; }

    /// <summary>The <c>ip:port</c> that the initiator reached us at.</summary>
    public string LocalAddress { get; }

    /// <summary>When the connection was accepted, on the owner's clock in milliseconds.</summary>
    public long AcceptedMs => _acceptedMs;

    /// <summary>The session, once login has succeeded.</summary>
    public IscsiSession? Session { get; private set; }

    /// <summary>Its identifier within the session (CID), which the initiator chose. RFC 7143 section 11.12.7.</summary>
    public ushort ConnectionId { get; private set; }

    /// <summary>Whether every header is followed by its CRC32C.</summary>
    public bool HasHeaderDigest => Parameters.HeaderDigest;

    /// <summary>Whether every data segment is followed by its CRC32C.</summary>
    public bool HasDataDigest => Parameters.DataDigest;

    /// <summary>
    /// Whether there may be something to send. After <see cref="GetSendBuffers"/> has returned 0 it is false.
    /// </summary>
    public bool HasOutput => _output.HasOutput;

    /// <summary>
    /// Whether more requests came at once than may be under way: pings, texts, or what is ignored, for a session's window lets no such number of commands in. Such a connection is read in
    /// small portions, so that the owner can let others go first.
    /// </summary>
    public bool IsFlooding { get; private set; }

    /// <summary>Whether the connection is to be closed once its output is sent.</summary>
    public bool ShouldClose { get; private set; }

    /// <summary>Whether it is to be closed at once.</summary>
    public bool CloseNow { get; private set; }

    /// <summary>
    /// The server of the same entity that is to go on with the connection, since it has the target that the initiator logs in to: once its output is sent, <see cref="HandOver"/> is to be
    /// called. Null as long as it stays.
    /// </summary>
    public IscsiServer? MovesTo { get; private set; }

    /// <summary>Why it is to be closed; empty when it is not.</summary>
    public string CloseReason { get; private set; } = "";

    /// <summary>Whether it is closed because its login was refused, by either side, which an operator should hear of.</summary>
    public bool IsRefused { get; private set; }

    /// <summary>The owner's clock at the last call.</summary>
    internal long NowMs => _nowMs;

    internal ConnectionState State => _state;

    internal ConnectionParameters Parameters { get; private set; } = new();

    /// <summary>What it does since login has succeeded.</summary>
    internal FullFeaturePhase? FullFeature { get; private set; }

    internal bool IsClosed => _isClosed;

    /// <summary>How much memory holds the data of control PDUs that were not sent yet, in bytes.</summary>
    internal int UnsentControlBytes => _output.ControlBytes;

    internal bool IsReceiving => !ShouldClose && !_isClosed && MovesTo is null && _state != ConnectionState.InLogout;

    bool IPduHandler.IsReceiving => IsReceiving;

    bool IPduHandler.IsMoving => MovesTo is not null;

    int IPduHandler.MaxDataSegmentLength =>
        _isLengthDeclared && FullFeature is not null ? _server.Options.MaxRecvDataSegmentLength : LoginSegmentLength;

    // ---- bytes in ----

    /// <summary>
    /// Names where the next bytes from the socket go, in order: inside a large data segment first the pieces of the task's own memory, and always the
    /// receive buffer last. Returns how many pieces; 0 means that reading is paused until output was sent, or for good when closing.
    /// </summary>
    public int GetReceiveBuffers(Span<Memory<byte>> buffers) =>
        !IsReceiving || _output.ControlCount >= MaxWaitingControlPdus || _output.ControlBytes >= MaxWaitingControlBytes || buffers.IsEmpty
            ? 0
            : _reader.GetBuffers(buffers, IsFlooding ? FloodReadBytes : int.MaxValue);

    /// <summary>That many bytes came from the socket to where <see cref="GetReceiveBuffers"/> said: acts on every PDU that is complete.</summary>
    public void Received(int count, long nowMs)
    {
        if (!IsReceiving || count <= 0)
        {
            return;
        }

        _inside++;
        _lastHeardMs = _nowMs = nowMs;
        if (Session?.Target is { } target)
        {
            target.NowMs = nowMs; // what arrives now is timed from now
        }

        FullFeature?.Keepalive.HeardFrom();
        _reader.Received(count);
        IsFlooding = _reader.PdusOfRead > (IsFlooding ? FloodPdus : _server.Options.CommandWindow + _server.Options.MaxImmediateCommands);
        _server.LimitBuffers();
        _outputAppeared = false; // the host looks for itself after this call
        Leave();
    }

    // ---- bytes out ----

    /// <summary>
    /// Names what to send next, in order: headers, data straight from the tasks' memory, padding. Returns how many pieces there are. The memory is
    /// valid until it is reported with <see cref="Sent"/> or <see cref="Closed"/> is called.
    /// </summary>
    public int GetSendBuffers(Span<Memory<byte>> buffers)
    {
        if (_isClosed || CloseNow)
        {
            return 0;
        }

        _inside++;
        int count = _output.GetBuffers(buffers);
        _inside--; // what appeared meanwhile is behind what is named here; the host finds it with HasOutput
        return count;
    }

    /// <summary>The socket took that many bytes of what <see cref="GetSendBuffers"/> named. Tasks whose last byte is out are released.</summary>
    public void Sent(int count)
    {
        if (_isClosed || count <= 0)
        {
            return;
        }

        _inside++;
        _output.Sent(count);
        _takenBytes += count;
        _outputSinceMs = HasOutput ? _outputSinceMs : 0;
        Leave();
    }

    // ---- time and end ----

    /// <summary>Time goes on: login time-out, keepalive, and the limit for sending the last output. To be called about once a second.</summary>
    public void Tick(long nowMs)
    {
        if (_isClosed)
        {
            return;
        }

        _inside++;
        _nowMs = nowMs;
        if (ShouldClose)
        {
            _closeAskedMs = _closeAskedMs == 0 ? nowMs : _closeAskedMs;
            if (!CloseNow && nowMs - _closeAskedMs >= _server.Options.DrainTimeoutMs)
            {
                CloseNow = true;
                _closeIsNew = true;
            }
        }
        else if (FullFeature is { } fullFeature)
        {
            if (fullFeature.Keepalive.Tick(nowMs, _lastHeardMs) is { } reason)
            {
                FailNow(reason);
            }
            else if (IsOutputStuck(nowMs))
            {
                FailNow($"the initiator took {_takenBytes} bytes of its output within {_server.Options.OutputTimeoutMs} ms, and more is waiting");
            }
            else if (_asked.IsOverdue(nowMs))
            {
                Drop(AsyncEvent.ConnectionDropped, $"the initiator did not do within {_asked.Seconds} s what it was asked for ({_asked.What})");
            }
        }
        else if (nowMs - _acceptedMs >= _server.Options.LoginTimeoutMs)
        {
            Move(ConnectionEvent.LoginFailed);
            FailNow($"login was not over within {_server.Options.LoginTimeoutMs} ms");
        }
        else
        {
            _login?.Tick();
        }

        Leave();
    }

    /// <summary>The initiator has closed the connection: what is to be logged of that. <see cref="Closed"/> is still to be called.</summary>
    public string InitiatorLeft()
    {
        const string Left = "the initiator closed the connection";
        bool isDoubted = _login is { IsProofUnanswered: true };
        IsRefused |= isDoubted;
        return isDoubted ? $"{Left} when the target had proved itself (mutual CHAP): it may expect another name or secret of the target" : Left;
    }

    /// <summary>
    /// The socket is gone: the tasks that are allegiant to it are dropped. With its last connection the session ends and its nexus is lost. Nothing may
    /// be called after it.
    /// </summary>
    public void Closed()
    {
        if (_isClosed)
        {
            return;
        }

        _inside++;
        Move(ConnectionEvent.TransportLost);
        Session?.Lost(this);
        _isClosed = true;
        ShouldClose = CloseNow = true;
        _gather.Drop();
        _output.Clear();
        IscsiServer.LeftLogin(this);
        _server.ConnectionClosed();
        Move(ConnectionEvent.CleanedUp);
        _inside--;
    }

    /// <summary>
    /// The connection leaves this server: the socket is to be brought to the other's reactor with what this returns. Nothing may be called after it.
    /// </summary>
    /// <exception cref="InvalidOperationException">It <see cref="MovesTo">stays</see>, has output, or is closed.</exception>
    public IscsiHandOver HandOver()
    {
        if (MovesTo is not { } to || HasOutput || _isClosed)
        {
            throw new InvalidOperationException("the connection is not ready to move");
        }

        _isClosed = true;
        _gather.Drop();
        _output.Clear();
        IscsiServer.LeftLogin(this);
        return new IscsiHandOver(_server.Entity, to, this, _loginStart! with { StatSN = _output.StatSN }, _reader.Unread);
    }

    /// <summary>Goes on with a login that another server has begun: see <see cref="IscsiServer.TakeOver"/>.</summary>
    public void GoOn(IscsiHandOver handOver, long nowMs)
    {
        ArgumentNullException.ThrowIfNull(handOver);
        _inside++;
        _lastHeardMs = _nowMs = nowMs;
        Move(ConnectionEvent.LoginRequested);
        _login!.GoOn(handOver.Login);
        _reader.GoOn(handOver.Unread);
        Leave();
    }

    bool IsOutputStuck(long nowMs)
    {
        if (!HasOutput)
        {
            _outputSinceMs = 0;
            return false;
        }

        bool isJudged = _outputSinceMs != 0 && nowMs - _outputSinceMs >= _server.Options.OutputTimeoutMs;
        if (isJudged && _takenBytes < LeastOutputBytes)
        {
            return true;
        }

        if (_outputSinceMs == 0 || isJudged)
        {
            _outputSinceMs = nowMs;
            _takenBytes = 0;
        }

        return false;
    }

    // ---- what we ask for ----

    /// <summary>Asks for a logout within so many seconds, and drops the connection then.</summary>
    internal void RequestLogout(int seconds)
    {
        Move(ConnectionEvent.LogoutAsked);
        Ask(AsyncEvent.LogoutRequested, seconds);
    }

    /// <summary>Asks for a logout within so many seconds, of which the target keeps account.</summary>
    internal void AskToLeave(int seconds)
    {
        Move(ConnectionEvent.LogoutAsked);
        if (!ShouldClose)
        {
            FullFeature?.SendAsync(AsyncEvent.LogoutRequested, 0, 0, (ushort)seconds);
        }
    }

    /// <summary>Asks for a text negotiation within so many seconds, and drops the connection then.</summary>
    internal void RequestNegotiation(int seconds) => Ask(AsyncEvent.NegotiationRequested, seconds);

    /// <summary>The initiator has begun a text negotiation.</summary>
    internal void Negotiated() => _asked = _asked.What == AsyncEvent.NegotiationRequested ? default : _asked;

    void Ask(AsyncEvent what, int seconds)
    {
        if (ShouldClose || FullFeature is null)
        {
            return;
        }

        ushort within = (ushort)Math.Clamp(seconds, 0, ushort.MaxValue);
        _asked = new AskedOfInitiator(what, within);
        FullFeature.SendAsync(what, 0, 0, within);
    }

    /// <summary>Says that the connection is being dropped, and has it closed.</summary>
    internal void Drop(AsyncEvent what, string reason)
    {
        if (FullFeature is { } fullFeature && !ShouldClose)
        {
            bool isConnection = what == AsyncEvent.ConnectionDropped; // the tasks of a session that is dropped are kept for nobody
            fullFeature.SendAsync(
                what, isConnection ? ConnectionId : (ushort)0, (ushort)Session!.Parameters.DefaultTime2WaitSeconds,
                isConnection ? (ushort)Session.Parameters.DefaultTime2RetainSeconds : (ushort)0);
        }

        Fail(reason);
    }

    // ---- for the phases ----

    internal void LoggedIn(IscsiSession session, TextNegotiation negotiation, ushort connectionId, bool isLengthDeclared)
    {
        IscsiServer.LeftLogin(this);
        _isLengthDeclared = isLengthDeclared;
        ConnectionId = connectionId;
        Session = session;
        _login = null;
        Parameters = negotiation.Parameters.Connection;
        FullFeature = new FullFeaturePhase(this, session, negotiation, _output, _gather, _server.Buffers);
        _reader.Expect(Parameters.HeaderDigest, Parameters.DataDigest);
        Move(ConnectionEvent.LoginSucceeded);
        session.Admit(this);
    }

    /// <summary>Another server has the target that is logged in to, and goes on.</summary>
    internal void MoveTo(IscsiServer server, LoginStart login)
    {
        MovesTo = server;
        _loginStart = login;
    }

    /// <summary>No session comes of it.</summary>
    /// <param name="reason">Why, for the log.</param>
    /// <param name="isRefused">Whether an operator should hear of it.</param>
    internal void LoginFailed(string reason, bool isRefused)
    {
        IsRefused = isRefused;
        Move(ConnectionEvent.LoginFailed);
        Fail(reason);
    }

    internal void LoggedOut()
    {
        Move(ConnectionEvent.LogoutReceived);
        Move(ConnectionEvent.LogoutSucceeded);
        Fail("logged out");
    }

    /// <summary>To be closed once the pending output is sent.</summary>
    internal void Fail(string reason)
    {
        if (ShouldClose)
        {
            return;
        }

        ShouldClose = true;
        CloseReason = reason;
        _closeIsNew = true;
        LeaveIfOutside();
    }

    /// <summary>Never to be used: the host sees it in the result of the accept.</summary>
    internal void Refuse(string reason)
    {
        CloseReason = reason;
        ShouldClose = CloseNow = true;
    }

    /// <summary>To be closed at once.</summary>
    internal void FailNow(string reason)
    {
        if (CloseNow)
        {
            return;
        }

        CloseReason = ShouldClose ? CloseReason : reason;
        ShouldClose = CloseNow = true;
        _closeIsNew = true;
        LeaveIfOutside();
    }

    ISegmentSink IPduHandler.OnHeader(ReadOnlySpan<byte> headers, bool isUnchecked)
    {
        if (FullFeature is { } fullFeature)
        {
            return fullFeature.OnHeader(headers, isUnchecked);
        }

        Move(ConnectionEvent.LoginRequested);
        return _gather.Begin(headers);
    }

    void IPduHandler.OnDataDigestError(ReadOnlySpan<byte> header, ISegmentSink sink) => FullFeature!.OnDataDigestError(header, sink);

    void IPduHandler.OnFormatError(string reason) => Fail(reason);

    void OnGathered(GatheredPdu pdu)
    {
        if (FullFeature is { } fullFeature)
        {
            fullFeature.OnGathered(pdu);
            return;
        }

        _server.Spoke(this);
        _login!.OnRequest(pdu.Headers, pdu.Text);
        if (pdu.Data is { } data)
        {
            _server.Buffers.Return(data);
        }
    }

    void OnOutputAppeared()
    {
        _outputAppeared = true;
        LeaveIfOutside();
    }

    void Move(ConnectionEvent what) => _state = ConnectionStates.Next(_state, what);

    void Leave()
    {
        _inside--;
        LeaveIfOutside();
    }

    /// <summary>Tells the host what happened, unless a call of ours is still on the stack.</summary>
    void LeaveIfOutside()
    {
        if (_inside > 0 || _isClosed)
        {
            return;
        }

        if (_outputAppeared)
        {
            _outputAppeared = false;
            _host.OutputReady(this);
        }

        if (_closeIsNew)
        {
            _closeIsNew = false;
            _host.CloseRequested(this, CloseReason);
        }
    }

    /// <summary>What the initiator was asked for, and until when it may take. The time runs from the first tick.</summary>
    struct AskedOfInitiator(AsyncEvent what, int seconds)
    {
        long _sinceMs;

        public readonly AsyncEvent What => what;

        public readonly int Seconds => seconds;

        public bool IsOverdue(long nowMs)
        {
            if (what == AsyncEvent.Scsi)
            {
                return false; // nothing was asked for
            }

            _sinceMs = _sinceMs == 0 ? nowMs : _sinceMs;
            return nowMs - _sinceMs >= seconds * 1000L;
        }
    }
}
