using System.Buffers.Binary;

namespace Scuse.Fuzz.Running;

/// <summary>Makes an input from others by the changes that have always found the most: bits, borders, lengths, pieces moved, doubled, dropped and crossed.</summary>
sealed class Mutator(InputPool pool, IReadOnlyList<byte[]> dictionary)
{
    const int MaxChanges = 8;
    const int MaxPieceBytes = 64;

    static readonly ulong[] s_borders =
    [
        0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 31, 32, 63, 64, 65, 100, 111, 112, 113, 127, 128, 129, 136, 255, 256, 260, 511, 512, 1023, 1024, 4095, 4096, 4097,
        0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF8, 0xFFFFFFFF, 0x100000000, 0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0xFFFFFFFFFFFFFFF8, 0xFFFFFFFFFFFFFFFF,
    ];

    /// <summary>Writes a new input.</summary>
    /// <returns>Its length.</returns>
    public int Make(ref FuzzRandom random, Span<byte> into)
    {
        ReadOnlySpan<byte> from = pool[random.Below(pool.Count)];
        from.CopyTo(into);
        int length = from.Length;
        if (random.Below(16) == 0)
        {
            return length; // as it was: in another state it may do something else
        }

        for (int changes = 1 + random.Below(MaxChanges); changes > 0; changes--)
        {
            length = Change(ref random, into, length);
        }

        return length;
    }

    int Change(ref FuzzRandom random, Span<byte> input, int length)
    {
        if (length == 0)
        {
            return Insert(ref random, input, length, random.Below(MaxPieceBytes));
        }

        int at = random.Below(length);
        switch (random.Below(14))
        {
            case 0:
                input[at] ^= (byte)(1 << random.Below(8));
                return length;
            case 1 or 2:
                input[at] = random.NextByte();
                return length;
            case 3:
                input[at] += (byte)(random.Below(71) - 35);
                return length;
            case 4 or 5:
                PutNumber(ref random, input[at..length], s_borders[random.Below(s_borders.Length)] + (ulong)(random.Below(4) == 0 ? random.Below(17) - 8 : 0));
                return length;
            case 6:
                AddToNumber(ref random, input[at..length]);
                return length;
            case 7:
                return Delete(input, length, at, 1 + random.Below(Math.Min(length - at, MaxPieceBytes)));
            case 8:
                return Insert(ref random, input, length, 1 + random.Below(MaxPieceBytes));
            case 9:
                return Double(ref random, input, length, at);
            case 10:
                return Cross(ref random, input, length, at);
            case 11 when length >= 8:
                SwapRecords(ref random, input[..length]);
                return length;
            case 12 when dictionary.Count > 0:
                return InsertWord(input, length, at, dictionary[random.Below(dictionary.Count)]);
            case 13 when dictionary.Count > 0:
                byte[] word = dictionary[random.Below(dictionary.Count)];
                word.AsSpan(0, Math.Min(word.Length, length - at)).CopyTo(input[at..]);
                return length;
            default:
                return random.Below(8) == 0 ? random.Below(length + 1) : length; // cut off
        }
    }

    static void PutNumber(ref FuzzRandom random, Span<byte> at, ulong value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        bytes[..Math.Min(1 << random.Below(4), at.Length)].CopyTo(at);
    }

    static void AddToNumber(ref FuzzRandom random, Span<byte> at)
    {
        int change = random.Below(33) - 16;
        if (at.Length >= sizeof(uint))
        {
            BinaryPrimitives.WriteUInt32LittleEndian(at, BinaryPrimitives.ReadUInt32LittleEndian(at) + (uint)change);
        }
        else
        {
            at[0] += (byte)change;
        }
    }

    static int Delete(Span<byte> input, int length, int at, int count)
    {
        input[(at + count)..length].CopyTo(input[at..]);
        return length - count;
    }

    // Makes room at a place, as far as there is any; returns how much.
    static int MakeRoom(Span<byte> input, int length, int at, int count)
    {
        count = Math.Min(count, input.Length - length);
        input[at..length].CopyTo(input[(at + count)..]);
        return count;
    }

    static int Insert(ref FuzzRandom random, Span<byte> input, int length, int count)
    {
        int at = random.Below(length + 1);
        count = MakeRoom(input, length, at, count);
        bool same = random.Below(4) == 0;
        byte value = random.NextByte();
        foreach (ref byte b in input.Slice(at, count))
        {
            b = same ? value : random.NextByte();
        }

        return length + count;
    }

    static int InsertWord(Span<byte> input, int length, int at, byte[] word)
    {
        int count = MakeRoom(input, length, at, word.Length);
        word.AsSpan(0, count).CopyTo(input[at..]);
        return length + count;
    }

    static int Double(ref FuzzRandom random, Span<byte> input, int length, int at)
    {
        Span<byte> piece = stackalloc byte[MaxPieceBytes];
        int count = 1 + random.Below(Math.Min(length - at, MaxPieceBytes));
        input.Slice(at, count).CopyTo(piece);
        int to = random.Below(length + 1);
        int room = MakeRoom(input, length, to, count);
        piece[..room].CopyTo(input[to..]);
        return length + room;
    }

    int Cross(ref FuzzRandom random, Span<byte> input, int length, int at)
    {
        ReadOnlySpan<byte> other = pool[random.Below(pool.Count)];
        if (other.IsEmpty)
        {
            return length;
        }

        int start = random.Below(other.Length);
        int count = Math.Min(1 + random.Below(other.Length - start), input.Length - at);
        other.Slice(start, count).CopyTo(input[at..]);
        return Math.Max(length, at + count);
    }

    // The scripts are records of four bytes: this changes the order of what happens.
    static void SwapRecords(ref FuzzRandom random, Span<byte> input)
    {
        const int RecordBytes = 4;
        Span<byte> one = input.Slice(random.Below(input.Length / RecordBytes) * RecordBytes, RecordBytes);
        Span<byte> other = input.Slice(random.Below(input.Length / RecordBytes) * RecordBytes, RecordBytes);
        Span<byte> kept = stackalloc byte[RecordBytes];
        one.CopyTo(kept);
        other.CopyTo(one);
        kept.CopyTo(other);
    }
}
