namespace Scuse.Device;

/// <summary>
/// Has commands that change what the device server remembers go one after the other. Who waits goes on inside the <see cref="End"/> of the one before it, on
/// that one's thread.
/// </summary>
sealed class Turns
{
    readonly Lock _lock = new();

    // Under the lock.
    readonly Queue<TaskCompletionSource> _waiting = new();
    bool _isTaken;

    /// <summary>Completes when it is the caller's turn.</summary>
    public Task TakeAsync()
    {
        lock (_lock)
        {
            if (!_isTaken)
            {
                _isTaken = true;
                return Task.CompletedTask;
            }

            TaskCompletionSource turn = new();
            _waiting.Enqueue(turn);
            return turn.Task;
        }
    }

    /// <summary>The caller's turn is over.</summary>
    public void End()
    {
        TaskCompletionSource? next;
        lock (_lock)
        {
            _isTaken = _waiting.TryDequeue(out next);
        }

        next?.SetResult();
    }
}
