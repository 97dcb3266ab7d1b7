namespace Scuse.Target;

/// <summary>
/// Lets one of the threads that a target is spread over have all of it to itself, while the others stand still between two turns of their work. What only reads, or touches nothing but a
/// <see cref="TargetLane"/>, needs no such thing: it runs while nobody is alone.
/// </summary>
public interface ITargetExclusion
{
    /// <summary>Whether the calling thread is alone now.</summary>
    bool IsHeld { get; }

    /// <summary>Returns when the calling thread is alone; at once if it is already.</summary>
    void Enter();

    /// <summary>The end of what the last <see cref="Enter"/> began; with the first one's the others go on.</summary>
    void Exit();
}

/// <summary>One section alone; nothing where a target is one thread's.</summary>
readonly ref struct Exclusive
{
    readonly ITargetExclusion? _exclusion;

    public Exclusive(ITargetExclusion? exclusion)
    {
        _exclusion = exclusion;
        exclusion?.Enter();
    }

    public void Dispose() => _exclusion?.Exit();
}
