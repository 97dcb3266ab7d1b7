namespace Scuse.Ring;

/// <summary>A stretch of the shared region that holds a command's data.</summary>
/// <param name="Offset">Where it starts, in bytes from the region's start.</param>
/// <param name="Length">Its length in bytes.</param>
public readonly record struct DataExtent(long Offset, long Length);

/// <summary>A growable list of extents, meant to be reused: it allocates only when it grows beyond its greatest length so far.</summary>
/// <remarks>Not safe for several threads.</remarks>
public sealed class ExtentList
{
    DataExtent[] _extents = new DataExtent[8];

    /// <summary>How many extents are in it.</summary>
    public int Count { get; private set; }

    /// <summary>Empties the list and keeps its memory.</summary>
    public void Clear() => Count = 0;

    /// <summary>Appends an extent as it is; nothing is merged.</summary>
    public void Add(DataExtent extent)
    {
        if (Count == _extents.Length)
            Array.Resize(ref _extents, Count * 2);
        _extents[Count++] = extent;
    }

    /// <summary>The extents in order; valid until the list is next changed.</summary>
    public ReadOnlySpan<DataExtent> AsSpan() => _extents.AsSpan(0, Count);
}
