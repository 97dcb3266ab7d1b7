using System.Text;
using Scuse.Iscsi.Pdus;
using Scuse.Target;

namespace Scuse.Iscsi.Tests.Rig;

/// <summary>What a test has in common with a node: its server, target, device and clock.</summary>
sealed class Node
{
    public const string TargetName = "iqn.2026-11.example:disks";

    public Node(IscsiOptions? options = null, int segmentBytes = 4096, RandomFill? random = null, IscsiEntity? entity = null, string? name = null)
    {
        Device = new FakeBackstore(segmentBytes);
        Target = new ScsiTarget(name ?? TargetName, [new LogicalUnit(0, Device)]);
        Server = new IscsiServer(options ?? new IscsiOptions(), entity) { Random = random ?? System.Security.Cryptography.RandomNumberGenerator.Fill };
        IscsiTarget = new IscsiTarget(Target) { Places = Spread.IsAsked ? Spread.Over(Target, Server) : [] };
        Server.Add(IscsiTarget);
    }

    public FakeBackstore Device { get; }

    public ScsiTarget Target { get; }

    public IscsiTarget IscsiTarget { get; }

    public IscsiServer Server { get; }
}

/// <summary>What a line does to a PDU.</summary>
enum Damage
{
    None,
    Header,
    Data,
}

/// <summary>An initiator in virtual time: it writes PDUs into a connection and reads what comes out.</summary>
sealed class Initiator : IConnectionHost
{
    public const ulong Isid = 0x80_00_00_00_00_01;
    public const uint None = 0xFFFF_FFFF;
    readonly Pieces _pieces;
    readonly Initiator _leading;
    uint _cmdSN = 1;
    readonly Memory<byte>[] _buffers = new Memory<byte>[256];
    readonly List<byte> _transcript = [];
    readonly byte[] _header = new byte[48 + 1020];
    int _read;

    public Initiator(Node node, Cut cut = Cut.Whole, int seed = 1, string local = "127.0.0.1:3260", Initiator? leading = null, string remote = "10.0.0.9:40000", IscsiServer? door = null)
    {
        _leading = leading ?? this;
        Node = node;
        _pieces = new Pieces(cut, seed);
        Connection = (door ?? node.Server).Accept(remote, local, this, NowMs);
    }

    public Node Node { get; }

    public FakeBackstore Device => Node.Device;

    public IscsiConnection Connection { get; private set; }

    public long NowMs { get; set; } = 1000;

    /// <summary>The number of the next command: the connections of a session share it.</summary>
    public uint CmdSN
    {
        get => _leading._cmdSN;
        set => _leading._cmdSN = value;
    }

    public uint ExpStatSN { get; set; } = 1;

    /// <summary>What the newest PDU said of the commands that have arrived.</summary>
    public uint LastExpCmdSN { get; private set; }

    public bool HasHeaderDigest { get; set; }

    public bool HasDataDigest { get; set; }

    /// <summary>Whether what comes is acknowledged with the next request.</summary>
    public bool Acknowledges { get; set; } = true;

    /// <summary>What happens to the next PDU on its way.</summary>
    public Damage NextDamage { get; set; }

    public int OutputReadyCalls { get; private set; }

    public List<string> CloseRequests { get; } = [];

    public byte[] Transcript => [.. _transcript];

    public void OutputReady(IscsiConnection connection) => OutputReadyCalls++;

    public void CloseRequested(IscsiConnection connection, string reason) => CloseRequests.Add(reason);

    // ---- bytes ----

    /// <summary>Feeds bytes in pieces, as far as the connection reads.</summary>
    public void Feed(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            Move();
            int count = Connection.GetReceiveBuffers(_buffers.AsSpan(0, Math.Max(8, _pieces.BufferCount())));
            if (count == 0)
            {
                return;
            }

            int left = Math.Min(bytes.Length, _pieces.Length(bytes.Length));
            int moved = 0;
            for (int i = 0; i < count && left > 0; i++)
            {
                int n = Math.Min(left, _buffers[i].Length);
                bytes.Slice(moved, n).CopyTo(_buffers[i].Span);
                moved += n;
                left -= n;
            }

            bytes = bytes[moved..];
            Connection.Received(moved, NowMs);
        }

        Move();
    }

    /// <summary>Brings the connection to the server that it moves to, as the owner of the socket does; what it still sends here is taken first.</summary>
    void Move()
    {
        if (Connection.MovesTo is { } server)
        {
            Pump();
            IscsiHandOver handOver = Connection.HandOver();
            Connection = server.TakeOver(handOver, this);
            Connection.GoOn(handOver, NowMs);
        }
    }

    /// <summary>Takes all output there is.</summary>
    public void Pump()
    {
        while (Connection.HasOutput)
        {
            int count = Connection.GetSendBuffers(_buffers.AsSpan(0, _pieces.BufferCount()));
            if (count == 0)
            {
                return;
            }

            int total = 0;
            for (int i = 0; i < count; i++)
            {
                total += _buffers[i].Length;
            }

            int send = _pieces.Length(total);
            int left = send;
            for (int i = 0; i < count && left > 0; i++)
            {
                int n = Math.Min(left, _buffers[i].Length);
                _transcript.AddRange(_buffers[i].Span[..n]);
                left -= n;
            }

            Connection.Sent(send);
        }
    }

    /// <summary>Takes so many bytes of the output and no more, as a socket does that is full then.</summary>
    public void Take(int bytes)
    {
        int count = Connection.GetSendBuffers(_buffers);
        for (int i = 0, left = bytes; left > 0; i++)
        {
            Assert.True(i < count, "there is not so much output");
            int n = Math.Min(left, _buffers[i].Length);
            _transcript.AddRange(_buffers[i].Span[..n]);
            left -= n;
        }

        Connection.Sent(bytes);
    }

    /// <summary>Sends a header with a data segment.</summary>
    public void Send(ReadOnlySpan<byte> header, ReadOnlySpan<byte> data = default) => Feed(Sealed(header, data));

    /// <summary>A PDU with the digests that login settled, harmed as <see cref="NextDamage"/> says.</summary>
    public byte[] Sealed(ReadOnlySpan<byte> header, ReadOnlySpan<byte> data)
    {
        List<byte> pdu = [.. header];
        if (HasHeaderDigest)
        {
            pdu.AddRange(Pdu.Digest(header));
        }

        if (!data.IsEmpty)
        {
            byte[] padded = new byte[data.Length + BasicHeader.PaddingFor(data.Length)];
            data.CopyTo(padded);
            int start = pdu.Count;
            pdu.AddRange(padded);
            if (HasDataDigest)
            {
                pdu.AddRange(Pdu.Digest(padded));
            }

            pdu[start] ^= (byte)(NextDamage == Damage.Data ? 0x10 : 0);
        }

        pdu[20] ^= (byte)(NextDamage == Damage.Header ? 0x10 : 0);
        NextDamage = Damage.None;
        return [.. pdu];
    }

    /// <summary>The PDUs that came out since the last call.</summary>
    public List<Pdu> Receive()
    {
        Pump();
        List<Pdu> pdus = Pdu.Parse(
            System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_transcript)[_read..], HasHeaderDigest, HasDataDigest);
        _read = _transcript.Count;
        foreach (Pdu pdu in pdus)
        {
            LastExpCmdSN = pdu.ExpCmdSN;
            if (Acknowledges && pdu.TakesStatSN && !SerialNumber.IsBefore(pdu.StatSN, ExpStatSN))
            {
                ExpStatSN = pdu.StatSN + 1;
            }
        }

        return pdus;
    }

    public Pdu ReceiveOne() => Assert.Single(Receive());

    // ---- login ----

    public static byte[] Text(params string[] pairs) => Encoding.UTF8.GetBytes(string.Concat(pairs.Select(static pair => pair + "\0")));

    public static string[] Names => ["InitiatorName=iqn.2026-11.example:host", $"TargetName={Node.TargetName}", "SessionType=Normal"];

    public void SendLogin(int csg, int nsg, bool transit, byte[] text, bool @continue = false, ulong isid = Isid, ushort tsih = 0, byte versionMin = 0, uint tag = 0, ushort cid = 0)
    {
        byte[] header = new byte[48];
        LoginRequestPdu.WriteTo(
            header, LoginRequestPdu.StageFlags(transit, @continue, csg, nsg), isid, tsih, tag, cid, CmdSN, ExpStatSN, text.Length, 0, versionMin);
        Send(header, text);
    }

    /// <summary>Logs in from the operational stage and gets the power-on unit attention out of the way.</summary>
    public Initiator Login(params string[] keys)
    {
        SendLogin(1, 3, transit: true, Text([.. Names, .. keys]));
        LearnDigests(ReceiveOne());
        SendCommand(0, 0x9999, 0, Cdb(0x00));
        Assert.Equal(0x02, ReceiveOne().Response.Status);
        return this;
    }

    /// <summary>One more connection for the session, or one in the place of that with the same identifier.</summary>
    public Initiator Join(ushort cid, params string[] keys)
    {
        var joined = new Initiator(Node, leading: _leading) { NowMs = NowMs };
        joined.SendLogin(1, 3, transit: true, Text([.. Names, .. keys]), tsih: Connection.Session!.Tsih, cid: cid);
        joined.LearnDigests(joined.ReceiveOne());
        return joined;
    }

    void LearnDigests(Pdu response)
    {
        Assert.Equal(0, response.Login.Status);
        HasHeaderDigest = response.Text.Contains("HeaderDigest=CRC32C");
        HasDataDigest = response.Text.Contains("DataDigest=CRC32C");
    }

    // ---- commands ----

    public static byte[] Cdb(byte code, uint lba = 0, ushort blocks = 0)
    {
        byte[] cdb = new byte[16];
        cdb[0] = code;
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(cdb.AsSpan(2), lba);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt16BigEndian(cdb.AsSpan(7), blocks);
        return cdb;
    }

    public void SendCommand(
        byte direction, uint tag, uint expected, byte[] cdb, byte[]? immediateData = null, bool final = true, bool immediate = false,
        uint? cmdSN = null, uint? bidirectionalRead = null, ulong lun = 0)
    {
        byte[] data = immediateData ?? [];
        Span<byte> headers = _header;
        int ahs = 0;
        if (cdb.Length > 16)
        {
            ahs += AdditionalHeaders.WriteExtendedCdb(headers[48..], cdb.AsSpan(16));
        }

        if (bidirectionalRead is { } length)
        {
            ahs += AdditionalHeaders.WriteBidirectionalReadLength(headers[(48 + ahs)..], length);
        }

        byte flags = (byte)(direction | (final ? BasicHeader.FinalBit : 0) | 1);
        ScsiCommandPdu.WriteTo(headers, flags, lun, tag, expected, cmdSN ?? CmdSN, ExpStatSN, cdb, ahs, data.Length, immediate);
        if (cmdSN is null && !immediate)
        {
            CmdSN++;
        }

        Send(headers[..(48 + ahs)], data);
    }

    public void Read(uint tag, uint lba, ushort blocks, uint? expected = null) =>
        SendCommand(ScsiCommandPdu.ReadBit, tag, expected ?? blocks * 512u, Cdb(0x28, lba, blocks));

    public void Write(uint tag, uint lba, ushort blocks, byte[]? immediate = null, bool final = true, uint? expected = null) =>
        SendCommand(ScsiCommandPdu.WriteBit, tag, expected ?? blocks * 512u, Cdb(0x2A, lba, blocks), immediate, final);

    public void SendDataOut(uint tag, uint transferTag, uint dataSN, int offset, ReadOnlySpan<byte> data, bool final)
    {
        byte[] header = new byte[48];
        DataOutPdu.WriteTo(header, final, 0, tag, transferTag, ExpStatSN, dataSN, (uint)offset, data.Length);
        Send(header, data);
    }

    public void SendNop(uint tag, byte[]? data = null, bool immediate = false, uint? cmdSN = null, uint transferTag = None)
    {
        byte[] header = new byte[48];
        NopOutPdu.WriteTo(header, 0, tag, transferTag, cmdSN ?? CmdSN, ExpStatSN, data?.Length ?? 0, immediate);
        if (!immediate && cmdSN is null)
        {
            CmdSN++;
        }

        Send(header, data);
    }

    public void SendText(byte[] text, uint tag = 0x77, uint transferTag = None, bool final = true, bool @continue = false)
    {
        byte[] header = new byte[48];
        TextRequestPdu.WriteTo(header, final, @continue, tag, transferTag, CmdSN++, ExpStatSN, text.Length);
        Send(header, text);
    }

    public void SendTaskManagement(TaskManagementFunction function, uint referenced = None, uint refCmdSN = 0, uint tag = 0x5000, uint? cmdSN = null, uint expDataSN = 0)
    {
        byte[] header = new byte[48];
        TaskManagementRequestPdu.WriteTo(header, (byte)function, 0, tag, referenced, refCmdSN, cmdSN ?? CmdSN, ExpStatSN, expDataSN: expDataSN);
        Send(header);
    }

    public void SendSnack(SnackType type, uint tag, uint first, uint count, uint mark = None, uint? expStatSN = null)
    {
        byte[] header = new byte[48];
        SnackPdu.WriteTo(header, type, tag, expStatSN ?? ExpStatSN, first, count, mark);
        Send(header);
    }

    public void SendLogout(byte reason, ushort connectionId = 0)
    {
        byte[] header = new byte[48];
        LogoutRequestPdu.WriteTo(header, reason, 0x6000, connectionId, CmdSN, ExpStatSN);
        Send(header);
    }

    public static byte[] Pattern(int length, int seed = 7)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
