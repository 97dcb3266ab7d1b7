using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;

namespace Scuse.Iscsi.Pdus;

/// <summary>
/// The digest of headers and data: CRC32C, by the processor's instruction where it has one. RFC 7143 section 13.1. A sum starts at
/// <see cref="Initial"/>, takes bytes with <see cref="Append"/> and is written with <see cref="Write"/>.
/// </summary>
internal static class Crc32C
{
    public const uint Initial = 0xFFFF_FFFF;

    /// <summary>The bytes that a digest takes on the wire.</summary>
    public const int Length = 4;

    /// <summary>
    /// The instruction takes eight bytes in one cycle and has its result after three: three lanes keep it busy. The sums of the lanes are joined by moving
    /// each over the zeros that stand for the next lane.
    /// </summary>
    const int Lanes = 3;
    const int LongLane = 1024;
    const int ShortLane = 128;

    static readonly uint[] OverLongLane = TableOver(LongLane);
    static readonly uint[] OverShortLane = TableOver(ShortLane);

    public static uint Append(uint sum, ReadOnlySpan<byte> bytes)
    {
        if (BitConverter.IsLittleEndian)
        {
            ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(bytes);
            int done = words.Length;
            sum = AppendLanes(sum, ref words, LongLane / sizeof(ulong), OverLongLane);
            sum = AppendLanes(sum, ref words, ShortLane / sizeof(ulong), OverShortLane);
            foreach (ulong word in words)
            {
                sum = BitOperations.Crc32C(sum, word);
            }

            bytes = bytes[(done * sizeof(ulong))..];
        }

        foreach (byte one in bytes)
        {
            sum = BitOperations.Crc32C(sum, one);
        }

        return sum;
    }

    /// <summary>Writes a sum as the digest it is. RFC 7143 appendix A.4 has examples of the order of its bytes.</summary>
    public static void Write(Span<byte> digest, uint sum) => BinaryPrimitives.WriteUInt32LittleEndian(digest, ~sum);

    /// <summary>Whether a digest is that of a sum.</summary>
    public static bool Matches(ReadOnlySpan<byte> digest, uint sum) => BinaryPrimitives.ReadUInt32LittleEndian(digest) == ~sum;

    /// <summary>Ends a header that has room for its digest behind it.</summary>
    public static void Seal(Span<byte> headerAndDigest) => Write(headerAndDigest[^Length..], Append(Initial, headerAndDigest[..^Length]));

    static uint AppendLanes(uint sum, ref ReadOnlySpan<ulong> words, int lane, uint[] overLane)
    {
        while (words.Length >= Lanes * lane)
        {
            ReadOnlySpan<ulong> first = words[..lane], second = words.Slice(lane, lane), third = words.Slice(2 * lane, lane);
            uint sumOfSecond = 0, sumOfThird = 0;
            for (int i = 0; i < first.Length; i++)
            {
                sum = BitOperations.Crc32C(sum, first[i]);
                sumOfSecond = BitOperations.Crc32C(sumOfSecond, second[i]);
                sumOfThird = BitOperations.Crc32C(sumOfThird, third[i]);
            }

            sum = Move(Move(sum, overLane) ^ sumOfSecond, overLane) ^ sumOfThird;
            words = words[(Lanes * lane)..];
        }

        return sum;
    }

    /// <summary>The sum after as many zeros as the table is for.</summary>
    static uint Move(uint sum, uint[] table) =>
        table[sum & 0xFF] ^ table[0x100 + ((sum >> 8) & 0xFF)] ^ table[0x200 + ((sum >> 16) & 0xFF)] ^ table[0x300 + (sum >> 24)];

    /// <summary>What zeros do to a sum is linear: the table has it for each value of each of its four bytes.</summary>
    static uint[] TableOver(int zeros)
    {
        Span<uint> bits = stackalloc uint[32];
        for (int bit = 0; bit < bits.Length; bit++)
        {
            bits[bit] = 1u << bit;
            for (int i = 0; i < zeros; i++)
            {
                bits[bit] = BitOperations.Crc32C(bits[bit], (byte)0);
            }
        }

        uint[] table = new uint[4 * 256];
        for (int i = 0; i < table.Length; i++)
        {
            for (int bit = 0; bit < 8; bit++)
            {
                table[i] ^= (i & (1 << bit)) != 0 ? bits[((i >> 8) * 8) + bit] : 0;
            }
        }

        return table;
    }
}
