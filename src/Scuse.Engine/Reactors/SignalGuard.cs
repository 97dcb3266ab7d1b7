namespace Scuse.Engine.Reactors;

/// <summary>Something that a reactor rings for somebody who may not want it to end.</summary>
interface IGuardedSignal
{
    /// <summary>Whether the ringing has to wait. Called on another thread.</summary>
    bool IsBlocked { get; }

    /// <summary>The ringing does not return: end it, and see to it that it is not tried again. Called on another thread, while the reactor is stuck in it.</summary>
    void Unblock();
}

/// <summary>
/// Frees the reactor when it is stuck in ringing a handler's doorbell. The handler shares the doorbell with us, and can fill its counter and make it
/// blocking; there is no way to ring it that is sure not to wait. So somebody else looks, now and then, whether a ring takes longer than it can, and whether that is because of the
/// doorbell: on a machine with too much to do the reactor may just have been kept from going on, for which no handler can be blamed.
/// </summary>
sealed class SignalGuard
{
    // Written by the reactor around each ring, read by the one who looks: what is being rung now, and how many rings there were.
    volatile IGuardedSignal? _current;
    volatile int _count;

    // Touched only by the one who looks.
    int _seen = -1;

    public void Enter(IGuardedSignal signal)
    {
        _count++;
        _current = signal;
    }

    public void Leave() => _current = null;

    /// <summary>Looks, a few times a second, from one thread that is not the reactor's. A ring that is seen twice and has to wait is stuck.</summary>
    public void Look()
    {
        if (_current is not { } current)
        {
            _seen = -1;
            return;
        }

        int count = _count;
        if (count == _seen && current.IsBlocked)
        {
            current.Unblock();
        }

        _seen = count;
    }
}
