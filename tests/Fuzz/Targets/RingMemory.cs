using System.Runtime.InteropServices;
using Scuse.Fuzz.Running;
using Scuse.Ring;

namespace Scuse.Fuzz.Targets;

/// <summary>
/// A target whose memory makes no sense, against the handler's end of the ring: whatever mailbox, entries, counts, iovecs and CDBs say, the handler's end takes it or refuses it
/// with a <see cref="RingFormatException"/>, and hands out nothing outside the data area.
/// </summary>
/// <remarks>
/// The first record: shape of the region, mailbox flags, u16 length of an image of the region's start. With a length the image follows, as it stands; without, a real target's end
/// makes the region and posts, and its memory is written over between and while. Then what happens, one record each; see <see cref="Step"/>.
/// </remarks>
sealed unsafe class RingMemory : FuzzTarget
{
    const int GuardedBytes = 16 * Memory.PageBytes;
    const int MaxTaken = 4096;

    static readonly int[] s_mapBytes = [0, 8, 64, 127, 128, 129, 136, 255, 384, 520, 4096, 4100, 8192, 12288, 20480, 65536];
    static readonly int[] s_ringBytes = [256, 392, 1000, 3968];
    static readonly ulong[] s_values = [0, 1, 8, 128, 4096, 8192, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF8, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0xFFFFFFFFFFFFFFF8, 0xFFFFFFFFFFFFF000, 0xFFFFFFFFFFFFFFFF, 12];

    readonly RingLayout[] _layouts = [.. s_ringBytes.Select(static bytes => RingLayout.Create(bytes, 3 * Memory.PageBytes))];
    readonly nint _guarded = Memory.MapGuarded(GuardedBytes);
    readonly HandlerCommand _command = new();
    readonly ushort[] _taken = new ushort[MaxTaken];
    readonly bool[] _isTaken = new bool[RingAbi.MaxCommandId + 1];
    readonly byte[] _sense = new byte[128];
    readonly byte[] _cdb = new byte[RingAbi.MaxCdbBytes];
    readonly ExtentList _out = new();
    readonly ExtentList _in = new();
    HandlerRing _ring = null!;
    TargetRing? _target;
    byte* _region;
    int _mapBytes;
    volatile int _racedBytes;
    int _takenCount;
    long _dataOffset;
    ulong _reached;
    long _refusals, _commands, _notices;

    public override string Name => "ring-memory";

    public override int MaxInputBytes => 1024;

    public override bool HasRace => true;

    public override (nint Start, int Length) Raced
    {
        get
        {
            int bytes = _racedBytes; // once: the other thread changes it
            return (_guarded + GuardedBytes - AlignedBytes(bytes), bytes);
        }
    }

    public override void Reset()
    {
        // Each input makes a ring of its own.
    }

    public override void Count()
    {
        Tally["refused"] = _refusals;
        Tally["commands taken"] = _commands;
        Tally["notices taken"] = _notices;
    }

    public override ulong Execute(ReadOnlySpan<byte> input)
    {
        _reached = 0;
        _target = null;
        try
        {
            var script = new ScriptReader(input);
            script.Next();
            int imageBytes = Math.Min(script.B | script.C << 8, Math.Max(input.Length - RingView.RecordBytes, 0));
            if (imageBytes > 0)
            {
                StartFromImage(script.What, input.Slice(RingView.RecordBytes, imageBytes));
                script = new ScriptReader(input[(RingView.RecordBytes + imageBytes)..]);
            }
            else
            {
                StartFromTarget(script.What, script.A);
            }

            while (script.Next())
            {
                Step(script.What, script.A, script.B, script.C);
            }

            TakeAll();
        }
        catch (RingFormatException refusal)
        {
            Check(refusal.Message.Length > 0, "a refusal without a word");
            _refusals++;
            Reach(63);
        }
        finally
        {
            _racedBytes = 0;
            for (int i = 0; i < _takenCount; i++)
            {
                _isTaken[_taken[i]] = false;
            }

            _takenCount = 0;
        }

        return _reached;
    }

    void StartFromImage(byte shape, ReadOnlySpan<byte> image)
    {
        Place(s_mapBytes[shape % s_mapBytes.Length]);
        var all = new Span<byte>(_region, _mapBytes);
        all.Clear();
        image[..Math.Min(image.Length, all.Length)].CopyTo(all);
        Open();
    }

    void StartFromTarget(byte shape, byte flags)
    {
        RingLayout layout = _layouts[shape % _layouts.Length];

        // Without answers out of order the handler's end takes half a megabyte: not for every second input.
        var offered = (MailboxFlags)(flags & 0xF) | (flags < 0xF8 ? MailboxFlags.OutOfOrder : MailboxFlags.None);
        Place((int)layout.RegionBytes);
        TargetRing.Format((nint)_region, layout, offered);
        _target = new TargetRing((nint)_region, layout, offered, 64);
        Open();
    }

    // The map ends where nobody can touch memory, and starts on a multiple of 8 after such a place where it fills the room.
    void Place(int bytes)
    {
        _mapBytes = bytes;
        _region = (byte*)(_guarded + GuardedBytes - AlignedBytes(bytes));
    }

    static int AlignedBytes(int bytes) => (bytes + 7) & ~7;

    void Open()
    {
        _dataOffset = _mapBytes >= RingAbi.MailboxBytes ? *(uint*)(_region + RingAbi.CommandRingOffsetOffset) + (long)*(uint*)(_region + RingAbi.CommandRingSizeOffset) : 0;
        _ring = new HandlerRing((nint)_region, _mapBytes);
        Reach(1 + (int)_ring.Flags % 16);
        _racedBytes = _mapBytes;
    }

    void Step(byte what, byte a, byte b, byte c)
    {
        switch (what % 16)
        {
            case 0:
                Take();
                break;
            case 1:
                TakeAll();
                break;
            case 2 or 3:
                Answer(a, b, c);
                break;
            case 4:
                if (_ring.Publish())
                {
                    Reach(17);
                }

                break;
            case 5 or 6:
                Post(a, b, c);
                break;
            case 7:
                _target?.Publish();
                break;
            case 8:
                while (_target?.TryReap(out _) == true)
                {
                    Reach(18);
                }

                break;
            case 9:
                _ring.AnnounceSleep();
                _ = _ring.HasCommands;
                _ = _ring.TargetWantsDoorbell(waitFlagsInForce: true);
                _ring.EndSleep();
                break;
            case 10:
                Write32(RingAbi.CommandHeadOffset, (uint)(a * 8) + (b == 0 ? 0u : b));
                break;
            case 11:
                Write64((a | (b & 3) << 8) * 8, s_values[c % s_values.Length] + (ulong)(b >> 2));
                break;
            case 12: // 64 bits somewhere in the entries, of which one in two says where something is
                Write64(RingAbi.MailboxBytes + (a * 8), ((ulong)b << 4) | ((ulong)c << 12));
                break;
            case 13:
                Write32(RingAbi.MailboxBytes + (a * 4), (uint)(b | c << 8));
                break;
            default:
                WriteByte(a | b << 8, c);
                break;
        }
    }

    // ---- the handler ----

    void TakeAll()
    {
        while (_takenCount < MaxTaken && Take())
        {
        }
    }

    bool Take()
    {
        if (!_ring.TryTake(_command))
        {
            return false;
        }

        if (_command.Kind == HandlerCommandKind.TaskManagement)
        {
            Check(_command.Id == 0 && _command.Cdb.IsEmpty && _command.Data.IsEmpty, "a notice with parts of a command");
            _notices++;
            Reach(19);
            return true;
        }

        Check(_command.Id != 0 && !_isTaken[_command.Id], "an id that is outstanding already, or none");
        Check(_command.Cdb.Length is > 0 and <= RingAbi.MaxCdbBytes, "a CDB of an impossible length");
        Touch(_command.Data);
        Touch(_command.BidiDataIn);
        Reach(20 + Math.Min(_command.Data.Length, 7));
        Reach(28 + Math.Min(_command.BidiDataIn.Length, 3));
        _commands++;
        if (_takenCount < MaxTaken)
        {
            _isTaken[_command.Id] = true;
            _taken[_takenCount++] = _command.Id;
        }

        Check(_ring.Outstanding == _takenCount, "the number of commands taken is wrong");
        return true;
    }

    // A handler reads and writes there: first byte and last.
    void Touch(ReadOnlySpan<DataExtent> extents)
    {
        foreach (DataExtent extent in extents)
        {
            Check(extent.Offset >= _dataOffset && extent.Length >= 0 && extent.Length <= _mapBytes && extent.Offset <= _mapBytes - extent.Length, "data outside the data area");
            if (extent.Length > 0)
            {
                _region[extent.Offset] ^= 1;
                _region[extent.Offset + extent.Length - 1] ^= 1;
            }
        }
    }

    void Answer(byte which, byte status, byte more)
    {
        if (_takenCount == 0)
        {
            return;
        }

        int index = which % _takenCount;
        ushort id = _taken[index];
        _taken[index] = _taken[--_takenCount];
        _isTaken[id] = false;
        _ring.Answer(id, (byte)(status % 4), _sense.AsSpan(0, more % 128), (ResponseFlags)(more & 7), (uint)more << 8);
        Check(_ring.Outstanding == _takenCount, "the number of commands taken is wrong");
        Reach(32);
    }

    // ---- the target ----

    void Post(byte a, byte b, byte c)
    {
        if (_target is null)
        {
            return;
        }

        if (a == 0xFF)
        {
            _target.TryPostTaskManagement(b, MemoryMarshal.Cast<byte, ushort>(_cdb.AsSpan(0, c % 16 * 2)));
            return;
        }

        _out.Clear();
        _in.Clear();
        for (int i = b & 7; i > 0; i--)
        {
            _out.Add(new DataExtent(_target.Layout.DataOffset + ((i & 1) * 4096), 512 * i));
        }

        for (int i = b >> 3 & 7; i > 0; i--)
        {
            _in.Add(new DataExtent(_target.Layout.DataOffset + 8192, 512 * i));
        }

        _cdb[0] = c;
        _target.TryPost(_cdb.AsSpan(0, 1 + (a % RingAbi.MaxCdbBytes)), _out.AsSpan(), _in.AsSpan(), out _);
        if ((b & 0xC0) != 0)
        {
            _target.Publish();
        }
    }

    void Write64(int offset, ulong value)
    {
        if (offset <= _mapBytes - sizeof(ulong))
        {
            *(ulong*)(_region + offset) = value;
        }
    }

    void Write32(int offset, uint value)
    {
        if (offset <= _mapBytes - sizeof(uint))
        {
            *(uint*)(_region + offset) = value;
        }
    }

    void WriteByte(int offset, byte value)
    {
        if (_mapBytes > 0)
        {
            _region[offset % _mapBytes] = value;
        }
    }

    void Reach(int bit) => _reached |= 1ul << (bit & 63);

    public override void Dispose()
    {
        Memory.UnmapGuarded(_guarded, GuardedBytes);
        base.Dispose();
    }
}
