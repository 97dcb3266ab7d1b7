using System.Buffers;

namespace Scuse.Linux;

/// <summary>Pieces of memory held in place as the vectors of one system call. Used over and over, by one thread at a time; nothing is allocated.</summary>
public sealed class PinnedVectors
{
    /// <summary>How many pieces it takes.</summary>
    public const int Capacity = 64;

    readonly MemoryHandle[] _handles = new MemoryHandle[Capacity];
    readonly IoVector[] _vectors = new IoVector[Capacity];
    int _count;

    /// <summary>The pieces; valid until <see cref="Release"/>.</summary>
    public ReadOnlySpan<IoVector> Vectors => _vectors.AsSpan(0, _count);

    /// <summary>Adds a piece, and keeps it where it is. False when there is no room for one more.</summary>
    public bool TryAdd(Memory<byte> piece)
    {
        if (_count == Capacity)
        {
            return false;
        }

        _vectors[_count] = PinnedMemory.Pin(piece, out _handles[_count]);
        _count++;
        return true;
    }

    /// <summary>Lets all pieces go.</summary>
    public void Release()
    {
        for (int i = 0; i < _count; i++)
        {
            _handles[i].Dispose();
        }

        _count = 0;
    }
}
