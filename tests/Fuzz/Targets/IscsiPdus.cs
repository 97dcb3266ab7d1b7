using System.Buffers.Binary;
using System.Text;
using Scuse.Fuzz.Running;
using Scuse.Iscsi.Pdus;
using Scuse.Target;

namespace Scuse.Fuzz.Targets;

/// <summary>
/// What initiators may put into their connections, before and after login: PDUs that fit what came before, PDUs changed on their way, and bytes that are none; in pieces, over several connections
/// of several sessions, with answers left unread and connections cut. Each is answered, rejected or closed; what it held is given back; and a session beside them goes on.
/// </summary>
/// <remarks>An input is a script of records: what happens, on which connection, and two values.</remarks>
sealed class IscsiPdus(IscsiWorld.Fault fault = IscsiWorld.Fault.None) : FuzzTarget
{
    const int Slots = 6;
    const int Tags = 16;

    static readonly byte[][] s_names = [.. Enumerable.Range(0, 4).Select(static i => Encoding.ASCII.GetBytes($"InitiatorName=iqn.2026-11.example:i{i}\0"))];

    static readonly byte[][] s_texts = [.. new[]
    {
        "SendTargets=All\0", "SendTargets=\0", $"SendTargets={IscsiWorld.TargetName}\0", "MaxRecvDataSegmentLength=512\0", "HeaderDigest=None\0", "X-what=1\0", "=\0", "SendTargets", "\0\0\0",
        "InitiatorAlias=a\0MaxRecvDataSegmentLength=8192\0", "SendTargets=All\0SendTargets=All\0", "MaxRecvDataSegmentLength=0\0",
    }.Select(Encoding.ASCII.GetBytes)];

    static readonly byte[] s_firstWords = [0x28, 0x2A, 0x28, 0x2A, 0x12, 0x00, 0xA0, 0x5F, 0x8A, 0x88, 0x89, 0x93, 0x42, 0x55, 0xC1, 0x35];

    readonly IscsiPeer?[] _slots = new IscsiPeer?[Slots];
    readonly uint[] _cmdSN = new uint[Slots];
    readonly byte[] _header = new byte[BasicHeader.Length + AdditionalHeaders.MaxLength];
    readonly byte[] _data = [.. Enumerable.Range(0, 16 << 10).Select(static i => (byte)(i * 7))];
    readonly Dictionary<int, byte[]> _logins = [];
    IscsiWorld _world = new(fault);
    Damage _damage;
    ulong _reached;
    int _inputs;
    long _logged, _closed, _sent, _answers;

    /// <summary>What an input may ask for. The numbers are the first byte of a record, in the corpus too.</summary>
    enum Act
    {
        Connect, Read, Write, DataOut, StrayDataOut, Nop, Text, Manage, Logout, Snack, Raw, Damage, LoginRequest, Cut, Wait, Late, Work, Deaf, Ask, Pieces, Command, WriteAndSend, Forge, Pump,
    }

    public override string Name => fault switch
    {
        IscsiWorld.Fault.WrongDisk => "planted-wrong-disk",
        IscsiWorld.Fault.KeptMemory => "planted-kept-memory",
        _ => "iscsi-pdus",
    };

    public override int InputsPerReset => 64;

    public override int MaxInputBytes => 112;

    public override IReadOnlyList<byte[]> Dictionary { get; } =
    [
        [(byte)Act.Connect, 0, 0, 0], [(byte)Act.Connect, 1, 0x10, 0x1F], [(byte)Act.Connect, 2, 0x40, 0xFF], [(byte)Act.Connect, 1, 0x80, 0x03], [(byte)Act.Connect, 3, 0x20, 0],
        [(byte)Act.Read, 0, 1, 4], [(byte)Act.Write, 0, 2, 0x24], [(byte)Act.WriteAndSend, 0, 3, 0x48], [(byte)Act.DataOut, 0, 0, 0], [(byte)Act.Nop, 0, 0, 8], [(byte)Act.Text, 0, 0, 0],
        [(byte)Act.Manage, 0, 5, 0], [(byte)Act.Manage, 0, 1, 2], [(byte)Act.Logout, 0, 0, 0], [(byte)Act.Snack, 0, 1, 0], [(byte)Act.Damage, 0, 5, 0x80], [(byte)Act.Deaf, 0, 1, 0],
        [(byte)Act.Late, 1, 0, 0], [(byte)Act.Work, 4, 0, 0], [(byte)Act.Pieces, 0, 1, 0], [(byte)Act.Wait, 200, 0, 0], [(byte)Act.Cut, 0, 0, 0], [(byte)Act.Ask, 0, 0, 0],
        [(byte)Act.Command, 0, 0x12, 0x60], [(byte)Act.Forge, 0, 2, 0],
    ];

    public override void Reset()
    {
        _answers += _world.Pdus;
        Array.Clear(_slots);
        _inputs = 0;
        _world = new IscsiWorld(fault);
    }

    void CloseAll()
    {
        foreach (IscsiPeer? peer in _slots)
        {
            if (peer is { IsClosed: false })
            {
                peer.Close();
            }
        }

        _world.Settle();
    }

    public override void Count()
    {
        Tally["logins"] = _logged;
        Tally["connections closed by the target"] = _closed;
        Tally["PDUs sent"] = _sent;
        Tally["PDUs answered"] = _answers + _world.Pdus;
    }

    public override ulong Execute(ReadOnlySpan<byte> input)
    {
        _reached = 0;
        _damage = default;
        ScriptReader script = new(input);
        while (script.Next())
        {
            Do(ref script);
        }

        return _reached;
    }

    public override void Settle()
    {
        _world.ReadBeside();
        if (++_inputs == InputsPerReset)
        {
            CloseAll();
        }
    }

    void Do(ref ScriptReader script)
    {
        var act = (Act)(script.What % (int)(Act.Pump + 1));
        int slot = script.A % Slots;
        switch (act)
        {
            case Act.Connect:
                if (_slots[slot] is not { IsClosed: false } || (script.A & 0x40) != 0)
                {
                    Connect(slot, script.B, script.C);
                }

                return;
            case Act.Damage:
                _damage.Add(script.B, script.C);
                _damage.IsAfterDigest = (script.A & 0x80) != 0;
                _damage.Data = (script.A & 0x40) != 0 ? script.C : (byte)0;
                return;
            case Act.Wait:
                _world.Wait(script.A * 100, _slots);
                LookAtAll();
                return;
            case Act.Late:
                _world.BeLate((script.A & 1) != 0);
                return;
            case Act.Work:
                for (int i = 0; i <= script.A % 16 && _world.Step(); i++)
                {
                }

                PumpAll();
                return;
            case Act.Ask:
                Ask(script.A, script.B, script.C);
                PumpAll();
                return;
            default:
                break;
        }

        if (_slots[slot] is not { IsClosed: false } peer)
        {
            return;
        }

        OnConnection(act, slot, peer, ref script);
        Look(peer, act);
        PumpAll(); // what one does to a session, its other connections hear of
    }

    void OnConnection(Act act, int slot, IscsiPeer peer, ref ScriptReader script)
    {
        byte b = script.B, c = script.C;
        uint tag = (uint)(b % Tags);
        bool immediate = (c & 0x80) != 0;
        switch (act)
        {
            case Act.Read:
                Command(slot, peer, ScsiCommandPdu.ReadBit, tag, 0x28, b, 1 + (c % 40), 0, immediate, lun: (c >> 6) & 1);
                break;
            case Act.Write:
                Command(slot, peer, ScsiCommandPdu.WriteBit, tag, 0x2A, b, 1 + (c & 0x0F), (c >> 4 & 7) * 1024, immediate, lun: b >> 7);
                break;
            case Act.WriteAndSend:
                Command(slot, peer, ScsiCommandPdu.WriteBit, tag, 0x2A, b, 1 + (c & 0x1F), 0, immediate, lun: b >> 7);
                for (int i = 0; i < 8 && peer.R2Ts.Count > 0 && !peer.IsClosed; i++)
                {
                    SendData(peer, whole: true, 0);
                }

                break;
            case Act.Command:
                Command(slot, peer, (byte)(c & 0x60), tag, s_firstWords[b % s_firstWords.Length], b >> 4, c & 0x1F, c >> 7 << 9, immediate: false, lun: b & 1);
                break;
            case Act.Forge:
                Forge(slot, peer, script.Take(16), b, c);
                break;
            case Act.DataOut:
                SendData(peer, whole: (b & 1) == 0, c);
                break;
            case Act.StrayDataOut:
                DataOutPdu.WriteTo(_header, (c & 1) != 0, 0, tag, (c & 2) != 0 ? BasicHeader.ReservedTag : (uint)(c >> 4), peer.ExpStatSN, (uint)(c >> 2 & 3), (uint)((b >> 4) * 512), c * 16);
                Send(peer, _data.AsSpan(0, c * 16));
                break;
            case Act.Nop:
                uint answerTo = (c & 0x40) != 0 && peer.Ping != BasicHeader.ReservedTag ? peer.Ping : BasicHeader.ReservedTag;
                NopOutPdu.WriteTo(_header, 0, (c & 0x20) != 0 ? BasicHeader.ReservedTag : tag, answerTo, Number(slot, b, immediate), peer.ExpStatSN, (c & 0x1F) * 64, immediate);
                Send(peer, _data.AsSpan(0, (c & 0x1F) * 64));
                break;
            case Act.Text:
                byte[] text = s_texts[b % s_texts.Length];
                TextRequestPdu.WriteTo(_header, (c & 1) == 0, (c & 2) != 0, tag, (c & 4) == 0 ? BasicHeader.ReservedTag : (uint)(c >> 4), Number(slot, b, immediate: false), peer.ExpStatSN, text.Length);
                Send(peer, text);
                break;
            case Act.Manage:
                TaskManagementRequestPdu.WriteTo(_header, (byte)(b & 0x0F), (ulong)(b >> 7) << 48, 0x100u + tag, (uint)(c % Tags), _cmdSN[slot] - (uint)(c >> 6), Number(slot, 0, immediate: true), peer.ExpStatSN, (c & 0x20) == 0);
                Send(peer, default);
                break;
            case Act.Logout:
                LogoutRequestPdu.WriteTo(_header, (byte)(b & 3), tag, (ushort)(c % 4), Number(slot, b, immediate), peer.ExpStatSN, immediate);
                Send(peer, default);
                break;
            case Act.Snack:
                SnackPdu.WriteTo(_header, (SnackType)(b & 3), (b & 0x40) != 0 ? BasicHeader.ReservedTag : (uint)(b >> 2 & 15), peer.ExpStatSN - (uint)(c >> 6), (b & 1) != 0 ? peer.ExpStatSN - (uint)(c & 7) : (uint)(c & 7), (uint)(c >> 3 & 7));
                Send(peer, default);
                break;
            case Act.LoginRequest:
                byte[] keys = LoginText(b, c);
                LoginRequestPdu.WriteTo(_header, b, 0x80_0000_00_0000ul + (uint)(c & 3), (ushort)(c >> 6), 0, (ushort)(c >> 4 & 3), _cmdSN[slot], peer.ExpStatSN, keys.Length);
                Send(peer, keys);
                break;
            case Act.Raw:
                peer.Feed(script.Take(b % 64));
                break;
            case Act.Cut:
                peer.Close();
                break;
            case Act.Deaf:
                peer.IsDeaf = (b & 1) != 0;
                break;
            case Act.Pieces:
                peer.PieceBytes = b & 0x3F;
                break;
            default:
                break;
        }
    }

    // ---- connections ----

    void Connect(int slot, byte how, byte keys)
    {
        if (_slots[slot] is { IsClosed: false } old)
        {
            old.Close();
        }

        IscsiPeer peer = _slots[slot] = new IscsiPeer(_world, address: 0) { PieceBytes = how & 0x0F };
        if (peer.IsClosed || (how & 0xF0) == 0xF0)
        {
            return; // half open: it says nothing yet
        }

        // 0x40: one more connection for the session of the slot before.
        IscsiPeer? leading = (how & 0x40) != 0 ? _slots[(slot + Slots - 1) % Slots] : null;
        Iscsi.IscsiSession? session = leading is { IsClosed: false } ? leading.Connection.Session : null;
        int keysOf = session is null ? keys | ((how & 0xB0) << 8) : (keys & 0xC3) | 0x4000;
        byte[] text = LoginText(keysOf);
        ulong isid = session?.Isid ?? (0x80_0000_00_0000ul + (uint)(slot & 3));
        _cmdSN[slot] = session is null ? (uint)(keys << 24) - 2 : _cmdSN[(slot + Slots - 1) % Slots];
        LoginRequestPdu.WriteTo(
            _header, LoginRequestPdu.StageFlags(true, false, 1, 3), isid, session?.Tsih ?? 0, 7, (ushort)(session is null ? 0 : slot), _cmdSN[slot], 1, text.Length);
        Send(peer, text);
        bool isIn = peer.Connection.Session is not null;
        _logged += isIn ? 1 : 0;
        _reached |= isIn ? 1ul << 1 : 1ul << 2;
        Look(peer, Act.Connect);
    }

    byte[] LoginText(byte b, byte c) => LoginText(((b & 0xB0) << 8) | c);

    byte[] LoginText(int keys)
    {
        if (_logins.TryGetValue(keys, out byte[]? known))
        {
            return known;
        }

        StringBuilder text = new(Encoding.ASCII.GetString(s_names[keys & 3]));
        bool isJoining = (keys & 0x4000) != 0;
        _ = (keys & 0x2000) != 0 ? text.Append("SessionType=Discovery\0") : text.Append("TargetName=").Append(IscsiWorld.TargetName).Append('\0');
        _ = text.Append((keys & 0x40) != 0 ? "HeaderDigest=CRC32C\0" : "").Append((keys & 0x80) != 0 ? "DataDigest=CRC32C,None\0" : "");
        if (!isJoining)
        {
            _ = text.Append((keys & 4) != 0 ? "InitialR2T=No\0" : "InitialR2T=Yes\0").Append((keys & 8) != 0 ? "ImmediateData=No\0" : "ImmediateData=Yes\0");
            _ = text.Append((keys & 0x10) != 0 ? "MaxBurstLength=4096\0FirstBurstLength=4096\0" : "").Append((keys & 0x20) != 0 ? "ErrorRecoveryLevel=2\0" : "ErrorRecoveryLevel=0\0");
            _ = text.Append("MaxConnections=4\0MaxOutstandingR2T=4\0iSCSIProtocolLevel=2\0");
        }

        _ = text.Append((keys & 0x1000) != 0 ? "MaxRecvDataSegmentLength=512\0" : "MaxRecvDataSegmentLength=4096\0");
        byte[] made = Encoding.ASCII.GetBytes(text.ToString());
        _logins.Add(keys, made);
        return made;
    }

    /// <summary>An operator's wishes.</summary>
    void Ask(byte whom, byte what, byte seconds)
    {
        if (_slots[whom % Slots]?.Connection is not { Session: { IsAlive: true } session })
        {
            return;
        }

        switch (what % 3)
        {
            case 0:
                session.RequestLogout(seconds % 8);
                break;
            case 1:
                session.RequestNegotiation(seconds % 8);
                break;
            default:
                session.Drop("the operator wants it");
                break;
        }
    }

    // ---- PDUs ----

    /// <summary>The next CmdSN; now and then one ahead of a gap, or one that was used.</summary>
    uint Number(int slot, byte oddness, bool immediate)
    {
        uint number = _cmdSN[slot];
        if (immediate)
        {
            return number;
        }

        if ((oddness & 0x70) == 0x70)
        {
            return number + (uint)(oddness & 3) - 1;
        }

        Advance(slot);
        return number;
    }

    void Advance(int slot)
    {
        // The connections of a session share its numbers.
        Iscsi.IscsiSession? session = _slots[slot]!.Connection.Session;
        _cmdSN[slot]++;
        for (int i = 0; i < Slots; i++)
        {
            if (i != slot && session is not null && _slots[i]?.Connection.Session == session)
            {
                _cmdSN[i] = _cmdSN[slot];
            }
        }
    }

    void Command(int slot, IscsiPeer peer, byte direction, uint tag, byte code, int lba, int blocks, int immediateBytes, bool immediate, int lun)
    {
        Span<byte> cdb = stackalloc byte[16];
        cdb.Clear();
        cdb[0] = code;
        int lengthAt = code >= 0x80 ? 10 : 7;
        BinaryPrimitives.WriteUInt16BigEndian(cdb[(code >= 0x80 ? 8 : 4)..], (ushort)(lba % IscsiWorld.Blocks));
        BinaryPrimitives.WriteUInt16BigEndian(cdb[(lengthAt + (code >= 0x80 ? 2 : 0))..], (ushort)blocks);
        if (code == 0x12)
        {
            cdb.Slice(1, 15).Clear();
            cdb[4] = 96;
        }

        int expected = blocks * IscsiWorld.BlockSize;
        int data = direction == ScsiCommandPdu.WriteBit ? Math.Min(immediateBytes, expected) : 0;
        byte flags = (byte)(direction | ((lba & 0x40) != 0 && direction == ScsiCommandPdu.WriteBit ? 0 : BasicHeader.FinalBit) | (lba >> 5 & 3));
        ScsiCommandPdu.WriteTo(_header, flags, (ulong)lun << 48, tag, (uint)expected, Number(slot, (byte)lba, immediate), peer.ExpStatSN, cdb, 0, data, immediate);
        Send(peer, _data.AsSpan(0, data));
    }

    /// <summary>A command with a CDB out of the input, and additional headers.</summary>
    void Forge(int slot, IscsiPeer peer, ReadOnlySpan<byte> cdb, byte b, byte c)
    {
        int ahs = (b & 0x08) != 0 ? AdditionalHeaders.WriteBidirectionalReadLength(_header.AsSpan(BasicHeader.Length), (uint)c << 8)
            : (b & 0x10) != 0 ? AdditionalHeaders.WriteExtendedCdb(_header.AsSpan(BasicHeader.Length), _data.AsSpan(0, 16)) : 0;
        byte flags = (byte)(BasicHeader.FinalBit | (b & 0x67));
        int data = (c & 1) != 0 && (b & 0x20) != 0 ? Math.Min(c * 8, 1024) : 0;
        ScsiCommandPdu.WriteTo(_header, flags, (ulong)(b >> 7) << 48, (uint)(c % Tags), (uint)(c << (c & 15)), Number(slot, b, immediate: false), peer.ExpStatSN, cdb, ahs, data);
        Send(peer, _data.AsSpan(0, data), BasicHeader.Length + ahs);
    }

    /// <summary>Data for the oldest R2T.</summary>
    void SendData(IscsiPeer peer, bool whole, byte oddness)
    {
        if (!peer.R2Ts.TryDequeue(out AskedFor asked))
        {
            return;
        }

        int largest = 4096;
        int offset = 0;
        for (uint dataSN = 0; offset < asked.Length && !peer.IsClosed; dataSN++)
        {
            int length = Math.Min(largest, asked.Length - offset);
            bool final = offset + length == asked.Length;
            DataOutPdu.WriteTo(_header, final, 0, asked.Tag, asked.TransferTag, peer.ExpStatSN, dataSN + (uint)(oddness == 1 ? 1 : 0), (uint)(asked.Offset + offset), length);
            Send(peer, _data.AsSpan(0, length));
            offset += length;
            if (!whole)
            {
                break; // the rest never comes
            }
        }
    }

    void Send(IscsiPeer peer, ReadOnlySpan<byte> data, int headerBytes = BasicHeader.Length)
    {
        _sent++;
        Damage damage = _damage;
        _damage = default;
        peer.Send(_header.AsSpan(0, headerBytes), data, damage);
    }

    // ---- what comes ----

    void PumpAll()
    {
        foreach (IscsiPeer? peer in _slots)
        {
            if (peer is { IsClosed: false } && (peer.Connection.HasOutput || peer.Connection.ShouldClose))
            {
                peer.Pump();
            }
        }
    }

    void LookAtAll()
    {
        foreach (IscsiPeer? peer in _slots)
        {
            if (peer is not null)
            {
                Look(peer, Act.Wait);
            }
        }
    }

    void Look(IscsiPeer peer, Act act)
    {
        var opcode = new BasicHeader(peer.LastHeader).Opcode;
        _reached |= 1ul << (8 + (int)act);
        _reached |= 1ul << (32 + ((int)opcode & 0x1F));
        if (opcode == Opcode.Reject)
        {
            _reached ^= (ulong)new RejectPdu(peer.LastHeader).Reason << 48;
        }

        if (peer.IsClosed && act != Act.Cut)
        {
            _closed++;
            _reached |= 4;
        }
    }
}
