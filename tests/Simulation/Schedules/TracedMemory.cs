extern alias Traced;
using System.Runtime.InteropServices;
using Traced::Scuse.Ring;

namespace Scuse.Simulation.Schedules;

/// <summary>A region in this process's own memory. Filled with CCh first, so that forgotten bytes show.</summary>
sealed unsafe class TracedMemory : IDisposable
{
    readonly byte* _start;

    public TracedMemory(RingLayout layout)
    {
        Layout = layout;
        _start = (byte*)NativeMemory.AlignedAlloc((nuint)layout.RegionBytes, 4096);
        new Span<byte>(_start, (int)layout.RegionBytes).Fill(0xCC);
        Shared = new SharedRegion(Address, layout.RegionBytes);
    }

    public RingLayout Layout { get; }

    public nint Address => (nint)_start;

    /// <summary>The whole of it, past the hook.</summary>
    public Span<byte> Bytes => new(_start, (int)Layout.RegionBytes);

    /// <summary>As the two ends see it, through the hook.</summary>
    public SharedRegion Shared { get; }

    public void Dispose() => NativeMemory.AlignedFree(_start);
}
