namespace Scuse.Device.Commands;

/// <summary>A block that is to be written over and over.</summary>
static class PatternBlock
{
    /// <summary>A block of <paramref name="pattern"/> over and over, cut off at its end.</summary>
    public static byte[] Repeat(ReadOnlySpan<byte> pattern, int blockSize)
    {
        byte[] block = new byte[blockSize];
        for (int i = 0; i < block.Length; i++)
        {
            block[i] = pattern[i % pattern.Length];
        }

        return block;
    }

    /// <summary>The same with every bit the other way.</summary>
    public static byte[] Invert(byte[] block) => [.. block.Select(static value => (byte)~value)];
}
