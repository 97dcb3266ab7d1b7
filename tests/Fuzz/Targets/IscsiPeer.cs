using Scuse.Fuzz.Running;
using Scuse.Iscsi;
using Scuse.Iscsi.Pdus;

namespace Scuse.Fuzz.Targets;

/// <summary>An R2T that came.</summary>
readonly record struct AskedFor(uint Tag, uint TransferTag, int Offset, int Length);

/// <summary>
/// The initiator's end of a connection: it moves bytes as the owner of a socket would, and looks at every PDU that comes out. Numbers that go back, a window that is too wide, a digest
/// that is wrong, data that is more than was asked for: each is a finding.
/// </summary>
sealed class IscsiPeer : IConnectionHost
{
    /// <summary>Reading pauses when so many PDUs wait; what one full receive buffer holds may come on top.</summary>
    const int MaxWaiting = 256;

    readonly IscsiWorld _world;
    readonly Memory<byte>[] _buffers;
    byte[] _in;
    int _length;
    int _textLength;
    int _largestData;
    uint? _statSN;
    uint _expCmdSN, _maxCmdSN;
    bool _isNumbered;

    public IscsiPeer(IscsiWorld world, int address)
    {
        _world = world;
        _buffers = world.Buffers;
        _in = world.Spare.TryPop(out byte[]? spare) ? spare : new byte[16 << 10];
        Connection = world.Door.Accept(address == 0 ? "10.0.0.9:3333" : "10.0.0.1:4444", "10.0.0.2:3260", this, world.NowMs);
        if (Connection.CloseNow)
        {
            Close();
        }
    }

    public IscsiConnection Connection { get; private set; }

    public bool IsClosed { get; private set; }

    /// <summary>Whether it leaves what comes in the socket.</summary>
    public bool IsDeaf { get; set; }

    /// <summary>How many bytes at a time are fed; 0 for as many as there are.</summary>
    public int PieceBytes { get; set; }

    public uint ExpStatSN { get; private set; } = 1;

    public Queue<AskedFor> R2Ts { get; } = new();

    /// <summary>How many PDUs of each opcode came, and the last one's header and data.</summary>
    public int[] Came { get; } = new int[64];

    public byte[] LastHeader { get; } = new byte[BasicHeader.Length];

    /// <summary>The text of the last login or text response, until the next one comes by any connection.</summary>
    public ReadOnlySpan<byte> LastText => _world.Text.AsSpan(0, _textLength);

    /// <summary>Data-In of the last read, put together by its offsets; empty where nobody looks.</summary>
    public byte[] DataIn { get; init; } = [];

    /// <summary>The last NOP-In's tag by which the target wants it answered; the reserved one when none is open.</summary>
    public uint Ping { get; set; } = BasicHeader.ReservedTag;

    bool HasHeaderDigest => Connection.HasHeaderDigest;

    bool HasDataDigest => Connection.HasDataDigest;

    public void OutputReady(IscsiConnection connection)
    {
        // Pump is called anyhow.
    }

    public void CloseRequested(IscsiConnection connection, string reason) =>
        IscsiWorld.Require(reason.Length > 0, "a connection is closed without a word");

    // ---- to the target ----

    /// <summary>Sends a PDU with the digests that login settled. A damaged one has its digests made before the damage, or after it.</summary>
    public void Send(ReadOnlySpan<byte> header, ReadOnlySpan<byte> data, in Damage damage)
    {
        Span<byte> pdu = _world.Scratch;
        int length = header.Length;
        header.CopyTo(pdu);
        damage.ApplyTo(pdu[..length], sealedAfter: true);
        if (HasHeaderDigest)
        {
            Crc32C.Write(pdu[length..], Crc32C.Append(Crc32C.Initial, pdu[..length]));
            damage.ApplyTo(pdu[..length], sealedAfter: false);
            length += Crc32C.Length;
        }

        if (!data.IsEmpty)
        {
            int start = length;
            data.CopyTo(pdu[length..]);
            length += data.Length;
            int padding = BasicHeader.PaddingFor(data.Length);
            pdu.Slice(length, padding).Clear();
            length += padding;
            if (HasDataDigest)
            {
                Crc32C.Write(pdu[length..], Crc32C.Append(Crc32C.Initial, pdu[start..length]));
                length += Crc32C.Length;
            }

            pdu[start] ^= damage.Data;
        }

        Feed(pdu[..length]);
    }

    /// <summary>Feeds bytes as far as the connection reads.</summary>
    public void Feed(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty && !IsClosed)
        {
            Move();
            int count = Connection.GetReceiveBuffers(_buffers.AsSpan(0, 8));
            if (count == 0)
            {
                if (IsDeaf || !Connection.HasOutput || Connection.ShouldClose)
                {
                    break;
                }

                Pump();
                continue;
            }

            int left = PieceBytes == 0 ? bytes.Length : Math.Min(bytes.Length, PieceBytes);
            int moved = 0;
            for (int i = 0; i < count && left > 0; i++)
            {
                int n = Math.Min(left, _buffers[i].Length);
                bytes.Slice(moved, n).CopyTo(_buffers[i].Span);
                moved += n;
                left -= n;
            }

            bytes = bytes[moved..];
            Connection.Received(moved, _world.NowMs);
            CheckWaiting();
        }

        Move();
        Pump();
    }

    /// <summary>The connection goes to the server that it moves to, as the owner of the socket would bring it there.</summary>
    void Move()
    {
        if (IsClosed || IsDeaf || Connection.MovesTo is not { } server)
        {
            return;
        }

        Pump();
        IscsiHandOver handOver = Connection.HandOver();
        Connection = server.TakeOver(handOver, this);
        Connection.GoOn(handOver, _world.NowMs);
    }

    void CheckWaiting()
    {
        if (Connection.FullFeature is { } phase)
        {
            IscsiWorld.Require(phase.Output.ControlCount <= MaxWaiting + (IscsiWorld.ReceiveBufferBytes / BasicHeader.Length) + 1, "more waits to be sent than may");
        }
    }

    // ---- from the target ----

    /// <summary>Takes what there is, and closes the connection when that is due.</summary>
    public void Pump()
    {
        while (!IsClosed && !IsDeaf && Connection.HasOutput && !Connection.CloseNow)
        {
            int count = Connection.GetSendBuffers(_buffers);
            if (count == 0)
            {
                break;
            }

            int total = 0;
            for (int i = 0; i < count; i++)
            {
                Keep(_buffers[i].Span);
                total += _buffers[i].Length;
            }

            Connection.Sent(total);
            Parse();
        }

        if (!IsClosed && (Connection.CloseNow || (Connection.ShouldClose && (!Connection.HasOutput || IsDeaf))))
        {
            Close();
        }
    }

    /// <summary>The transport is gone.</summary>
    public void Close()
    {
        IsClosed = true;
        Connection.Closed();
        _length = 0;
        _world.Spare.Push(_in);
        _in = [];
    }

    void Keep(ReadOnlySpan<byte> bytes)
    {
        if (_length + bytes.Length > _in.Length)
        {
            Array.Resize(ref _in, Math.Max(_in.Length * 2, _length + bytes.Length));
        }

        bytes.CopyTo(_in.AsSpan(_length));
        _length += bytes.Length;
    }

    void Parse()
    {
        int at = 0;
        while (_length - at >= BasicHeader.Length)
        {
            ReadOnlySpan<byte> rest = _in.AsSpan(at, _length - at);
            var header = new BasicHeader(rest);
            bool isOfLogin = header.Opcode == Opcode.LoginResponse;
            int data = header.DataSegmentLength;
            int padded = data + BasicHeader.PaddingFor(data);
            int headerDigest = HasHeaderDigest && !isOfLogin ? Crc32C.Length : 0;
            int dataDigest = HasDataDigest && !isOfLogin && data > 0 ? Crc32C.Length : 0;
            int whole = BasicHeader.Length + headerDigest + padded + dataDigest;
            IscsiWorld.Require(header.TotalAhsLengthBytes == 0, "a PDU of the target has additional headers");
            _largestData = Math.Max(_largestData, Connection.Parameters.InitiatorMaxRecvDataSegmentLength); // what was on its way when a smaller value was declared is not cut anew
            IscsiWorld.Require(data <= _largestData, $"{data} bytes in a PDU are more than the initiator takes");
            if (rest.Length < whole)
            {
                break;
            }

            ReadOnlySpan<byte> body = rest.Slice(BasicHeader.Length + headerDigest, padded);
            IscsiWorld.Require(headerDigest == 0 || Crc32C.Matches(rest[BasicHeader.Length..], Crc32C.Append(Crc32C.Initial, rest[..BasicHeader.Length])), "a header digest is wrong");
            IscsiWorld.Require(dataDigest == 0 || Crc32C.Matches(rest[(whole - Crc32C.Length)..], Crc32C.Append(Crc32C.Initial, body)), "a data digest is wrong");
            See(rest[..BasicHeader.Length], body[..data]);
            at += whole;
        }

        _in.AsSpan(at, _length - at).CopyTo(_in);
        _length -= at;
    }

    void See(ReadOnlySpan<byte> pdu, ReadOnlySpan<byte> data)
    {
        var header = new BasicHeader(pdu);
        Came[(int)header.Opcode]++;
        _world.Pdus++;
        CheckNumbers(pdu, header);
        pdu.CopyTo(LastHeader);
        switch (header.Opcode)
        {
            case Opcode.R2T:
                var r2t = new R2TPdu(pdu);
                IscsiWorld.Require(r2t.DesiredLength is > 0 and <= int.MaxValue, "an R2T asks for nothing");
                IscsiWorld.Require(r2t.DesiredLength <= (uint)Connection.Session!.Parameters.MaxBurstLength, "an R2T asks for more than a burst");
                R2Ts.Enqueue(new AskedFor(header.InitiatorTaskTag, r2t.TargetTransferTag, (int)r2t.BufferOffset, (int)r2t.DesiredLength));
                if (R2Ts.Count > 32)
                {
                    R2Ts.Dequeue();
                }

                break;
            case Opcode.DataIn:
                int offset = (int)new DataInPdu(pdu).BufferOffset;
                if (offset >= 0 && offset <= DataIn.Length - data.Length)
                {
                    data.CopyTo(DataIn.AsSpan(offset));
                }

                break;
            case Opcode.NopIn:
                Ping = header.InitiatorTaskTag == BasicHeader.ReservedTag ? new NopInPdu(pdu).TargetTransferTag : Ping;
                break;
            case Opcode.LoginResponse or Opcode.TextResponse:
                _textLength = data.Length;
                data.CopyTo(_world.Text);
                break;
            case Opcode.ScsiResponse or Opcode.TaskManagementResponse or Opcode.LogoutResponse or Opcode.AsyncMessage or Opcode.Reject:
                break;
            default:
                IscsiWorld.Require(false, $"the target sent a PDU with opcode 0x{(byte)header.Opcode:X2}");
                break;
        }
    }

    void CheckNumbers(ReadOnlySpan<byte> pdu, in BasicHeader header)
    {
        var numbers = new SequenceNumbers(pdu);
        bool takesStatSN = header.Opcode switch
        {
            Opcode.R2T => false,
            Opcode.DataIn => new DataInPdu(pdu).HasStatus,
            Opcode.NopIn => header.InitiatorTaskTag != BasicHeader.ReservedTag,
            _ => true,
        };
        bool maySendAgain = Connection.Session is { Parameters.ErrorRecoveryLevel: > 0 };
        if (takesStatSN)
        {
            IscsiWorld.Require(_statSN is null || maySendAgain || numbers.StatSN == _statSN + 1, $"StatSN {numbers.StatSN} follows {_statSN}");
            _statSN = _statSN is { } old && SerialNumber.IsBefore(numbers.StatSN, old) ? old : numbers.StatSN;
            ExpStatSN = _statSN.Value + 1;
        }

        if (header.Opcode == Opcode.LoginResponse)
        {
            return;
        }

        // RFC 7143 section 4.2.2.1: neither goes back, and the window is never wider than it is.
        IscsiWorld.Require(!_isNumbered || !SerialNumber.IsBefore(numbers.ExpCmdSN, _expCmdSN), "ExpCmdSN went back");
        IscsiWorld.Require(!_isNumbered || !SerialNumber.IsBefore(numbers.MaxCmdSN, _maxCmdSN), "MaxCmdSN went back");
        IscsiWorld.Require(numbers.MaxCmdSN - numbers.ExpCmdSN + 1 <= IscsiWorld.CommandWindow, $"the window is {numbers.MaxCmdSN - numbers.ExpCmdSN + 1} wide");
        (_isNumbered, _expCmdSN, _maxCmdSN) = (true, numbers.ExpCmdSN, numbers.MaxCmdSN);
    }
}

/// <summary>What happens to a PDU on its way: changes of its header, before its digest is made or after it, and of its data, after.</summary>
struct Damage
{
    byte _firstAt, _first, _secondAt, _second;

    public byte Data { get; set; }

    public bool IsAfterDigest { get; set; }

    public void Add(byte at, byte change) => (_firstAt, _first, _secondAt, _second) = (at, change, _firstAt, _first);

    public readonly void ApplyTo(Span<byte> header, bool sealedAfter)
    {
        if (sealedAfter != IsAfterDigest)
        {
            header[_firstAt % header.Length] ^= _first;
            header[_secondAt % header.Length] ^= _second;
        }
    }
}
