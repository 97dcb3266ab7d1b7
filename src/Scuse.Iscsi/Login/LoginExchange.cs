using System.Runtime.InteropServices;
using System.Text;
using Scuse.Iscsi.FullFeature;
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
    CommandWindow? _window;
    IscsiSession? _session; // the one that the connection joins

    // What the first request settled.
    ulong _isid;
    ushort _tsih;
    ushort _connectionId;
    uint _taskTag;
    LoginStage? _stage;

    public void OnRequest(ReadOnlySpan<byte> headers, ReadOnlySpan<byte> text)
    {
        var request = new LoginRequestPdu(headers);
        LoginStatus status = request.Header.Opcode == Opcode.LoginRequest ? Accept(request, text) : LoginStatus.InvalidDuringLogin;
        if (status == LoginStatus.Success)
        {
            status = Proceed(request);
        }

        if (status != LoginStatus.Success)
        {
            Fail(request, status);
        }
    }

    /// <summary>Checks a request against those before it, and takes its text.</summary>
    LoginStatus Accept(in LoginRequestPdu request, ReadOnlySpan<byte> text)
    {
        if (_window is null)
        {
            output.StatSN = request.Header.ExpStatSN;
            _window = new CommandWindow(server.Options.CommandWindow, request.Header.CmdSN);
            output.Window = _window;
            _isid = request.Isid;
            _tsih = request.Tsih;
            _connectionId = request.ConnectionId;
            _taskTag = request.Header.InitiatorTaskTag;
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

        LoginStatus keys = AnswerKeys(pairs, reply);
        if (keys != LoginStatus.Success)
        {
            return keys;
        }

        _reply = Encoding.UTF8.GetBytes(reply.ToString());
        _replySent = 0;
        return SendReply(request);
    }

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

        if (initiator.Length > MaxNameLength)
        {
            return LoginStatus.InitiatorError;
        }

        if (type is not (KeyTable.Normal or KeyTable.Discovery))
        {
            return LoginStatus.SessionTypeNotSupported;
        }

        if (type == KeyTable.Discovery && !server.DiscoveryAccess.Admits(initiator, connection.RemoteIP))
        {
            return LoginStatus.AuthorizationFailure;
        }

        if (type == KeyTable.Normal)
        {
            if (string.IsNullOrEmpty(targetName))
            {
                return LoginStatus.MissingParameter;
            }

            _target = server.Find(targetName, initiator, connection.RemoteIP);
            if (_target is null) // or is not for this initiator: what it may not have it cannot tell from what is not there
            {
                return LoginStatus.NotFound;
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
        _namesAreKnown = true;
        return LoginStatus.Success;
    }

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

        _session = session;
        output.Window = session.Tasks.Window;
        Negotiation.IsLeading = false;
        return LoginStatus.Success;
    }

    LoginStatus AnswerKeys(List<KeyValuePair<string, string>> pairs, StringBuilder reply)
    {
        bool isSecurity = _stage == LoginStage.SecurityNegotiation;
        if (isSecurity && Value(pairs, KeyTable.AuthMethod) is { } methods && !methods.Split(',').Contains(KeyResult.None))
        {
            return LoginStatus.AuthenticationFailure;
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
        bool transit = request.Transit && !more;
        bool isFinal = transit && request.NextStage == (int)LoginStage.FullFeaturePhase;
        ushort tsih = _tsih;
        IscsiSession? session = null;
        if (isFinal)
        {
            if (_session is { } joined && !joined.HasRoomFor(_connectionId))
            {
                return LoginStatus.CannotIncludeInSession; // since the login began
            }

            session = _session ?? server.Begin(_parameters, _isid, _target, _window!, connection.AcceptedMs);
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
        ControlPdu pdu = output.Rent(takesStatSN: true);
        LoginResponsePdu.WriteTo(pdu.Header, 0, request.Isid, request.Tsih, request.Header.InitiatorTaskTag, (ushort)status, 0);
        output.Add(pdu);
        connection.LoginFailed($"login failed with status {(ushort)status:X4} ({status})");
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
