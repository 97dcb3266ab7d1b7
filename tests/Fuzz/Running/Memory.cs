using System.Runtime.InteropServices;

namespace Scuse.Fuzz.Running;

/// <summary>The C library's calls for memory that these tests place themselves.</summary>
static unsafe partial class Memory
{
    public const int PageBytes = 4096;

    const int ProtNone = 0, ProtRead = 1, ProtWrite = 2;
    const int MapPrivate = 2, MapAnonymous = 0x20;

    /// <summary>Memory of so many pages with a page before and after it that nobody can touch: whoever leaves it crashes the process.</summary>
    public static nint MapGuarded(int lengthBytes)
    {
        int pages = (lengthBytes + PageBytes - 1) / PageBytes;
        void* all = mmap(null, (nuint)((pages + 2) * PageBytes), ProtNone, MapPrivate | MapAnonymous, -1, 0);
        byte* start = (byte*)all + PageBytes;
        return all == (void*)-1 || mprotect(start, (nuint)(pages * PageBytes), ProtRead | ProtWrite) != 0
            ? throw new InvalidOperationException($"no memory for {pages} guarded pages")
            : (nint)start;
    }

    /// <summary>Gives back what <see cref="MapGuarded"/> made.</summary>
    public static void UnmapGuarded(nint start, int lengthBytes)
    {
        int pages = (lengthBytes + PageBytes - 1) / PageBytes;
        _ = munmap((byte*)start - PageBytes, (nuint)((pages + 2) * PageBytes));
    }

    /// <summary>
    /// Makes a gap of just this size between two pages that nobody can touch: what is mapped next, with that length and wherever there is room, most likely lands there.
    /// </summary>
    /// <returns>Where the gap is.</returns>
    public static nint ReserveGap(long lengthBytes)
    {
        byte* all = (byte*)mmap(null, (nuint)(lengthBytes + (2 * PageBytes)), ProtNone, MapPrivate | MapAnonymous, -1, 0);
        if (all == (byte*)-1)
        {
            throw new InvalidOperationException($"no room for {lengthBytes} bytes and two pages");
        }

        _ = munmap(all + PageBytes, (nuint)lengthBytes);
        return (nint)(all + PageBytes);
    }

    /// <summary>Keeps the pages around a gap if the mapping landed there, and tells whether it did.</summary>
    public static bool KeepGuards(nint gap, nint mapped, long lengthBytes)
    {
        if (gap != mapped)
        {
            RemoveGuards(gap, lengthBytes);
        }

        return gap == mapped;
    }

    /// <summary>Takes the pages around a mapping away.</summary>
    public static void RemoveGuards(nint start, long lengthBytes)
    {
        _ = munmap((void*)(start - PageBytes), PageBytes);
        _ = munmap((void*)(start + (nint)lengthBytes), PageBytes);
    }

    /// <summary>Two connected sockets of the attach protocol's type.</summary>
    public static (int First, int Second) SocketPair()
    {
        const int AfUnix = 1, SockSeqPacket = 5, SockCloexec = 0x80000;
        int* fds = stackalloc int[2];
        return socketpair(AfUnix, SockSeqPacket | SockCloexec, 0, fds) == 0 ? (fds[0], fds[1]) : throw new InvalidOperationException("no more sockets");
    }

    [LibraryImport("libc")] private static partial void* mmap(void* address, nuint length, int protection, int flags, int fd, long offset);
    [LibraryImport("libc")] private static partial int mprotect(void* address, nuint length, int protection);
    [LibraryImport("libc")] private static partial int munmap(void* address, nuint length);
    [LibraryImport("libc")] private static partial int socketpair(int domain, int type, int protocol, int* fds);
}
