using System.Runtime.CompilerServices;

namespace Scuse.Handlers.File;

/// <summary>
/// Threads for what waits for the disk, so that as many reads are under way as the disk can use. They are started when they are needed, up to a number, and end when they have
/// been idle for some seconds. <c>await threads</c> goes on with one of them.
/// </summary>
/// <remarks>
/// The runtime's own pool is no place for this: it begins with as many threads as there are processors, and takes seconds to find out that they wait instead of working.
/// The thread that became idle last is used first: its caches are warm, and those that are not needed come to their end.
/// </remarks>
sealed class DiskThreads(int most, int idleMs = 5000)
{
    readonly Lock _lock = new();
    readonly Queue<Action> _waiting = new();
    readonly List<Worker> _idle = [];
    int _count;
    bool _isClosed;

    /// <summary>How many threads there are.</summary>
    internal int Count
    {
        get
        {
            lock (_lock)
            {
                return _count;
            }
        }
    }

    public Awaiter GetAwaiter() => new(this);

    /// <summary>Has a thread do something, once one is free.</summary>
    internal void Start(Action work)
    {
        Worker? idle = null;
        lock (_lock)
        {
            if (_idle.Count > 0)
            {
                idle = _idle[^1];
                _idle.RemoveAt(_idle.Count - 1);
            }
            else if (_count == most)
            {
                _waiting.Enqueue(work);
                return;
            }
            else
            {
                _count++;
            }
        }

        if (idle is not null)
        {
            idle.Give(work);
            return;
        }

        try
        {
            new Thread(new Worker(this).Run) { IsBackground = true, Name = "scuse disk" }.UnsafeStart(work);
        }
        catch (OutOfMemoryException)
        {
            // The system has no more threads for us.
            Leave();
            ThreadPool.UnsafeQueueUserWorkItem(static work => work(), work, preferLocal: false);
        }
    }

    /// <summary>No work comes any more: idle threads end at once, the others when all is done.</summary>
    internal void Close()
    {
        Worker[] idle;
        lock (_lock)
        {
            _isClosed = true;
            idle = [.. _idle];
            _idle.Clear();
            _count -= idle.Length;
        }

        foreach (Worker worker in idle)
        {
            worker.Give(null);
        }
    }

    /// <summary>What a thread does next; null: it ends.</summary>
    Action? Next(Worker worker)
    {
        lock (_lock)
        {
            if (_waiting.TryDequeue(out Action? work))
            {
                return work;
            }

            if (_isClosed)
            {
                _count--;
                return null;
            }

            _idle.Add(worker);
        }

        return worker.Wait(idleMs);
    }

    /// <summary>An idle thread wants to end; false when it was chosen for work, which is about to come.</summary>
    bool TryLeave(Worker worker)
    {
        lock (_lock)
        {
            if (!_idle.Remove(worker))
            {
                return false;
            }

            _count--;
            return true;
        }
    }

    void Leave()
    {
        lock (_lock)
        {
            _count--;
        }
    }

    /// <summary>What <c>await</c> asks for.</summary>
    internal readonly struct Awaiter(DiskThreads threads) : ICriticalNotifyCompletion
    {
        public bool IsCompleted => false;

        public void GetResult()
        {
        }

        public void OnCompleted(Action continuation) => threads.Start(continuation);

        public void UnsafeOnCompleted(Action continuation) => threads.Start(continuation);
    }

    sealed class Worker(DiskThreads threads)
    {
        // Guards what follows, and is waited for.
        readonly object _gate = new();
        bool _hasBeenGiven;
        Action? _given;

        internal void Run(object? first)
        {
            for (Action? work = (Action?)first; work is not null; work = threads.Next(this))
            {
                work();
            }
        }

        internal void Give(Action? work)
        {
            lock (_gate)
            {
                _given = work;
                _hasBeenGiven = true;
                Monitor.Pulse(_gate);
            }
        }

        internal Action? Wait(int idleMs)
        {
            lock (_gate)
            {
                while (!_hasBeenGiven)
                {
                    if (!Monitor.Wait(_gate, idleMs) && !_hasBeenGiven && threads.TryLeave(this))
                    {
                        return null;
                    }
                }

                _hasBeenGiven = false;
                Action? work = _given;
                _given = null;
                return work;
            }
        }
    }
}
