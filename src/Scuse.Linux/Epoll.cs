using System.Runtime.InteropServices;

namespace Scuse.Linux;

/// <summary>What <see cref="Epoll"/> watches for and reports. epoll_ctl(2).</summary>
[Flags]
public enum EpollEvents : uint
{
    /// <summary>Nothing; errors and hang-up are reported all the same.</summary>
    None = 0,

    /// <summary>There is something to read, to accept, or the end.</summary>
    In = 0x1,

    /// <summary>There is something urgent.</summary>
    Priority = 0x2,

    /// <summary>There is room to write.</summary>
    Out = 0x4,

    /// <summary>An error waits to be collected; always watched for.</summary>
    Error = 0x8,

    /// <summary>The other end is gone; always watched for.</summary>
    HangUp = 0x10,

    /// <summary>The other end will send no more.</summary>
    ReadHangUp = 0x2000,

    /// <summary>Of several sets that watch a descriptor, only one or a few are woken.</summary>
    Exclusive = 1u << 28,

    /// <summary>Once reported, not watched until modified.</summary>
    OneShot = 1u << 30,

    /// <summary>Reported when it happens, not for as long as it lasts.</summary>
    EdgeTriggered = 1u << 31,
}

/// <summary>One report of <see cref="Epoll.Wait"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct EpollEvent
{
    /// <summary>What is the case.</summary>
    public EpollEvents Events;

    readonly uint _reserved;

    /// <summary>What was given when the descriptor was added.</summary>
    public ulong Token;
}

/// <summary>A set of descriptors to wait on. epoll(7).</summary>
/// <remarks>Adding, modifying and removing may happen while another thread waits.</remarks>
public sealed unsafe class Epoll : IDisposable
{
    // x86-64 packs struct epoll_event to 12 bytes, every other 64-bit architecture leaves it at its natural 16.
    const int PackedSize = 12;

    static readonly bool s_packed = RuntimeInformation.ProcessArchitecture == Architecture.X64;

    int _fd;

    Epoll(int fd) => _fd = fd;

    /// <summary>An empty set.</summary>
    /// <exception cref="LinuxException">No descriptor is left.</exception>
    public static Epoll Create()
    {
        int fd = Native.epoll_create1(Native.EPOLL_CLOEXEC);
        return fd < 0 ? throw Native.Failed("epoll_create1") : new Epoll(fd);
    }

    /// <summary>Watches <paramref name="fd"/>; reports carry <paramref name="token"/>.</summary>
    /// <exception cref="LinuxException">It is in the set already, or cannot be watched.</exception>
    public void Add(int fd, EpollEvents events, ulong token) => Control(Native.EPOLL_CTL_ADD, fd, events, token);

    /// <summary>Changes what is watched for, and the token.</summary>
    /// <exception cref="LinuxException">It is not in the set.</exception>
    public void Modify(int fd, EpollEvents events, ulong token) => Control(Native.EPOLL_CTL_MOD, fd, events, token);

    /// <summary>Watches <paramref name="fd"/> no more. A descriptor that is closed everywhere leaves the set by itself.</summary>
    /// <exception cref="LinuxException">It is not in the set.</exception>
    public void Remove(int fd) => Control(Native.EPOLL_CTL_DEL, fd, EpollEvents.None, 0);

    /// <summary>
    /// Waits up to <paramref name="timeoutMs"/> milliseconds (-1: for ever, 0: not at all) and fills <paramref name="events"/>. Returns how
    /// many there are; 0 when time is up or a signal came.
    /// </summary>
    /// <exception cref="LinuxException">The set is closed.</exception>
    public int Wait(Span<EpollEvent> events, int timeoutMs)
    {
        fixed (EpollEvent* first = events)
        {
            int count = Native.epoll_wait(_fd, first, events.Length, timeoutMs);
            if (count < 0)
            {
                int errno = Native.LastError;
                return errno == Errno.EINTR ? 0 : throw new LinuxException("epoll_wait", errno);
            }

            if (s_packed)
            {
                // From the last to the first, in place: the wider form of one never reaches the packed form of those before it.
                for (int i = count - 1; i >= 0; i--)
                {
                    byte* packed = (byte*)first + (i * PackedSize);
                    uint what = *(uint*)packed;
                    ulong token = *(ulong*)(packed + sizeof(uint));
                    first[i] = new EpollEvent { Events = (EpollEvents)what, Token = token };
                }
            }

            return count;
        }
    }

    /// <summary>Closes the set; the descriptors in it stay open.</summary>
    public void Dispose()
    {
        int fd = Interlocked.Exchange(ref _fd, -1);
        if (fd >= 0)
        {
            _ = Native.close(fd);
        }
    }

    void Control(int operation, int fd, EpollEvents events, ulong token)
    {
        byte* native = stackalloc byte[sizeof(EpollEvent)];
        *(uint*)native = (uint)events;
        *(ulong*)(native + (s_packed ? sizeof(uint) : sizeof(ulong))) = token;
        if (Native.epoll_ctl(_fd, operation, fd, native) < 0)
        {
            throw Native.Failed("epoll_ctl", $"descriptor {fd}");
        }
    }
}
