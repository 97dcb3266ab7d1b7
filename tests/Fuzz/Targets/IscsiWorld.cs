using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Text;
using Scuse.Device;
using Scuse.Fuzz.Running;
using Scuse.Iscsi;
using Scuse.Iscsi.Pdus;
using Scuse.Scsi;
using Scuse.Target;

namespace Scuse.Fuzz.Targets;

/// <summary>
/// An iSCSI node with two targets on two servers: one whose initiators send what they like, and one with a session that behaves. Connections are accepted by the other's server and handed over in
/// their login. Whatever comes to the one, the other's session reads what it must.
/// </summary>
sealed class IscsiWorld
{
    public const string TargetName = "iqn.2026-11.example:open";
    public const int CommandWindow = 16;
    public const int ReceiveBufferBytes = 4096;
    public const int BlockSize = 512;
    public const int Blocks = 64;

    const string GoodTargetName = "iqn.2026-11.example:quiet";
    const string GoodInitiatorName = "iqn.2026-11.example:who-behaves";
    const int MaxSteps = 100_000;

    static readonly byte[] s_goodLogin = Encoding.ASCII.GetBytes(
        $"InitiatorName={GoodInitiatorName}\0TargetName={GoodTargetName}\0SessionType=Normal\0MaxRecvDataSegmentLength=8192\0");

    readonly ScsiTarget _target, _goodTarget;
    readonly FuzzDisk[] _disks;
    readonly FuzzDisk _goodDisk;
    readonly byte[] _goodData;
    readonly IscsiPeer _good;
    uint _goodCmdSN = 1;
    int _reads;

    /// <summary>What the node may be made to do wrong, so that the checks are seen to find it.</summary>
    public enum Fault
    {
        None,

        /// <summary>A write to the one target lands on the other's disk.</summary>
        WrongDisk,

        /// <summary>Memory of a task that was aborted is not given back.</summary>
        KeptMemory,
    }

    public IscsiWorld(Fault fault = Fault.None)
    {
        const BlockDeviceFeatures features = BlockDeviceFeatures.Flush | BlockDeviceFeatures.Unmap | BlockDeviceFeatures.WriteZeroes;
        _disks = [Disk(PassLevel.Io, features), Disk(PassLevel.All, features)];
        _goodDisk = Disk(PassLevel.Io, features);
        _goodData = _goodDisk.Medium.ToArray();
        _disks[0].WritesTo = fault == Fault.WrongDisk ? _goodDisk : null;
        _disks[0].ForgetsAborted = fault == Fault.KeptMemory;
        _target = new ScsiTarget(TargetName, [.. _disks.Select(static (disk, number) => new LogicalUnit(number, disk))]) { Randomness = new NoRandomness() };
        _goodTarget = new ScsiTarget(GoodTargetName, [new LogicalUnit(0, _goodDisk)]) { Randomness = new NoRandomness() };
        IscsiOptions options = new()
        {
            LoginsPerSecond = 0, // its time hardly passes
            CommandWindow = CommandWindow, ReceiveBufferBytes = ReceiveBufferBytes, MaxRecvDataSegmentLength = 8192, MaxBurstLength = 16384, FirstBurstLength = 8192,
            MaxImmediateCommands = 4, MaxSessions = 6, MaxConnections = 10, MaxConnectionsPerSession = 3, MaxOutstandingR2T = 4, ErrorRecoveryLevel = 2, Time2RetainSeconds = 5,
        };
        var entity = new IscsiEntity();
        Door = new IscsiServer(options, entity);
        Server = new IscsiServer(options, entity);
        Server.Add(new IscsiTarget(_target));
        Door.Add(new IscsiTarget(_goodTarget));
        _good = new IscsiPeer(this, address: 1) { DataIn = new byte[BlockSize] };
        byte[] login = new byte[BasicHeader.Length];
        LoginRequestPdu.WriteTo(login, LoginRequestPdu.StageFlags(true, false, 1, 3), 0x80_0000_00_00FF, 0, 1, 0, _goodCmdSN, 1, s_goodLogin.Length);
        _good.Send(login, s_goodLogin, default);
        Require(_good.Connection.Session is not null, "the session that behaves is not let in");
    }

    /// <summary>The server that accepts connections, and has the target of the session that behaves.</summary>
    public IscsiServer Door { get; }

    /// <summary>The one that the others' connections go to.</summary>
    public IscsiServer Server { get; }

    public IEnumerable<IscsiSession> Sessions => Door.Sessions.Concat(Server.Sessions);

    public long NowMs { get; private set; } = 1000;

    /// <summary>Where a PDU is put together.</summary>
    public byte[] Scratch { get; } = new byte[64 << 10];

    /// <summary>The text that came last, by any connection.</summary>
    public byte[] Text { get; } = new byte[16 << 10];

    /// <summary>For one call at a time.</summary>
    public Memory<byte>[] Buffers { get; } = new Memory<byte>[64];

    /// <summary>What closed connections do not need any more.</summary>
    public Stack<byte[]> Spare { get; } = new();

    /// <summary>How many PDUs the target has sent.</summary>
    public long Pdus { get; set; }

    public ScsiTarget Target => _target;

    static FuzzDisk Disk(PassLevel level, BlockDeviceFeatures features) => new(
        level,
        new BlockDeviceInfo { SizeBytes = Blocks * BlockSize, BlockSize = BlockSize, Features = features, Serial = $"fuzz-{level}", MaxTransferBytes = 64 << 10 },
        poison: 0xEE);

    public static void Require(bool holds, [InterpolatedStringHandlerArgument(nameof(holds))] ref RequireText what)
    {
        if (!holds)
        {
            throw new FuzzFinding(what.ToString());
        }
    }

    public static void Require(bool holds, string what)
    {
        if (!holds)
        {
            throw new FuzzFinding(what);
        }
    }

    public void BeLate(bool isLate) => Array.ForEach(_disks, disk => disk.IsLate = isLate);

    public bool Step() => Array.Exists(_disks, static disk => disk.TryStep());

    /// <summary>Time goes on, for the well-behaved one too, who answers when it is asked whether it is there.</summary>
    public void Wait(int milliseconds, IEnumerable<IscsiPeer?> peers)
    {
        NowMs += milliseconds;
        _target.Tick(NowMs);
        _goodTarget.Tick(NowMs);
        Door.Tick(NowMs);
        Server.Tick(NowMs);
        foreach (IscsiPeer? peer in peers)
        {
            if (peer is { IsClosed: false })
            {
                peer.Connection.Tick(NowMs);
                peer.Pump();
            }
        }

        _good.Connection.Tick(NowMs);
        AnswerPing();
    }

    void AnswerPing()
    {
        _good.Pump();
        if (_good.Ping == BasicHeader.ReservedTag)
        {
            return;
        }

        Span<byte> pdu = stackalloc byte[BasicHeader.Length];
        NopOutPdu.WriteTo(pdu, 0, BasicHeader.ReservedTag, _good.Ping, _goodCmdSN, _good.ExpStatSN, 0, immediate: true);
        _good.Ping = BasicHeader.ReservedTag;
        _good.Send(pdu, default, default);
    }

    /// <summary>The well-behaved session reads a block, and has it.</summary>
    public void ReadBeside()
    {
        int block = _reads++ % Blocks;
        int responses = _good.Came[(int)Opcode.DataIn];
        Span<byte> cdb = stackalloc byte[16];
        cdb.Clear();
        cdb[0] = OperationCode.Read10;
        BinaryPrimitives.WriteInt32BigEndian(cdb[2..], block);
        cdb[8] = 1;
        Span<byte> pdu = stackalloc byte[BasicHeader.Length];
        ScsiCommandPdu.WriteTo(pdu, BasicHeader.FinalBit | ScsiCommandPdu.ReadBit, 0, (uint)_reads, BlockSize, _goodCmdSN++, _good.ExpStatSN, cdb);
        _good.DataIn.AsSpan().Clear();
        _good.Send(pdu, default, default);
        Require(!_good.IsClosed, $"the session that behaves was closed: {_good.Connection.CloseReason}");
        if (_good.Came[(int)Opcode.DataIn] == responses && _good.Came[(int)Opcode.ScsiResponse] == 1 && _reads == 1)
        {
            return; // the unit attention that every session begins with
        }

        Require(_good.Came[(int)Opcode.DataIn] == responses + 1, "the session that behaves has no answer");
        var answer = new DataInPdu(_good.LastHeader);
        Require(answer.HasStatus && answer.Status == 0 && answer.Header.InitiatorTaskTag == (uint)_reads, "the session that behaves has another answer");
        Require(_good.DataIn.AsSpan().SequenceEqual(_goodData.AsSpan(block * BlockSize, BlockSize)), "the session that behaves has other data");
    }

    /// <summary>With every other connection closed, nothing is left of them, and the next one gets in.</summary>
    public void Settle()
    {
        BeLate(false);
        int steps = 0;
        do
        {
            while (Step())
            {
                Require(++steps < MaxSteps, "the disks do not come to rest");
            }

            Wait(1000, []);
        }
        while (++steps < MaxSteps && (Sessions.Count() > 1 || _target.LogicalUnits.Any(static unit => unit.TaskCount > 0)) && steps < 200);

        Require(Sessions.Count() == 1, $"{Sessions.Count() - 1} sessions without a connection are left");
        foreach (LogicalUnit unit in _target.LogicalUnits)
        {
            Require(unit.TaskCount == 0, $"LUN {unit.Number} has {unit.TaskCount} tasks left");
            Require(_disks[unit.Number] is { Prepared: 0, Rented: 0 }, $"LUN {unit.Number} holds {_disks[unit.Number].Prepared} tasks' memory and {_disks[unit.Number].Rented} pieces of its own");
        }

        var last = new IscsiPeer(this, address: 0);
        Require(!last.IsClosed, "there is no room for a connection although all others are closed");
        last.Close();
        Require(Door.Entity.Connections == 1, $"{Door.Entity.Connections} connections are counted, and one is open");
        ReadBeside();
    }
}

/// <summary>A message that is put together only when it is needed.</summary>
[InterpolatedStringHandler]
ref struct RequireText
{
    readonly StringBuilder? _text;

    public RequireText(int literalLength, int formattedCount, bool holds, out bool isNeeded)
    {
        isNeeded = !holds;
        _text = holds ? null : new StringBuilder(literalLength + (8 * formattedCount));
    }

    public readonly void AppendLiteral(string text) => _text!.Append(text);

    public readonly void AppendFormatted<T>(T value, string? format = null) =>
        _text!.Append(value is IFormattable formattable ? formattable.ToString(format, System.Globalization.CultureInfo.InvariantCulture) : value?.ToString());

    public override readonly string ToString() => _text?.ToString() ?? "";
}
