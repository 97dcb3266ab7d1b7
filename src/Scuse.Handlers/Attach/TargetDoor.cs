using Scuse.Ring.Attach;

namespace Scuse.Attach;

/// <summary>
/// Where all devices of a process attach: a few at a time, and while no target is there, one of them knocks for all.
/// </summary>
sealed class TargetDoor(string path, Watcher watcher, CancellationToken stop) : IDisposable
{
    /// <summary>How many devices open at a time. Each may take its time, so one after the other would be slow, and all at once would be a crowd.</summary>
    const int Handshakes = 8;

    const int KnockEveryMs = 50;

    readonly SemaphoreSlim _handshakes = new(Handshakes);
    readonly SemaphoreSlim _knocking = new(1);

    /// <summary>Waits for its turn to attach. Dispose of the result when the device has its region.</summary>
    /// <exception cref="OperationCanceledException">This process is to end.</exception>
    internal async Task<IDisposable> EnterAsync()
    {
        await _handshakes.WaitAsync(stop).ConfigureAwait(false);
        return new Turn(_handshakes);
    }

    /// <exception cref="AttachException">Nobody is there.</exception>
    internal AttachSession Connect() => AttachSession.Connect(path, watcher, stop);

    /// <summary>
    /// Tries until a target is there and says what the device is. Null when <paramref name="deadlineMs"/> (<see cref="Environment.TickCount64"/>) has passed without one;
    /// waiting behind other devices does not count.
    /// </summary>
    /// <exception cref="AttachException">The target does not want it.</exception>
    /// <exception cref="OperationCanceledException">This process is to end.</exception>
    internal async Task<(AttachSession Session, DeviceMessage Device)?> AttachAgainAsync(HelloMessage hello, long deadlineMs)
    {
        while (true)
        {
            AttachSession session;
            await _knocking.WaitAsync(stop).ConfigureAwait(false);
            try
            {
                if (await KnockAsync(deadlineMs).ConfigureAwait(false) is not { } answered)
                {
                    return null;
                }

                session = answered;
            }
            finally
            {
                _knocking.Release();
            }

            try
            {
                return (session, await session.GreetAsync(hello).ConfigureAwait(false));
            }
            catch (AttachException failure) when (failure.Problem == AttachProblem.NoTarget)
            {
                // It was about to go, or died in between: as good as none.
                session.Dispose();
                if (Environment.TickCount64 >= deadlineMs)
                {
                    return null;
                }

                await Task.Delay(KnockEveryMs, stop).ConfigureAwait(false);
            }
            catch
            {
                session.Dispose();
                throw;
            }
        }
    }

    public void Dispose()
    {
        _handshakes.Dispose();
        _knocking.Dispose();
    }

    async Task<AttachSession?> KnockAsync(long deadlineMs)
    {
        while (true)
        {
            try
            {
                return Connect();
            }
            catch (AttachException) when (Environment.TickCount64 < deadlineMs)
            {
                await Task.Delay(KnockEveryMs, stop).ConfigureAwait(false);
            }
            catch (AttachException)
            {
                return null;
            }
        }
    }

    sealed class Turn(SemaphoreSlim handshakes) : IDisposable
    {
        int _isDisposed;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _isDisposed, 1) == 0)
            {
                handshakes.Release();
            }
        }
    }
}
