using Microsoft.Win32.SafeHandles;

namespace Scuse.Linux.Tests;

public sealed class PinnedVectorsTests : IDisposable
{
    readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Several_pieces_are_written_and_read_with_one_call()
    {
        using SafeFileHandle file = FileRange.Open(_folder["f"], create: true);
        byte[] from = [.. Enumerable.Range(0, 100).Select(i => (byte)i)];
        byte[] into = new byte[100];
        PinnedVectors vectors = new();

        Assert.True(vectors.TryAdd(from.AsMemory(50, 50)) && vectors.TryAdd(from.AsMemory(0, 50)));
        Assert.Equal(100, FileRange.Write(file, 0, vectors.Vectors));
        vectors.Release();
        Assert.True(vectors.TryAdd(into.AsMemory(50, 50)) && vectors.TryAdd(into.AsMemory(0, 50)));
        Assert.Equal(100, FileRange.Read(file, 0, vectors.Vectors));
        vectors.Release();

        Assert.Equal(from, into);
        Assert.True(vectors.Vectors.IsEmpty);
    }

    [Fact]
    public void There_is_room_for_so_many_and_then_for_no_more()
    {
        PinnedVectors vectors = new();
        byte[] memory = new byte[PinnedVectors.Capacity + 1];
        for (int i = 0; i < PinnedVectors.Capacity; i++)
        {
            Assert.True(vectors.TryAdd(memory.AsMemory(i, 1)));
        }

        Assert.False(vectors.TryAdd(memory.AsMemory(PinnedVectors.Capacity, 1)));
        Assert.Equal(PinnedVectors.Capacity, vectors.Vectors.Length);
        vectors.Release();
        Assert.True(vectors.TryAdd(memory));
        vectors.Release();
    }

    [Fact]
    public void Pinning_allocates_nothing()
    {
        PinnedVectors vectors = new();
        byte[] array = new byte[512];
        using MemFd memory = MemFd.Create("test", 4096);
        using MappedRegion region = MappedRegion.Map(memory.Handle, memory.LengthBytes);
        Round();

        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
        {
            Round();
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        void Round()
        {
            vectors.TryAdd(array);
            vectors.TryAdd(region.Slice(512, 512));
            vectors.Release();
        }
    }
}
