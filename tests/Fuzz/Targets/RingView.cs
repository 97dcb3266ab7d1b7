using Scuse.Ring;

namespace Scuse.Fuzz.Targets;

/// <summary>An entry of the command ring as it was when it was shown to the handler.</summary>
readonly record struct SeenEntry(uint Offset, uint Length, byte Operation, ushort Id);

/// <summary>
/// A handler that knows what it does, and does what it likes: it remembers the entries as they were published, so it can answer by the rules even after the memory was
/// written over, and break each rule on purpose.
/// </summary>
sealed unsafe class RingView
{
    /// <summary>Bytes of a record of a script: what, and three values.</summary>
    public const int RecordBytes = 4;

    readonly SeenEntry[] _entries = new SeenEntry[4096];
    byte* _region;
    uint _ringOffset;
    uint _ringBytes;
    int _regionBytes;
    uint _position;
    int _first;
    int _count;

    /// <summary>The entries published and not answered by the rules.</summary>
    public ReadOnlySpan<SeenEntry> Entries => _entries.AsSpan(_first, _count);

    /// <summary>Starts with a fresh region.</summary>
    public void Start(nint region, RingLayout layout)
    {
        _region = (byte*)region;
        _ringOffset = (uint)layout.CommandRingOffset;
        _ringBytes = (uint)layout.CommandRingBytes;
        _regionBytes = (int)layout.RegionBytes;
        _position = 0;
        _first = _count = 0;
    }

    /// <summary>Looks at what was published, before anything else is written.</summary>
    public void Observe(uint head)
    {
        if (head >= _ringBytes)
        {
            return;
        }

        uint left = head >= _position ? head - _position : head + _ringBytes - _position;
        while (left > 0)
        {
            byte* entry = _region + _ringOffset + _position;
            uint lengthAndOperation = *(uint*)entry;
            uint length = lengthAndOperation & ~(uint)RingAbi.OperationMask;
            if (length == 0 || length > left || length > _ringBytes - _position)
            {
                return; // written over in between: nothing to be learnt here any more
            }

            byte operation = (byte)(lengthAndOperation & RingAbi.OperationMask);
            Append(new SeenEntry(_position, length, operation, operation == RingAbi.OperationCommand ? *(ushort*)(entry + RingAbi.CommandIdOffset) : (ushort)0));
            left -= length;
            _position += length;
            if (_position == _ringBytes)
            {
                _position = 0;
            }
        }
    }

    public uint Head => *(uint*)(_region + RingAbi.CommandHeadOffset);

    public uint Tail
    {
        get => *(uint*)(_region + RingAbi.CommandTailOffset);
        set => *(uint*)(_region + RingAbi.CommandTailOffset) = value;
    }

    /// <summary>Answers a command by the rules: in the next slot, and the tail moves past it.</summary>
    /// <param name="which">Which of the outstanding commands.</param>
    /// <param name="status">The SCSI status.</param>
    /// <param name="flags">The answer's flags, as they are.</param>
    /// <param name="readLength">The read length.</param>
    /// <param name="place">Where in the handler's own memory the data is; written when the flags say so.</param>
    /// <returns>False when there is nothing to answer.</returns>
    public bool Answer(int which, byte status, byte flags, uint readLength, ulong place = 0)
    {
        PassNotices();
        if (_count == 0)
        {
            return false;
        }

        // The one that is answered takes the first slot; the first's id goes where the answered one was, so that it stays known.
        int chosen = FindCommand(which);
        SeenEntry slot = _entries[_first], answered = _entries[_first + chosen];
        _entries[_first + chosen] = answered with { Id = slot.Id };
        byte* at = _region + _ringOffset + slot.Offset;
        *(ushort*)(at + RingAbi.CommandIdOffset) = answered.Id;
        *(at + RingAbi.ResponseFlagsOffset) = flags;
        *(uint*)(at + RingAbi.StatusOffset) = status;
        *(uint*)(at + RingAbi.ReadLengthOffset) = readLength;
        if ((flags & RingAbi.ResponseFlagOwnMemory) != 0)
        {
            *(ulong*)(at + RingAbi.OwnMemoryPlaceOffset) = place;
        }

        RemoveFirst();
        Tail = End(slot);
        PassNotices();
        return true;
    }

    /// <summary>Answers a read with a place in the handler's own memory, mostly one that is there.</summary>
    /// <param name="which">Which of the outstanding commands.</param>
    /// <param name="how">The kind of place, and whether a read length and a hold on the buffers go with it.</param>
    /// <param name="value">The place, and the read length.</param>
    /// <param name="ownBytes">How much memory there is.</param>
    public bool AnswerFromOwnMemory(int which, byte how, byte value, long ownBytes)
    {
        ulong place = (how >> 3) switch
        {
            < 24 => value * 16u,
            < 28 => (ulong)ownBytes - (value * 64u),
            28 => ulong.MaxValue - value,
            29 => (ulong)ownBytes + value,
            _ => (ulong)value << 56,
        };
        return Answer(which, 0, (byte)(RingAbi.ResponseFlagOwnMemory | (how & 6)), value * 97u, place);
    }

    /// <summary>Moves the tail past notices and padding, as a handler has to.</summary>
    public void PassNotices()
    {
        while (_count > 0 && _entries[_first].Operation != RingAbi.OperationCommand)
        {
            Tail = End(_entries[_first]);
            RemoveFirst();
        }
    }

    /// <summary>Breaks a rule, as a record says.</summary>
    public void Lie(byte how, byte a, byte b, byte c)
    {
        switch (how % 8)
        {
            case 0:
                LieAboutTail(a, (ushort)(b | c << 8));
                break;
            case 1: // an id in a slot, and with c odd the tail past it
                if (TryGetSlot(a, out SeenEntry slot))
                {
                    *(ushort*)At(slot, RingAbi.CommandIdOffset) = IdFrom(b);
                    if ((c & 1) != 0)
                    {
                        Tail = End(slot);
                    }
                }

                break;
            case 2: // a byte of a slot
                if (TryGetSlot(a, out slot))
                {
                    *At(slot, b % (int)Math.Min(slot.Length, 256)) = c;
                }

                break;
            case 3: // the length and operation of a slot
                if (TryGetSlot(a, out slot))
                {
                    *(uint*)At(slot, 0) = (uint)(b | c << 8) * ((b & 16) == 0 ? 1u : 0x01010101u);
                }

                break;
            case 4: // a byte anywhere
                _region[(a | b << 8) % _regionBytes] = c;
                break;
            case 5: // much, in mailbox and ring
                int from = (a | b << 8) % (int)(_ringOffset + _ringBytes);
                new Span<byte>(_region + from, Math.Min(_regionBytes - from, 16 + c)).Fill((byte)(c * 37));
                break;
            case 6: // the whole mailbox
                new Span<byte>(_region, RingAbi.MailboxBytes).Fill(a);
                break;
            default: // the flags by which each says that it sleeps
                *(uint*)(_region + ((a & 1) == 0 ? RingAbi.HandlerWaitingOffset : RingAbi.TargetWaitingOffset)) = (uint)(b | c << 8);
                break;
        }
    }

    void LieAboutTail(byte how, ushort value)
    {
        uint tail = (how % 8) switch
        {
            0 => value,
            1 => (uint)value << 16,
            2 => Head,
            3 => Tail + 8u * (uint)(sbyte)value,
            4 => _ringBytes - 8u * (uint)(sbyte)value,
            5 => TryGetSlot((byte)value, out SeenEntry slot) ? End(slot) : 0,
            6 => Tail + (uint)(sbyte)value,
            _ => _position,
        };
        Tail = tail;
    }

    bool TryGetSlot(byte which, out SeenEntry slot)
    {
        slot = _count == 0 ? default : _entries[_first + which % _count];
        return _count > 0;
    }

    ushort IdFrom(byte how) => how switch
    {
        0 => 0,
        0xFF => ushort.MaxValue,
        >= 0x80 => (ushort)(how & 0x7F),
        _ => _count == 0 ? how : _entries[_first + how % _count].Id,
    };

    uint End(SeenEntry entry) => entry.Offset + entry.Length == _ringBytes ? 0 : entry.Offset + entry.Length;

    byte* At(SeenEntry entry, int offset) => _region + _ringOffset + entry.Offset + offset;

    int FindCommand(int which)
    {
        int index = which % _count;
        while (_entries[_first + index].Operation != RingAbi.OperationCommand)
        {
            index = (index + 1) % _count;
        }

        return index;
    }

    void Append(SeenEntry entry)
    {
        if (_first + _count == _entries.Length)
        {
            Entries.CopyTo(_entries);
            _first = 0;
        }

        if (_count < _entries.Length)
        {
            _entries[_first + _count++] = entry;
        }
    }

    void RemoveFirst()
    {
        _first++;
        _count--;
    }
}
