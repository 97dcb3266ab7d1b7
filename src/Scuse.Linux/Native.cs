using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

[assembly: DisableRuntimeMarshalling]

namespace Scuse.Linux;

/// <summary>
/// The C library's functions as they are: only blittable arguments, so a call is a transition and nothing more.
/// </summary>
/// <remarks>
/// No function here is marked SuppressGCTransition: each of them can block, and a thread that blocks without the transition stops the
/// garbage collector for the whole process. The error number is read with <see cref="LastError"/> right after a failed call.
/// </remarks>
static unsafe partial class Native
{
    internal const int AF_UNIX = 1;
    internal const int AF_NETLINK = 16;
    internal const int SOCK_STREAM = 1;
    internal const int SOCK_RAW = 3;
    internal const int SOCK_SEQPACKET = 5;
    internal const int SOCK_NONBLOCK = 0x800;
    internal const int SOCK_CLOEXEC = 0x80000;
    internal const int SOL_SOCKET = 1;
    internal const int SO_PEERCRED = 17;
    internal const int SO_RCVBUFFORCE = 33;
    internal const int SOL_NETLINK = 270;
    internal const int NETLINK_GENERIC = 16;
    internal const int NETLINK_ADD_MEMBERSHIP = 1;
    internal const int SCM_RIGHTS = 1;
    internal const int MSG_CTRUNC = 0x8;
    internal const int MSG_TRUNC = 0x20;
    internal const int MSG_DONTWAIT = 0x40;
    internal const int MSG_NOSIGNAL = 0x4000;
    internal const int MSG_CMSG_CLOEXEC = 0x40000000;
    internal const short POLLIN = 1;
    internal const short POLLOUT = 4;
    internal const int EFD_CLOEXEC = 0x80000;
    internal const int EFD_NONBLOCK = 0x800;
    internal const int EPOLL_CLOEXEC = 0x80000;
    internal const int EPOLL_CTL_ADD = 1;
    internal const int EPOLL_CTL_DEL = 2;
    internal const int EPOLL_CTL_MOD = 3;
    internal const uint MFD_CLOEXEC = 1;
    internal const uint MFD_ALLOW_SEALING = 2;
    internal const uint MFD_NOEXEC_SEAL = 8;
    internal const int F_GETFL = 3;
    internal const int F_SETFL = 4;
    internal const int F_ADD_SEALS = 1033;
    internal const int F_GET_SEALS = 1034;
    internal const int F_SEAL_SEAL = 1;
    internal const int F_SEAL_SHRINK = 2;
    internal const int F_SEAL_GROW = 4;
    internal const int O_RDONLY = 0;
    internal const int O_RDWR = 2;
    internal const int O_CREAT = 0x40;
    internal const int O_EXCL = 0x80;
    internal const int O_NONBLOCK = 0x800;
    internal const int O_CLOEXEC = 0x80000;

    // One of the few flags that differ: arm64 has it where others have O_DIRECTORY.
    internal static readonly int O_DIRECT = RuntimeInformation.ProcessArchitecture is Architecture.Arm64 or Architecture.Arm ? 0x10000 : 0x4000;

    internal const int PROT_READ = 1;
    internal const int PROT_WRITE = 2;
    internal const int MAP_SHARED = 1;
    internal const int FALLOC_FL_KEEP_SIZE = 1;
    internal const int FALLOC_FL_PUNCH_HOLE = 2;
    internal const int FALLOC_FL_ZERO_RANGE = 16;
    internal const int SEEK_DATA = 3;
    internal const int SEEK_HOLE = 4;
    internal const int POSIX_FADV_DONTNEED = 4;
    internal const int LOCK_SH = 1;
    internal const int LOCK_EX = 2;
    internal const int LOCK_NB = 4;
    internal const int AT_FDCWD = -100;
    internal const int AT_EMPTY_PATH = 0x1000;
    internal const uint STATX_BASIC_STATS = 0x7FF;
    internal const uint STATX_DIOALIGN = 0x2000;
    internal const long TMPFS_MAGIC = 0x01021994;
    internal const long RAMFS_MAGIC = 0x858458F6;
    internal const int S_IFMT = 0xF000;
    internal const int S_IFREG = 0x8000;
    internal const int S_IFSOCK = 0xC000;
    internal const int RWF_NOWAIT = 8;
    internal const int RLIMIT_NOFILE = 7;

    // The numbers of calls younger than the common table are the same on every architecture.
    internal const long SYS_pidfd_send_signal = 424;
    internal const long SYS_io_uring_setup = 425;
    internal const long SYS_io_uring_enter = 426;
    internal const long SYS_pidfd_open = 434;

    internal const uint IORING_FEAT_SINGLE_MMAP = 1;
    internal const uint IORING_FEAT_NODROP = 2;
    internal const uint IORING_FEAT_SUBMIT_STABLE = 4;
    internal const uint IORING_FEAT_RW_CUR_POS = 8; // came with the plain read and write
    internal const long IORING_OFF_SQ_RING = 0;
    internal const long IORING_OFF_SQES = 0x10000000;
    internal const uint IORING_ENTER_GETEVENTS = 1;
    internal const byte IORING_OP_POLL_ADD = 6;
    internal const byte IORING_OP_READ = 22;
    internal const byte IORING_OP_WRITE = 23;

    /// <summary>The error number of the call just made on this thread.</summary>
    internal static int LastError => Marshal.GetLastSystemError();

    internal static LinuxException Failed(string call, string? about = null) => new(call, LastError, about);

    [LibraryImport("libc")] internal static partial int open(byte* path, int flags, uint mode);
    [LibraryImport("libc")] internal static partial int close(int fd);
    [LibraryImport("libc")] internal static partial nint read(int fd, void* buffer, nuint length);
    [LibraryImport("libc")] internal static partial nint write(int fd, void* buffer, nuint length);
    [LibraryImport("libc")] internal static partial nint preadv(int fd, IoVector* vectors, int count, long offset);
    [LibraryImport("libc")] internal static partial nint pwritev(int fd, IoVector* vectors, int count, long offset);
    [LibraryImport("libc")] internal static partial nint preadv2(int fd, IoVector* vectors, int count, long offset, int flags);
    [LibraryImport("libc")] internal static partial int eventfd(uint initial, int flags);
    [LibraryImport("libc")] internal static partial int memfd_create(byte* name, uint flags);
    [LibraryImport("libc")] internal static partial int ftruncate(int fd, long length);
    [LibraryImport("libc")] internal static partial int fallocate(int fd, int mode, long offset, long length);
    [LibraryImport("libc")] internal static partial long lseek(int fd, long offset, int whence);
    [LibraryImport("libc")] internal static partial int fdatasync(int fd);
    [LibraryImport("libc")] internal static partial int posix_fadvise(int fd, long offset, long length, int advice);
    [LibraryImport("libc")] internal static partial int flock(int fd, int operation);
    [LibraryImport("libc")] internal static partial int fcntl(int fd, int command, int argument);
    [LibraryImport("libc")] internal static partial int fchmod(int fd, uint mode);
    [LibraryImport("libc")] internal static partial int unlink(byte* path);
    [LibraryImport("libc")] internal static partial int statx(int directory, byte* path, int flags, uint mask, Statx* result);
    [LibraryImport("libc")] internal static partial int fstatfs(int fd, StatFs* result);
    [LibraryImport("libc")] internal static partial void* mmap(void* address, nuint length, int protection, int flags, int fd, long offset);
    [LibraryImport("libc")] internal static partial int munmap(void* address, nuint length);
    [LibraryImport("libc")] internal static partial int execvp(byte* file, byte** arguments);
    [LibraryImport("libc")] internal static partial int epoll_create1(int flags);
    [LibraryImport("libc")] internal static partial int epoll_ctl(int epoll, int operation, int fd, void* epollEvent);
    [LibraryImport("libc")] internal static partial int epoll_wait(int epoll, void* events, int count, int timeoutMs);
    [LibraryImport("libc")] internal static partial int poll(PollFd* fds, nuint count, int timeoutMs);
    [LibraryImport("libc")] internal static partial int socket(int domain, int type, int protocol);
    [LibraryImport("libc")] internal static partial int socketpair(int domain, int type, int protocol, int* fds);
    [LibraryImport("libc")] internal static partial int bind(int fd, void* address, uint length);
    [LibraryImport("libc")] internal static partial int listen(int fd, int backlog);
    [LibraryImport("libc")] internal static partial int connect(int fd, void* address, uint length);
    [LibraryImport("libc")] internal static partial int accept4(int fd, void* address, uint* length, int flags);
    [LibraryImport("libc")] internal static partial int getsockopt(int fd, int level, int name, void* value, uint* length);
    [LibraryImport("libc")] internal static partial int setsockopt(int fd, int level, int name, void* value, uint length);
    [LibraryImport("libc")] internal static partial nint recv(int fd, void* buffer, nuint length, int flags);
    [LibraryImport("libc")] internal static partial nint send(int fd, void* buffer, nuint length, int flags);
    [LibraryImport("libc")] internal static partial nint recvmsg(int fd, MessageHeader* message, int flags);
    [LibraryImport("libc")] internal static partial nint sendmsg(int fd, MessageHeader* message, int flags);
    [LibraryImport("libc")] internal static partial int getrlimit(int resource, ResourceLimit* limit);
    [LibraryImport("libc")] internal static partial int setrlimit(int resource, ResourceLimit* limit);
    [LibraryImport("libc")] internal static partial int sched_yield();
    [LibraryImport("libc")] internal static partial int sched_getaffinity(int thread, nint bytes, byte* mask);
    [LibraryImport("libc")] internal static partial int sched_setaffinity(int thread, nint bytes, byte* mask);
    [LibraryImport("libc")] internal static partial long syscall(long number, long a, long b, long c, long d);
    [LibraryImport("libc", EntryPoint = "syscall")] internal static partial long syscall6(long number, long a, long b, long c, long d, long e, long f);

    /// <summary>struct rlimit of 64-bit Linux.</summary>
    internal struct ResourceLimit
    {
        internal ulong Current;
        internal ulong Maximum;
    }

    /// <summary>struct pollfd.</summary>
    internal struct PollFd
    {
        internal int Fd;
        internal short Events;
        internal short Returned;
    }

    /// <summary>struct msghdr of 64-bit Linux. The C libraries differ only in calling parts of the 64-bit lengths padding.</summary>
    internal struct MessageHeader
    {
        internal void* Name;
        internal ulong NameLength;
        internal IoVector* Vectors;
        internal ulong VectorCount;
        internal void* Control;
        internal ulong ControlLength;
        internal ulong Flags;
    }

    /// <summary>struct cmsghdr of 64-bit Linux.</summary>
    internal struct ControlHeader
    {
        internal ulong Length;
        internal int Level;
        internal int Type;
    }

    /// <summary>struct ucred.</summary>
    internal struct Credentials
    {
        internal int Pid;
        internal int Uid;
        internal int Gid;
    }

    /// <summary>struct statx, whose layout is the same everywhere; only what is used has a name.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    internal struct Statx
    {
        [FieldOffset(0)] internal uint Mask;
        [FieldOffset(28)] internal ushort Mode;
        [FieldOffset(32)] internal ulong Inode;
        [FieldOffset(40)] internal ulong Size;
        [FieldOffset(48)] internal ulong Blocks;
        [FieldOffset(136)] internal uint DeviceMajor;
        [FieldOffset(140)] internal uint DeviceMinor;
        [FieldOffset(152)] internal uint DirectMemoryAlignment;
        [FieldOffset(156)] internal uint DirectOffsetAlignment;
    }

    /// <summary>struct statfs of 64-bit Linux; only what is used has a name.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 120)]
    internal struct StatFs
    {
        [FieldOffset(0)] internal long Type;
    }

    /// <summary>struct io_uring_params; only what is used has a name.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 120)]
    internal struct UringParameters
    {
        [FieldOffset(0)] internal uint EntryCount;
        [FieldOffset(4)] internal uint ResultCount;
        [FieldOffset(20)] internal uint Features;
        [FieldOffset(44)] internal uint EntriesTail;
        [FieldOffset(48)] internal uint EntriesMask;
        [FieldOffset(64)] internal uint EntriesPlaces;
        [FieldOffset(80)] internal uint ResultsHead;
        [FieldOffset(84)] internal uint ResultsTail;
        [FieldOffset(88)] internal uint ResultsMask;
        [FieldOffset(100)] internal uint Results;
    }

    /// <summary>struct io_uring_sqe; only what is used has a name.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 64)]
    internal struct UringEntry
    {
        [FieldOffset(0)] internal byte Operation;
        [FieldOffset(4)] internal int Fd;
        [FieldOffset(8)] internal ulong Offset;
        [FieldOffset(16)] internal ulong Address;
        [FieldOffset(24)] internal uint Length;
        [FieldOffset(28)] internal uint Flags;
        [FieldOffset(32)] internal ulong Token;
    }

    /// <summary>struct io_uring_cqe.</summary>
    internal struct UringResult
    {
        internal ulong Token;
        internal int Result;
        internal uint Flags;
    }

    /// <summary>struct sockaddr_un: a path of at most 107 bytes and its terminating zero.</summary>
    internal struct UnixAddress
    {
        internal const int MaxPathBytes = 107;

        internal ushort Family;
        internal fixed byte Path[108];

        internal static UnixAddress From(string path, string call)
        {
            UnixAddress address = new() { Family = AF_UNIX };
            int length = System.Text.Encoding.UTF8.GetByteCount(path);
            if (length is 0 or > MaxPathBytes)
            {
                throw new LinuxException(call, length == 0 ? Errno.EINVAL : Errno.ENAMETOOLONG, $"the socket path '{path}' has {length} bytes, and 1 to {MaxPathBytes} are allowed");
            }

            System.Text.Encoding.UTF8.GetBytes(path, new Span<byte>(address.Path, MaxPathBytes));
            return address;
        }
    }
}
