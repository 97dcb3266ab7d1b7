using BenchmarkDotNet.Attributes;
using Scuse.Ring;

namespace Scuse.Bench.Micro;

/// <summary>Finding room in the data area and giving it back, with nothing else in use and with every second block in use.</summary>
[MemoryDiagnoser]
public class DataAreaBlocks
{
    const int BlocksInUse = 4096;

    readonly ExtentList _extents = new();
    DataArea _area = null!;

    /// <summary>How much a command transfers.</summary>
    [Params(4096, 64 << 10, 1 << 20)]
    public int Bytes { get; set; }

    /// <summary>Whether the first 32 MiB are full of holes of one block.</summary>
    [Params(false, true)]
    public bool IsFragmented { get; set; }

    [GlobalSetup]
    public void Open()
    {
        _area = new DataArea(RingLayout.Default);
        if (!IsFragmented)
        {
            return;
        }

        var all = new List<DataExtent>();
        for (int i = 0; i < BlocksInUse * 2; i++)
        {
            _extents.Clear();
            Allocate(RingLayout.Default.BlockBytes);
            all.Add(_extents.AsSpan()[0]);
        }

        for (int i = 0; i < all.Count; i += 2)
        {
            _area.Free([all[i]]);
        }
    }

    [Benchmark]
    public int AllocateAndFree()
    {
        _extents.Clear();
        Allocate(Bytes);
        _area.Free(_extents.AsSpan());
        return _extents.Count;
    }

    void Allocate(int bytes)
    {
        if (!_area.TryAllocate(bytes, _extents))
        {
            throw new InvalidOperationException("the data area is full");
        }
    }
}
