using Scuse.Linux;

namespace Scuse.Engine.Reactors;

/// <summary>Arrays for one call at a time, shared by all connections of a reactor. Touched only by its thread.</summary>
sealed class ReactorScratch
{
    const int MaxVectors = 512;

    /// <summary>Pieces to receive into or to send.</summary>
    public Memory<byte>[] Pieces { get; } = new Memory<byte>[MaxVectors];

    /// <summary>The same pieces as addresses.</summary>
    public IoVector[] Vectors { get; } = new IoVector[MaxVectors];

    /// <summary>Turns the first <paramref name="count"/> pieces into addresses; returns their length in bytes.</summary>
    public long ToVectors(int count)
    {
        long bytes = 0;
        for (int i = 0; i < count; i++)
        {
            Vectors[i] = PinnedMemory.ToVector(Pieces[i]);
            bytes += Pieces[i].Length;
        }

        return bytes;
    }
}
