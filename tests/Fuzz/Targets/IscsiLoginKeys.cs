using System.Text;
using Scuse.Fuzz.Running;
using Scuse.Iscsi;
using Scuse.Iscsi.Login;
using Scuse.Iscsi.Negotiation;
using Scuse.Iscsi.Pdus;

namespace Scuse.Fuzz.Targets;

/// <summary>
/// Logins: stages in any order, keys twice, of another stage, broken over several requests, of the wrong type, or unknown. Each ends with a status that exists, or with a session whose values lie
/// between what both sides said; who is let in can work, and a session beside them goes on.
/// </summary>
/// <remarks>
/// An input is the requests of one connection, one to a line: a letter for the stage bits, a digit for what is odd about the header, and keys with <c>|</c> for the zero byte.
/// </remarks>
sealed class IscsiLoginKeys : FuzzTarget
{
    const ulong Isid = 0x80_0000_00_0001;
    const uint Tag = 7;

    static readonly byte[] s_stages =
    [
        LoginRequestPdu.StageFlags(false, false, 0, 0), LoginRequestPdu.StageFlags(true, false, 0, 1), LoginRequestPdu.StageFlags(true, false, 0, 3),
        LoginRequestPdu.StageFlags(false, false, 1, 0), LoginRequestPdu.StageFlags(true, false, 1, 3), LoginRequestPdu.StageFlags(false, true, 0, 0),
        LoginRequestPdu.StageFlags(false, true, 1, 0), LoginRequestPdu.StageFlags(true, true, 1, 3), LoginRequestPdu.StageFlags(true, false, 1, 2), LoginRequestPdu.StageFlags(true, false, 3, 3),
    ];

    readonly byte[] _header = new byte[BasicHeader.Length];
    readonly byte[] _keys = new byte[2048];
    readonly HashSet<string> _offered = new(StringComparer.Ordinal);
    readonly HashSet<string> _answered = new(StringComparer.Ordinal);
    readonly List<KeyValuePair<string, string>> _pairs = [];
    readonly List<byte> _reply = [];
    IscsiWorld _world = new();
    int _inputs;
    long _logins, _refusals, _requests;

    public override string Name => "iscsi-login-keys";

    public override int InputsPerReset => 64;

    public override int MaxInputBytes => 1024;

    public override IReadOnlyList<byte[]> Dictionary { get; } = [.. new[]
    {
        "\na0", "\nb0", "\nc0", "\nd0", "\ne0", "\nf0", "\ng0", "\nh0", "\ni0", "\nj0", "\ne1", "\ne2", "\ne4", "\ne8", "|", "=", ",", "\n",
        "InitiatorName=iqn.2026-11.example:a|", $"TargetName={IscsiWorld.TargetName}|", "SessionType=Normal|", "SessionType=Discovery|", "AuthMethod=None|", "AuthMethod=CHAP,None|", "AuthMethod=CHAP|",
        "CHAP_A=5|", "CHAP_A=5,6,7,8|", "CHAP_N=user|", "CHAP_R=0x00|", "CHAP_I=1|", "CHAP_C=0xAABB|", "CHAP_R=0b", "AuthMethod=KRB5,SRP,None|", "HeaderDigest=CRC32C,None|", "DataDigest=CRC32C|", "HeaderDigest=None|",
        "MaxConnections=1|", "MaxConnections=65535|", "InitialR2T=Yes|", "InitialR2T=No|", "ImmediateData=No|", "ImmediateData=Yes|", "MaxRecvDataSegmentLength=512|", "MaxRecvDataSegmentLength=16777215|",
        "MaxBurstLength=512|", "MaxBurstLength=0xFFFFFF|", "FirstBurstLength=512|", "FirstBurstLength=16777215|", "DefaultTime2Wait=3600|", "DefaultTime2Retain=0|", "MaxOutstandingR2T=65535|",
        "DataPDUInOrder=No|", "DataSequenceInOrder=No|", "ErrorRecoveryLevel=2|", "ErrorRecoveryLevel=3|", "IFMarker=Yes|", "OFMarkInt=1~2|", "TaskReporting=RFC3720,FastAbort|", "iSCSIProtocolLevel=2|",
        "SendTargets=All|", "TargetAddress=1|", "TargetPortalGroupTag=1|", "TargetAlias=x|", "InitiatorAlias=me|", "X-com.example.key=1|", "X#unknown=2|", "NodeArchitecture=x|", "Reject", "Irrelevant", "NotUnderstood",
        "0x", "0X10", "-1", "4294967296", "Yes,No", "\u00fc", new string('n', 230), new string('k', 64) + "=1|",
    }.Select(Encoding.UTF8.GetBytes)];

    public override void Reset()
    {
        _inputs = 0;
        _world = new IscsiWorld();
    }

    public override void Count()
    {
        Tally["requests"] = _requests;
        Tally["refused"] = _refusals;
        Tally["logged in"] = _logins;
    }

    public override ulong Execute(ReadOnlySpan<byte> input)
    {
        ulong reached = 0;
        _offered.Clear();
        _answered.Clear();
        _reply.Clear();
        var peer = new IscsiPeer(_world, address: 0);
        Check(!peer.IsClosed, "a connection is not let in");
        uint cmdSN = 1;
        while (!input.IsEmpty && !peer.IsClosed && peer.Connection.Session is null)
        {
            int end = input.IndexOf((byte)'\n');
            ReadOnlySpan<byte> line = end < 0 ? input : input[..end];
            input = end < 0 ? default : input[(end + 1)..];
            if (line.Length >= 2)
            {
                reached = (reached * 31) + Request(peer, line, ref cmdSN);
            }
        }

        if (peer.Connection.Session is { IsAlive: true } session && !peer.IsClosed)
        {
            _logins++;
            CheckSession(session);
            Work(peer, session, cmdSN);
            reached ^= 0xA5;
        }

        if (!peer.IsClosed)
        {
            peer.Close();
        }

        foreach (IscsiSession left in _world.Sessions)
        {
            // At ErrorRecoveryLevel 2 a session waits for its initiator's return for as long as was agreed; the world looks whether it ends then.
            Check(left.Connections.Count > 0 || (left.Parameters.ErrorRecoveryLevel == 2 && left.Parameters.DefaultTime2RetainSeconds > 0), "a session is left without a connection");
        }

        return reached;
    }

    public override void Settle()
    {
        _world.ReadBeside();
        if (++_inputs == InputsPerReset)
        {
            _world.Settle();
        }
    }

    ulong Request(IscsiPeer peer, ReadOnlySpan<byte> line, ref uint cmdSN)
    {
        int stage = line[0] - 'a';
        byte flags = stage >= 0 && stage < s_stages.Length ? s_stages[stage] : line[0];
        int odd = line[1] - '0';
        ReadOnlySpan<byte> text = line[2..];
        text.Replace(_keys, (byte)'|', (byte)0);
        text = _keys.AsSpan(0, text.Length);
        Offer(text);
        LoginRequestPdu.WriteTo(
            _header, flags, Isid + (ulong)(odd & 1), (ushort)(odd >> 1 & 1), Tag + (uint)(odd >> 3 & 1), (ushort)(odd >> 2 & 1), cmdSN, peer.ExpStatSN, text.Length, versionMin: (byte)(odd >> 4 & 1));
        _requests++;
        int came = peer.Came[(int)Opcode.LoginResponse];
        peer.Send(_header, text, default);
        if (peer.Came[(int)Opcode.LoginResponse] == came)
        {
            Check(peer.IsClosed, "a login request has no answer");
            return 0;
        }

        Check(peer.Came[(int)Opcode.LoginResponse] == came + 1, "a login request has two answers");
        var response = new LoginResponsePdu(peer.LastHeader);
        var status = (LoginStatus)response.Status;
        Check(Enum.IsDefined(status), "no such login status");
        if (status != LoginStatus.Success)
        {
            _refusals++;
            Check(peer.IsClosed && peer.Connection.Session is null, "refused, and not closed");
            return (ulong)status;
        }

        var request = new LoginRequestPdu(_header);
        Check(!response.Transit || (request.Transit && response.NextStage == request.NextStage), "a stage is left that was not to be left");
        Check(response.CurrentStage == request.CurrentStage, "an answer is of another stage");
        Check(!response.Transit || !response.Continue, "a stage is left in the middle of an answer");
        Check((peer.Connection.Session is not null) == (response.Transit && response.NextStage == (int)LoginStage.FullFeaturePhase), "a login is over, or not, and the answer says otherwise");
        _reply.AddRange(peer.LastText);
        ulong keys = 0;
        if (!response.Continue)
        {
            keys = SeeReply();
            _reply.Clear();
        }

        return keys ^ ((ulong)response.Header.Flags << 56) ^ (response.Tsih == 0 ? 0 : 1ul << 55);
    }

    /// <summary>Roughly the keys' names: what is broken over two requests is not found here.</summary>
    void Offer(ReadOnlySpan<byte> text)
    {
        foreach (Range range in text.Split((byte)0))
        {
            int equals = text[range].IndexOf((byte)'=');
            if (equals > 0)
            {
                _offered.Add(Encoding.UTF8.GetString(text[range][..equals]));
            }
        }
    }

    ulong SeeReply()
    {
        _pairs.Clear();
        ReadOnlySpan<byte> reply = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_reply);
        Check(reply.IsEmpty || reply[^1] == 0, "an answer does not end with a zero byte");
        Check(TextPairs.TryRead(reply, _pairs, out string reason), reason);
        ulong keys = 0;
        foreach ((string key, string value) in _pairs)
        {
            bool isSaid = value is KeyResult.NotUnderstood or KeyResult.Reject or KeyResult.Irrelevant;
            Check(isSaid || KeyTable.Find(key) is not null || key.StartsWith("CHAP_", StringComparison.Ordinal), "a key is answered that nobody knows");
            Check(isSaid || _answered.Add(key), "a key is answered twice");
            keys = (keys * 131) + (ulong)(key.Length + (isSaid ? value.Length * 64 : 0));
        }

        return keys & ((1ul << 50) - 1);
    }

    void CheckSession(IscsiSession session)
    {
        SessionParameters parameters = session.Parameters;
        IscsiOptions ours = _world.Server.Options;
        Check(parameters.InitiatorName.Length is > 0 and <= 223, "a session of nobody");
        Check(session.IsDiscovery || session.Target == _world.Target, "a session with a target that was not named");
        Check(parameters.MaxBurstLength >= 512 && parameters.MaxBurstLength <= Math.Max(ours.MaxBurstLength, 262144), "MaxBurstLength");
        Check(parameters.FirstBurstLength >= 512 && parameters.FirstBurstLength <= parameters.MaxBurstLength, "FirstBurstLength");
        Check(parameters.MaxOutstandingR2T >= 1 && parameters.MaxOutstandingR2T <= ours.MaxOutstandingR2T, "MaxOutstandingR2T");
        Check(parameters.MaxConnections >= 1 && parameters.MaxConnections <= ours.MaxConnectionsPerSession, "MaxConnections");
        Check(parameters.ErrorRecoveryLevel <= ours.ErrorRecoveryLevel, "ErrorRecoveryLevel");
        Check(parameters.Connection.InitiatorMaxRecvDataSegmentLength is >= 512 and <= 16777215, "MaxRecvDataSegmentLength");
        Check(parameters.DefaultTime2WaitSeconds <= 3600 && parameters.DefaultTime2RetainSeconds <= 3600, "times");
    }

    /// <summary>Who is let in is answered: a ping, with what digests there are; and in a normal session INQUIRY.</summary>
    void Work(IscsiPeer peer, IscsiSession session, uint cmdSN)
    {
        NopOutPdu.WriteTo(_header, 0, 1, BasicHeader.ReservedTag, cmdSN, peer.ExpStatSN, 64, immediate: true);
        peer.Send(_header, _keys.AsSpan(0, 64), default);
        Check(peer.Came[(int)Opcode.NopIn] == 1, "a ping is not answered");
        if (session.IsDiscovery)
        {
            return;
        }

        Span<byte> cdb = [0x12, 0, 0, 0, 96, 0];
        ScsiCommandPdu.WriteTo(_header, BasicHeader.FinalBit | ScsiCommandPdu.ReadBit, 0, 2, 96, cmdSN, peer.ExpStatSN, cdb);
        peer.Send(_header, default, default);
        Check(peer.Came[(int)Opcode.DataIn] > 0, "INQUIRY is not answered");
    }
}
