using Microsoft.Win32.SafeHandles;

namespace Scuse.Linux.Tests;

public sealed class IoRingTests : IDisposable
{
    readonly TempFolder _folder = new();
    readonly SafeFileHandle _file;
    readonly int _fd;

    public IoRingTests()
    {
        _file = FileRange.Open(_folder["f"], create: true);
        _fd = (int)_file.DangerousGetHandle();
    }

    public void Dispose()
    {
        _file.Dispose();
        _folder.Dispose();
    }

    static IoRing Create(int capacity)
    {
        IoRing? ring = IoRing.TryCreate(capacity);
        Assert.SkipWhen(ring is null, "the kernel has no io_uring for us");
        return ring;
    }

    static List<(ulong Token, int Result)> Take(IoRing ring, int count)
    {
        List<(ulong Token, int Result)> taken = [];
        while (taken.Count < count)
        {
            Assert.Equal(0, ring.Submit(wait: true));
            while (ring.TryTake(out ulong token, out int result))
            {
                taken.Add((token, result));
            }
        }

        return taken;
    }

    [Fact]
    public void More_than_fits_comes_and_goes_each_with_its_own_result()
    {
        using IoRing ring = Create(8);
        byte[] from = GC.AllocateArray<byte>(8 * 512, pinned: true), into = GC.AllocateArray<byte>(8 * 512, pinned: true);
        for (int round = 0; round < 100; round++) // around the ring several times
        {
            new Random(round).NextBytes(from);
            for (int i = 0; i < 8; i++)
            {
                ring.AddTransfer(_fd, isWrite: true, i * 512, PinnedMemory.ToVector(from.AsMemory(i * 512, 512)), (ulong)i);
            }

            Assert.Equal(Enumerable.Range(0, 8).Select(i => ((ulong)i, 512)), Take(ring, 8).Order());
            for (int i = 0; i < 8; i++)
            {
                ring.AddTransfer(_fd, isWrite: false, i * 512, PinnedMemory.ToVector(into.AsMemory(i * 512, 512)), (ulong)i);
            }

            Take(ring, 8);
            Assert.Equal(from, into);
        }
    }

    [Fact]
    public void Ends_and_errors_come_as_results()
    {
        using IoRing ring = Create(4);
        byte[] room = GC.AllocateArray<byte>(1024, pinned: true);
        FileRange.Write(_file, 0, new byte[700].AsSpan());
        using SafeFileHandle readOnly = FileRange.Open(_folder["f"], readOnly: true);

        ring.AddTransfer(_fd, isWrite: false, 512, PinnedMemory.ToVector(room), 1);
        ring.AddTransfer(_fd, isWrite: false, 4096, PinnedMemory.ToVector(room), 2);
        ring.AddTransfer((int)readOnly.DangerousGetHandle(), isWrite: true, 0, PinnedMemory.ToVector(room), 3);

        Assert.Equal([(1ul, 188), (2ul, 0), (3ul, -Errno.EBADF)], Take(ring, 3).Order().ToArray());
    }

    [Fact]
    public void A_doorbell_wakes_who_waits()
    {
        using IoRing ring = Create(4);
        using EventFd bell = EventFd.Create();
        ring.AddPoll(bell.Descriptor, 7);
        Assert.Equal(0, ring.Submit(wait: false));
        Assert.False(ring.TryTake(out _, out _));

        bell.Signal();

        Assert.Equal(7u, Take(ring, 1)[0].Token);
    }
}
