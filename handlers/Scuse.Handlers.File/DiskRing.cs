using System.Buffers;
using System.Runtime.CompilerServices;
using Microsoft.Win32.SafeHandles;
using Scuse.Linux;

namespace Scuse.Handlers.File;

/// <summary>
/// Reads and writes that wait for the disk by io_uring, with one thread: a system call of it hands over all that has come, and waits for what comes back. After start-up nothing is allocated.
/// </summary>
/// <remarks>What waits goes on with the ring's thread, and holds up the others if it takes long there.</remarks>
sealed class DiskRing : IDisposable
{
    const int Entries = 256;
    const int EndingGraceMs = 1000;
    const int BusyMs = 1;
    const ulong WakeToken = Entries;

    readonly SafeFileHandle _file;
    readonly IoRing _ring;
    readonly EventFd _wake = EventFd.Create();
    readonly Thread _thread;

    // Under the lock: for use again.
    readonly Lock _lock = new();
    readonly Stack<Transfer> _free = new(Entries);

    // The thread's own: those under way, by their tokens, and those that found no place yet.
    readonly Transfer?[] _underWay = new Transfer?[Entries];
    readonly Stack<int> _tokens = new(Entries);
    readonly Queue<Transfer> _waiting = new(Entries);

    // Written by any thread with an interlocked exchange, taken whole by the ring's: those that have come, the last first.
    Transfer? _posted;

    // 1 while the thread may be asleep; whoever sets it back to 0 rings _wake.
    int _asleep;
    volatile bool _isClosed;

    DiskRing(SafeFileHandle file, IoRing ring)
    {
        _file = file;
        _ring = ring;
        for (int i = ring.Capacity - 2; i >= 0; i--) // one place is the doorbell's
        {
            _tokens.Push(i);
        }

        _thread = new Thread(Run) { IsBackground = true, Name = "scuse disk ring" };
        _thread.UnsafeStart();
    }

    /// <summary>A ring for an open file, which stays open until it is disposed; null where the kernel has none for us.</summary>
    internal static DiskRing? TryCreate(SafeFileHandle file) => IoRing.TryCreate(Entries) is { } ring ? new DiskRing(file, ring) : null;

    /// <summary>
    /// Reads into, or writes from, one piece of memory, beginning with the <c>await</c>, of which there must be one. Its result is the number of bytes, which may be fewer than asked for, or a negative
    /// error number.
    /// </summary>
    internal Transfer TransferAsync(bool isWrite, long offset, Memory<byte> memory)
    {
        Transfer? transfer;
        lock (_lock)
        {
            _free.TryPop(out transfer);
        }

        transfer ??= new Transfer(this);
        transfer.Prepare(isWrite, offset, memory);
        return transfer;
    }

    /// <summary>Ends the thread when all that is under way is done. Nothing must come any more.</summary>
    public void Dispose()
    {
        _isClosed = true;
        Interlocked.MemoryBarrier(); // as in Post
        WakeUp();
        if (_thread.Join(EndingGraceMs))
        {
            _ring.Dispose();
            _wake.Dispose();
        }
    }

    void Post(Transfer transfer)
    {
        Transfer? head = Volatile.Read(ref _posted);
        while (true)
        {
            transfer.Next = head;
            Transfer? seen = Interlocked.CompareExchange(ref _posted, transfer, head);
            if (seen == head)
            {
                break;
            }

            head = seen;
        }

        // The exchange is a full fence: the thread sees the transfer when it looks once more before it sleeps, or this sees that it is about to. Pairs with the exchange in Run.
        WakeUp();
    }

    void WakeUp()
    {
        if (Volatile.Read(ref _asleep) != 0 && Interlocked.Exchange(ref _asleep, 0) != 0)
        {
            _wake.Signal();
        }
    }

    void Run()
    {
        bool isHeld = false;
        _file.DangerousAddRef(ref isHeld);
        int fd = (int)_file.DangerousGetHandle();
        int places = _tokens.Count;
        _ring.AddPoll(_wake.Descriptor, WakeToken);
        while (true)
        {
            TakePosted();
            while (_waiting.Count > 0 && _tokens.TryPop(out int token))
            {
                Transfer transfer = _waiting.Dequeue();
                _underWay[token] = transfer;
                _ring.AddTransfer(fd, transfer.IsWrite, transfer.Offset, transfer.Vector, (ulong)token);
            }

            if (_isClosed && _tokens.Count == places)
            {
                break;
            }

            Interlocked.Exchange(ref _asleep, 1);
            int result = _ring.Submit(wait: Volatile.Read(ref _posted) is null);
            Interlocked.Exchange(ref _asleep, 0);
            if (result < 0)
            {
                Thread.Sleep(BusyMs); // the kernel lacks memory for the moment
            }

            TakeResults();
        }

        _file.DangerousRelease();
    }

    /// <summary>Moves what has come to the queue, in its order.</summary>
    void TakePosted()
    {
        Transfer? posted = Interlocked.Exchange(ref _posted, null);
        Transfer? first = null;
        while (posted is not null)
        {
            Transfer? next = posted.Next;
            posted.Next = first;
            first = posted;
            posted = next;
        }

        while (first is not null)
        {
            _waiting.Enqueue(first);
            first = first.Next;
        }
    }

    void TakeResults()
    {
        while (_ring.TryTake(out ulong token, out int result))
        {
            if (token == WakeToken)
            {
                _wake.Drain();
                _ring.AddPoll(_wake.Descriptor, WakeToken);
                continue;
            }

            Transfer transfer = _underWay[token]!;
            _underWay[token] = null;
            _tokens.Push((int)token);
            transfer.Complete(result);
        }
    }

    void Return(Transfer transfer)
    {
        lock (_lock)
        {
            _free.Push(transfer);
        }
    }

    /// <summary>One read or write, and what <c>await</c> asks for. Used again once its result has been taken.</summary>
    internal sealed class Transfer(DiskRing ring) : ICriticalNotifyCompletion
    {
        MemoryHandle _hold;
        Action? _continuation;
        int _result;

        public bool IsCompleted => false;

        internal bool IsWrite { get; private set; }

        internal long Offset { get; private set; }

        internal IoVector Vector { get; private set; }

        /// <summary>The next in the list of those that have come.</summary>
        internal Transfer? Next { get; set; }

        public Transfer GetAwaiter() => this;

        public int GetResult()
        {
            int result = _result;
            ring.Return(this);
            return result;
        }

        public void OnCompleted(Action continuation) => UnsafeOnCompleted(continuation);

        public void UnsafeOnCompleted(Action continuation)
        {
            _continuation = continuation;
            ring.Post(this);
        }

        internal void Prepare(bool isWrite, long offset, Memory<byte> memory)
        {
            IsWrite = isWrite;
            Offset = offset;
            Vector = PinnedMemory.Pin(memory, out _hold);
        }

        internal void Complete(int result)
        {
            _hold.Dispose();
            _result = result;
            Action continuation = _continuation!;
            _continuation = null;
            continuation();
        }
    }
}
