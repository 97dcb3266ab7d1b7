using System.Runtime.CompilerServices;

namespace Scuse.Linux;

/// <summary>Reads and writes that the kernel does on its own while nobody waits: many are handed over with one call, and their results come in memory. io_uring(7).</summary>
/// <remarks>For one thread at a time. What has been added and has not come back with <see cref="TryTake"/> is under way: its memory must stay where it is.</remarks>
public sealed unsafe class IoRing : IDisposable
{
    readonly int _fd;
    readonly nuint _ringLength, _entriesLength;
    readonly byte* _ring;
    readonly Native.UringEntry* _entries;
    readonly uint* _entriesTail, _resultsHead, _resultsTail;
    readonly uint _entriesMask, _resultsMask;
    readonly Native.UringResult* _results;
    uint _unsubmitted;
    bool _isDisposed;

    IoRing(int fd, in Native.UringParameters parameters, byte* ring, nuint ringLength, Native.UringEntry* entries, nuint entriesLength)
    {
        _fd = fd;
        _ring = ring;
        _ringLength = ringLength;
        _entries = entries;
        _entriesLength = entriesLength;
        _entriesTail = (uint*)(ring + parameters.EntriesTail);
        _entriesMask = *(uint*)(ring + parameters.EntriesMask);
        _resultsHead = (uint*)(ring + parameters.ResultsHead);
        _resultsTail = (uint*)(ring + parameters.ResultsTail);
        _resultsMask = *(uint*)(ring + parameters.ResultsMask);
        _results = (Native.UringResult*)(ring + parameters.Results);
        Capacity = (int)parameters.EntryCount;

        // Entries are handed over in the order of their places.
        uint* places = (uint*)(ring + parameters.EntriesPlaces);
        for (uint i = 0; i < parameters.EntryCount; i++)
        {
            places[i] = i;
        }
    }

    /// <summary>How many may be under way at once.</summary>
    public int Capacity { get; }

    /// <summary>Creates a ring for so many at once; null where the kernel has none, or lets this process have none.</summary>
    public static IoRing? TryCreate(int capacity)
    {
        Native.UringParameters parameters = default;
        int fd = (int)Native.syscall(Native.SYS_io_uring_setup, capacity, (long)&parameters, 0, 0);
        if (fd < 0)
        {
            return null;
        }

        const uint needed = Native.IORING_FEAT_SINGLE_MMAP | Native.IORING_FEAT_NODROP | Native.IORING_FEAT_SUBMIT_STABLE | Native.IORING_FEAT_RW_CUR_POS;
        nuint ringLength = Math.Max(
            parameters.EntriesPlaces + (parameters.EntryCount * sizeof(uint)),
            parameters.Results + (parameters.ResultCount * (uint)sizeof(Native.UringResult)));
        nuint entriesLength = parameters.EntryCount * (nuint)sizeof(Native.UringEntry);
        if ((parameters.Features & needed) == needed)
        {
            void* ring = Native.mmap(null, ringLength, Native.PROT_READ | Native.PROT_WRITE, Native.MAP_SHARED, fd, Native.IORING_OFF_SQ_RING);
            if (ring != (void*)-1)
            {
                void* entries = Native.mmap(null, entriesLength, Native.PROT_READ | Native.PROT_WRITE, Native.MAP_SHARED, fd, Native.IORING_OFF_SQES);
                if (entries != (void*)-1)
                {
                    return new IoRing(fd, parameters, (byte*)ring, ringLength, (Native.UringEntry*)entries, entriesLength);
                }

                _ = Native.munmap(ring, ringLength);
            }
        }

        _ = Native.close(fd);
        return null;
    }

    /// <summary>Adds a read into, or a write from, one piece of memory. At most <see cref="Capacity"/> may be under way.</summary>
    public void AddTransfer(int fd, bool isWrite, long offset, IoVector memory, ulong token)
    {
        Native.UringEntry* entry = Next();
        entry->Operation = isWrite ? Native.IORING_OP_WRITE : Native.IORING_OP_READ;
        entry->Fd = fd;
        entry->Offset = (ulong)offset;
        entry->Address = (ulong)memory.Base;
        entry->Length = (uint)memory.Length;
        entry->Token = token;
        Add();
    }

    /// <summary>Adds the wait until a descriptor can be read. It comes back once.</summary>
    public void AddPoll(int fd, ulong token)
    {
        Native.UringEntry* entry = Next();
        entry->Operation = Native.IORING_OP_POLL_ADD;
        entry->Fd = fd;
        entry->Flags = (uint)Native.POLLIN;
        entry->Token = token;
        Add();
    }

    /// <summary>Hands over what was added, and with <paramref name="wait"/> waits until at least one has come back. Returns 0 or a negative error number (EAGAIN, EBUSY: the kernel has no memory, try again).</summary>
    public int Submit(bool wait)
    {
        while (_unsubmitted > 0 || wait)
        {
            long done = Native.syscall6(Native.SYS_io_uring_enter, _fd, _unsubmitted, wait ? 1 : 0, wait ? Native.IORING_ENTER_GETEVENTS : 0, 0, 0);
            if (done >= 0)
            {
                _unsubmitted -= (uint)done;
                wait = false;
            }
            else if (Native.LastError is int errno && errno != Errno.EINTR)
            {
                return -errno;
            }
        }

        return 0;
    }

    /// <summary>Takes what has come back: the number of bytes, or a negative error number.</summary>
    public bool TryTake(out ulong token, out int result)
    {
        uint head = *_resultsHead;
        if (head == Volatile.Read(ref *_resultsTail))
        {
            token = 0;
            result = 0;
            return false;
        }

        Native.UringResult* taken = &_results[head & _resultsMask];
        token = taken->Token;
        result = taken->Result;
        Volatile.Write(ref *_resultsHead, head + 1);
        return true;
    }

    /// <summary>Lets the ring go. Nothing may be under way.</summary>
    public void Dispose()
    {
        if (!_isDisposed)
        {
            _isDisposed = true;
            _ = Native.munmap(_entries, _entriesLength);
            _ = Native.munmap(_ring, _ringLength);
            _ = Native.close(_fd);
        }
    }

    Native.UringEntry* Next()
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        if (_unsubmitted == Capacity && Submit(wait: false) is int error and < 0)
        {
            throw new LinuxException("io_uring_enter", -error);
        }

        Native.UringEntry* entry = &_entries[*_entriesTail & _entriesMask];
        Unsafe.InitBlockUnaligned(entry, 0, (uint)sizeof(Native.UringEntry));
        return entry;
    }

    void Add()
    {
        Volatile.Write(ref *_entriesTail, *_entriesTail + 1);
        _unsubmitted++;
    }
}
