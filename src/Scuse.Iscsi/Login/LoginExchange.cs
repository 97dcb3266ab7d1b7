using System.Runtime.InteropServices;
using System.Text;
using Scuse.Iscsi.Access;
using Scuse.Iscsi.FullFeature;
using Scuse.Iscsi.Moving;
using Scuse.Iscsi.Negotiation;
using Scuse.Iscsi.Output;
using Scuse.Iscsi.Pdus;

namespace Scuse.Iscsi.Login;

/// <summary>One connection's login, from its first request to the final response. RFC 7143 sections 6, 11.12 and 11.13.</summary>
internal sealed class LoginExchange(IscsiConnection connection, IscsiServer server, OutputQueue output)
{
    /// <summary>The most requests a login may take; enough for any real one, and an end for one that goes in circles.</summary>
    const int MaxRequests = 64;

    /// <summary>The longest iSCSI name in bytes. RFC 7143 section 4.2.7.1.</summary>
    const int MaxNameLength = 223;

    readonly SessionParameters _parameters = new();
    readonly List<byte> _text = [];
    byte[] _reply = [];
    int _replySent;
    int _requests;
    bool _namesAreKnown;
    bool _lengthIsDeclared;
    IscsiTarget? _target;
    TargetAccess _access = TargetAccess.Open;
    SecurityNegotiation? _security; // null: no authentication is asked for
    byte[]? _earlyRequest; // the first one, before its turn: see LoginPace
    byte[]? _heldRequest; // its answer has to wait: see LoginFailures
    StringBuilder _heldReply = new();
    string _reason = "";
    CommandWindow? _window;
    IscsiSession? _session; // the one that the connection joins

    // What the first request settled.
    ulong _isid;
    ushort _tsih;
    ushort _connectionId;
    uint _taskTag;
    LoginStage? _stage;
    int _proofAtRequest = -1;
    bool _isContinued; // another server has begun it

    public void OnRequest(ReadOnlySpan<byte> headers, ReadOnlySpan<byte> text)
    {
        var request = new LoginRequestPdu(headers);
        LoginStatus status = request.Header.Opcode != Opcode.LoginRequest ? LoginStatus.InvalidDuringLogin
            : _heldRequest is not null || _earlyRequest is not null ? LoginStatus.InitiatorError // it has to wait for an answer
            : Accept(request, text);
        if (status == LoginStatus.Success)
        {
            if (_requests == 1 && !MayBegin)
            {
                _earlyRequest = request.ToArray();
                return;
            }

            status = Proceed(request);
        }

        FailUnless(request, status);
    }

    /// <summary>Goes on with what another server has begun, which the target is not at.</summary>
    public void GoOn(LoginStart start)
    {
        var request = new LoginRequestPdu(start.Request);
        Begin(request, start.CmdSN, start.StatSN);
        _isContinued = true;
        _requests = start.Requests;
        _stage = (LoginStage)request.CurrentStage;
        _text.AddRange(start.Text);
        FailUnless(request, Proceed(request));
    }

    /// <summary>Time goes on for a first request, or an answer to a challenge, that has to wait.</summary>
    public void Tick()
    {
        if (_earlyRequest is { } early && MayBegin)
        {
            _earlyRequest = null;
            var request = new LoginRequestPdu(early);
            FailUnless(request, Proceed(request));
        }
        else if (_heldRequest is { } held && !MustWait)
        {
            _heldRequest = null;
            var request = new LoginRequestPdu(held);
            FailUnless(request, Verify(request, _heldReply));
        }
    }

    void FailUnless(in LoginRequestPdu request, LoginStatus status)
    {
        if (status != LoginStatus.Success)
        {
            Fail(request, status);
        }
    }

    /// <summary>Whether the target has proved itself to the initiator (mutual CHAP), which has not gone on since.</summary>
    public bool IsProofUnanswered => _proofAtRequest == _requests;

    bool MayBegin => server.LoginPace.TryTake(connection.RemoteIP, connection.NowMs);

    bool MustWait => server.LoginFailures.MustWait(connection.RemoteIP, connection.NowMs);

    LoginStatus Refuse(LoginStatus status, string reason)
    {
        _reason = reason;
        return status;
    }

    /// <summary>Checks a request against those before it, and takes its text.</summary>
    LoginStatus Accept(in LoginRequestPdu request, ReadOnlySpan<byte> text)
    {
        if (_window is null)
        {
            Begin(request, request.Header.CmdSN, request.Header.ExpStatSN);
            if (request.VersionMin > 0)
            {
                return LoginStatus.UnsupportedVersion;
            }
        }
        else if (request.Isid != _isid || request.Tsih != _tsih || request.ConnectionId != _connectionId
            || request.Header.InitiatorTaskTag != _taskTag)
        {
            return LoginStatus.InitiatorError;
        }

        if (++_requests > MaxRequests || _text.Count + text.Length > TextPairs.MaxTextBytes
            || !LoginStages.IsAllowed(_stage, request.Transit, request.Continue, request.CurrentStage, request.NextStage))
        {
            return LoginStatus.InitiatorError;
        }

        _stage = (LoginStage)request.CurrentStage;
        _text.AddRange(text);
        return LoginStatus.Success;
    }

    void Begin(in LoginRequestPdu request, uint cmdSN, uint statSN)
    {
        output.StatSN = statSN;
        _window = new CommandWindow(server.Options.CommandWindow, cmdSN);
        output.Window = _window;
        _isid = request.Isid;
        _tsih = request.Tsih;
        _connectionId = request.ConnectionId;
        _taskTag = request.Header.InitiatorTaskTag;
    }

    LoginStatus Proceed(in LoginRequestPdu request)
    {
        if (request.Continue)
        {
            Respond(request, transit: false, []); // RFC 7143 section 6.2: an empty response asks for the rest
            return LoginStatus.Success;
        }

        if (_replySent < _reply.Length)
        {
            if (_text.Count > 0)
            {
                return LoginStatus.InitiatorError;
            }

            return SendReply(request);
        }

        List<KeyValuePair<string, string>> pairs = [];
        bool isRight = TextPairs.TryRead(CollectionsMarshal.AsSpan(_text), pairs, out _);
        if (isRight && !_namesAreKnown && !_isContinued && OwnerElsewhere(pairs) is { } owner)
        {
            connection.MoveTo(owner, new LoginStart(request.ToArray(), [.. _text], _requests, _window!.ExpCmdSN));
            return LoginStatus.Success;
        }

        _text.Clear();
        if (!isRight)
        {
            return LoginStatus.InitiatorError;
        }

        StringBuilder reply = new();
        if (!_namesAreKnown)
        {
            LoginStatus names = LearnNames(pairs, reply);
            if (names != LoginStatus.Success)
            {
                return names;
            }
        }

        if (MayKnowMore)
        {
            LoginStatus here = IsHere();
            if (here != LoginStatus.Success)
            {
                return here;
            }
        }

        LoginStatus keys = AnswerKeys(pairs, reply);
        if (keys != LoginStatus.Success)
        {
            return keys;
        }

        if (_security is { IsComplete: false } security)
        {
            return Authenticate(security, request, reply);
        }

        return Reply(request, reply);
    }

    /// <summary>Once the initiator has answered the challenge, its answer is looked at, or has to wait for that.</summary>
    LoginStatus Authenticate(SecurityNegotiation security, in LoginRequestPdu request, StringBuilder reply)
    {
        if (security.Exchange is { HasAnswer: true })
        {
            if (!MustWait)
            {
                return Verify(request, reply);
            }

            (_heldRequest, _heldReply) = (request.ToArray(), reply);
            return LoginStatus.Success;
        }

        if (request.Transit && security.Exchange is null)
        {
            return Refuse(LoginStatus.AuthenticationFailure, "the initiator passes over authentication, which is asked for here");
        }

        return Reply(request, reply);
    }

    LoginStatus Verify(in LoginRequestPdu request, StringBuilder reply)
    {
        Chap.ChapExchange exchange = _security!.Exchange!;
        if (exchange.Verify(reply) is { } problem)
        {
            server.LoginFailures.Add(connection.RemoteIP, connection.NowMs);
            server.LoginFailed?.Invoke(connection.RemoteIP, connection.NowMs);
            return Refuse(LoginStatus.AuthenticationFailure, $"CHAP user '{Peer.Printable(exchange.ClaimedName)}': {problem}");
        }

        ChapUser user = exchange.User!;
        if (user.Initiators is { } initiators && !initiators.Any(pattern => pattern.Matches(_parameters.InitiatorName, connection.RemoteIP)))
        {
            return Refuse(LoginStatus.AuthorizationFailure, $"CHAP user '{user.Name}' may not log in as this initiator");
        }

        _parameters.Authenticated = new Authenticated(user, exchange.Algorithm, exchange.IsMutual);
        _proofAtRequest = exchange.IsMutual ? _requests : _proofAtRequest;
        return Reply(request, reply);
    }

    LoginStatus Reply(in LoginRequestPdu request, StringBuilder reply)
    {
        _reply = Encoding.UTF8.GetBytes(reply.ToString());
        _replySent = 0;
        return SendReply(request);
    }

    /// <summary>The entity's other server that has the target, if that is what the initiator wants and may know of; else it is told so here.</summary>
    IscsiServer? OwnerElsewhere(List<KeyValuePair<string, string>> pairs) =>
        (Value(pairs, KeyTable.SessionType) ?? KeyTable.Normal) == KeyTable.Normal
        && Value(pairs, KeyTable.InitiatorName) is { Length: > 0 } initiator
        && Value(pairs, KeyTable.TargetName) is { Length: > 0 } target
        && server.Find(target, initiator, connection.RemoteIP)?.ServerFor(_tsih) is { } owner && owner != server
            ? owner
            : null;

    /// <summary>Who is there, and what it wants: the keys that the first request has to bring. RFC 7143 section 6.3.</summary>
    LoginStatus LearnNames(List<KeyValuePair<string, string>> pairs, StringBuilder reply)
    {
        string? initiator = Value(pairs, KeyTable.InitiatorName);
        string? targetName = Value(pairs, KeyTable.TargetName);
        string type = Value(pairs, KeyTable.SessionType) ?? KeyTable.Normal;
        if (string.IsNullOrEmpty(initiator))
        {
            return LoginStatus.MissingParameter;
        }

        if (initiator.Length > MaxNameLength || initiator.Any(char.IsControl))
        {
            return LoginStatus.InitiatorError;
        }

        if (type is not (KeyTable.Normal or KeyTable.Discovery))
        {
            return LoginStatus.SessionTypeNotSupported;
        }

        _parameters.InitiatorName = initiator;
        if (type == KeyTable.Discovery && !server.Entity.DiscoveryAccess.Admits(initiator, connection.RemoteIP))
        {
            return Refuse(LoginStatus.AuthorizationFailure, "the initiator may not ask which targets there are");
        }

        if (type == KeyTable.Normal)
        {
            if (string.IsNullOrEmpty(targetName))
            {
                return LoginStatus.MissingParameter;
            }

            _target = server.Find(targetName, initiator, connection.RemoteIP);
            if (_target is null || !_target.IsAt(server)) // or is not for this initiator: what it may not have it cannot tell from what is not there
            {
                return Refuse(LoginStatus.NotFound, server.Find(targetName) is null
                    ? $"there is no target {Peer.Printable(targetName)}"
                    : $"the initiator may not log in to {Peer.Printable(targetName)}");
            }
        }

        if (_tsih != 0)
        {
            LoginStatus joining = Join(initiator);
            if (joining != LoginStatus.Success)
            {
                return joining;
            }
        }

        if (targetName is not null)
        {
            // RFC 7143 section 13.9: in the first response after a request that names a target.
            TextPairs.Append(
                reply, KeyTable.TargetPortalGroupTag, server.Options.TargetPortalGroupTag.ToString(System.Globalization.CultureInfo.InvariantCulture));
        }

        _parameters.IsDiscovery = type == KeyTable.Discovery;
        _parameters.TargetName = targetName ?? "";
        _access = CurrentAccess;
        if (_access.Chap is { } authentication)
        {
            _security = new SecurityNegotiation(authentication, server.Random);
        }

        _namesAreKnown = true;
        return LoginStatus.Success;
    }

    /// <summary>
    /// Whether the initiator may know where the target is: it need not prove who it is, or not for that; or it has done so and, where it asked for that, has seen the target's proof.
    /// </summary>
    bool MayKnowMore =>
        _security is null
        || (server.Entity.DiscoveryAccess.Chap is null && server.Entity.DiscoveryAccess.Admits(_parameters.InitiatorName, connection.RemoteIP))
        || (_security.IsComplete && _stage != LoginStage.SecurityNegotiation);

    /// <summary>Whether a new session is to be here, or somewhere else. See <see cref="TargetRedirection"/> and <see cref="TargetDrain"/>.</summary>
    LoginStatus IsHere() => _target switch
    {
        null => LoginStatus.Success,
        _ when _tsih != 0 => LoginStatus.Success, // a connection for a session that is here
        { Redirection.IsPermanent: true } => LoginStatus.TargetMovedPermanently,
        { Redirection: not null } => LoginStatus.TargetMovedTemporarily,
        { IsDraining: true } => Refuse(LoginStatus.ServiceUnavailable, "the target takes no new sessions: it is being drained"),
        _ => LoginStatus.Success,
    };

    TargetAccess CurrentAccess => _target?.Access ?? server.Entity.DiscoveryAccess;

    /// <summary>Names may be said again, but not changed: what an initiator may was decided by the first ones.</summary>
    bool ChangesNames(List<KeyValuePair<string, string>> pairs) =>
        (Value(pairs, KeyTable.InitiatorName) is { } initiator && initiator != _parameters.InitiatorName)
        || (Value(pairs, KeyTable.TargetName) is { } target && target != _parameters.TargetName)
        || (Value(pairs, KeyTable.SessionType) is { } type && type == KeyTable.Discovery != _parameters.IsDiscovery);

    /// <summary>A connection more for a session, or in the place of one that it has. RFC 7143 section 6.3.4.</summary>
    LoginStatus Join(string initiator)
    {
        if (server.FindSession(_tsih) is not { } session || !session.IsSameInitiatorPort(initiator, _isid) || session.Node != _target)
        {
            return LoginStatus.SessionDoesNotExist;
        }

        if (!session.HasRoomFor(_connectionId))
        {
            return LoginStatus.TooManyConnections;
        }

        _session = session; // whose numbers are told once the initiator is let in
        Negotiation.IsLeading = false;
        return LoginStatus.Success;
    }

    LoginStatus AnswerKeys(List<KeyValuePair<string, string>> pairs, StringBuilder reply)
    {
        bool isSecurity = _stage == LoginStage.SecurityNegotiation;
        if (ChangesNames(pairs))
        {
            return Refuse(LoginStatus.InitiatorError, "the initiator changes a name during login");
        }

        if (isSecurity && _security is not null)
        {
            if (_security.Take(pairs, reply) is { } problem)
            {
                return Refuse(LoginStatus.AuthenticationFailure, problem);
            }
        }
        else if (_security is { IsComplete: false })
        {
            return Refuse(LoginStatus.AuthenticationFailure, "the initiator passes over authentication, which is asked for here");
        }
        else if (pairs.Exists(static pair => Chap.ChapExchange.IsKey(pair.Key)))
        {
            return Refuse(isSecurity ? LoginStatus.AuthenticationFailure : LoginStatus.InitiatorError, "CHAP begins where it was not agreed on");
        }

        if (isSecurity && Value(pairs, KeyTable.AuthMethod) is { } methods && !methods.Split(',').Contains(KeyResult.None))
        {
            return Refuse(LoginStatus.AuthenticationFailure, "the initiator wants authentication, and there is none here");
        }

        if (Negotiation.Answer(pairs, isSecurity ? KeyPhases.Security : KeyPhases.Operational, reply) is not null)
        {
            return LoginStatus.InitiatorError;
        }

        if (!isSecurity && !_lengthIsDeclared)
        {
            _lengthIsDeclared = true;
            TextPairs.Append(
                reply, KeyTable.MaxRecvDataSegmentLength,
                server.Options.MaxRecvDataSegmentLength.ToString(System.Globalization.CultureInfo.InvariantCulture));
        }

        return LoginStatus.Success;
    }

    TextNegotiation Negotiation => field ??= new TextNegotiation(server.Options, _parameters);

    /// <summary>Sends the reply's next part, and moves to the next stage with the last one when that is asked for.</summary>
    LoginStatus SendReply(in LoginRequestPdu request)
    {
        int length = Math.Min(_reply.Length - _replySent, _parameters.Connection.InitiatorMaxRecvDataSegmentLength);
        int start = _replySent;
        _replySent += length;
        bool more = _replySent < _reply.Length;
        bool isSecure = _security is null || _security.IsComplete;
        bool transit = request.Transit && !more && isSecure;
        bool isFinal = transit && request.NextStage == (int)LoginStage.FullFeaturePhase;
        ushort tsih = _tsih;
        IscsiSession? session = null;
        if (isFinal)
        {
            LoginStatus change = WhatChanged();
            if (change != LoginStatus.Success)
            {
                return change;
            }

            if (_session is { } joined && !joined.HasRoomFor(_connectionId))
            {
                return LoginStatus.CannotIncludeInSession; // since the login began
            }

            session = _session ?? server.Begin(_parameters, _isid, _target, _window!, connection);
            if (session is null)
            {
                return LoginStatus.OutOfResources;
            }

            tsih = session.Tsih;
        }
        else if (transit)
        {
            _stage = (LoginStage)request.NextStage;
        }

        Respond(request, transit, _reply.AsSpan(start, length), more, tsih);
        if (session is not null)
        {
            connection.LoggedIn(session, Negotiation, _connectionId, _lengthIsDeclared);
        }

        return LoginStatus.Success;
    }

    /// <summary>What may have become different since the login began, and what is known only at its end.</summary>
    LoginStatus WhatChanged()
    {
        if (_target is not null && !_target.IsAt(server))
        {
            return LoginStatus.TargetRemoved;
        }

        if (!ReferenceEquals(_access, CurrentAccess))
        {
            return Refuse(LoginStatus.ServiceUnavailable, "who may log in has changed meanwhile");
        }

        LoginStatus here = IsHere();
        if (here != LoginStatus.Success)
        {
            return here;
        }

        IscsiSession? other = _session ?? IscsiServer.FindSession(_parameters.InitiatorName, _isid, _target);
        return other is not null && other.ChapUser != _parameters.Authenticated?.User.Name && (_session is not null || _access.Chap is not null)
            ? Refuse(LoginStatus.AuthorizationFailure, "the session of this initiator port is another CHAP user's")
            : LoginStatus.Success;
    }

    void Respond(in LoginRequestPdu request, bool transit, ReadOnlySpan<byte> text, bool more = false, ushort? tsih = null)
    {
        byte flags = LoginRequestPdu.StageFlags(transit, more, request.CurrentStage, transit ? request.NextStage : 0);
        ControlPdu pdu = output.Rent(takesStatSN: true);
        LoginResponsePdu.WriteTo(
            pdu.Header, flags, _isid, tsih ?? _tsih, request.Header.InitiatorTaskTag, (ushort)LoginStatus.Success, text.Length);
        output.SetData(pdu, text);
        output.Add(pdu);
    }

    void Fail(in LoginRequestPdu request, LoginStatus status)
    {
        // T, CSG and NSG mean nothing with a status other than success. RFC 7143 section 11.13.
        bool hasMoved = status is LoginStatus.TargetMovedTemporarily or LoginStatus.TargetMovedPermanently;
        StringBuilder text = new();
        if (hasMoved)
        {
            TextPairs.Append(text, KeyTable.TargetAddress, _target!.Redirection!.Address);
            _reason = $"sent on to {_target.Redirection.Address}";
        }

        byte[] data = Encoding.UTF8.GetBytes(text.ToString());
        ControlPdu pdu = output.Rent(takesStatSN: true);
        LoginResponsePdu.WriteTo(pdu.Header, 0, request.Isid, request.Tsih, request.Header.InitiatorTaskTag, (ushort)status, data.Length);
        output.SetData(pdu, data);
        output.Add(pdu);
        string who = _parameters.InitiatorName.Length == 0 ? "" : $" of {Peer.Printable(_parameters.InitiatorName)}";
        string why = _reason.Length == 0 ? "" : $": {_reason}";
        connection.LoginFailed($"login{who} {(hasMoved ? "ended" : "failed")} with status {(ushort)status:X4} ({status}){why}", isRefused: !hasMoved);
    }

    static string? Value(List<KeyValuePair<string, string>> pairs, string key)
    {
        foreach ((string name, string value) in pairs)
        {
            if (name == key)
            {
                return value;
            }
        }

        return null;
    }
}
