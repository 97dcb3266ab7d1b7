namespace Scuse.Handlers.File;

/// <summary>
/// Makes writes durable for all who ask at the same time with one fdatasync. Who asks while one runs waits for the next, which serves all who came before it began: the running one may have passed by
/// their writes already.
/// </summary>
/// <param name="threads">Where it is waited for.</param>
/// <param name="sync">Makes all that was written durable; returns 0 or a negative error number.</param>
/// <remarks>A failed sync stays failed: the kernel reports lost writes only once, and a second sync that succeeds would hide that they are lost.</remarks>
sealed class GroupedSync(DiskThreads threads, Func<int> sync)
{
    readonly Lock _lock = new();

    // Under the lock: those who wait for the next sync.
    TaskCompletionSource<int>? _next;
    bool _isRunning;

    volatile bool _hasFailed;

    /// <summary>Whether a sync has failed; none follows it.</summary>
    internal bool HasFailed => _hasFailed;

    /// <summary>Waits for a sync that begins after this call. Returns 0 or a negative error number, the same to all of a group. What waits goes on with the thread that synced.</summary>
    internal Task<int> SyncAsync()
    {
        Task<int> joined;
        lock (_lock)
        {
            joined = (_next ??= new TaskCompletionSource<int>()).Task;
            if (_isRunning)
            {
                return joined;
            }

            _isRunning = true;
        }

        threads.Start(Run);
        return joined;
    }

    void Run()
    {
        while (true)
        {
            TaskCompletionSource<int> group;
            lock (_lock)
            {
                if (_next is null)
                {
                    _isRunning = false;
                    return;
                }

                group = _next;
                _next = null;
            }

            int result = _hasFailed ? -Linux.Errno.EIO : sync();
            _hasFailed |= result < 0;
            group.SetResult(result);
        }
    }
}
