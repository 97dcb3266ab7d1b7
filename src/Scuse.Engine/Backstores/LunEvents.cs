namespace Scuse.Engine;

/// <summary>What kind of thing happened to a logical unit.</summary>
public enum LunEventKind
{
    /// <summary>A handler attached.</summary>
    Attached,

    /// <summary>The handler ended as it was asked to.</summary>
    Removed,

    /// <summary>The handler is gone.</summary>
    Lost,

    /// <summary>Commands of the handler before were posted to this one.</summary>
    Repeated,

    /// <summary>Commands that a lost handler had could not be kept for the next one.</summary>
    NotRepeated,

    /// <summary>A command takes unusually long.</summary>
    Slow,

    /// <summary>A command missed its time limit.</summary>
    TimedOut,

    /// <summary>The handler was given up because it did not answer.</summary>
    Hung,

    /// <summary>The handler broke a rule of the ring.</summary>
    Violation,

    /// <summary>A command found no room for as long as it may wait.</summary>
    QueueFull,

    /// <summary>The operator holds commands back.</summary>
    Blocked,

    /// <summary>The operator lets commands through again.</summary>
    Unblocked,

    /// <summary>The operator ended what the handler had.</summary>
    RingReset,

    /// <summary>Nothing new is posted, until what the handler has is answered.</summary>
    Draining,

    /// <summary>Posting goes on to the same handler.</summary>
    Resumed,

    /// <summary>The device has another size.</summary>
    Resized,
}

/// <summary>Something that happened to a logical unit.</summary>
/// <param name="At">When.</param>
/// <param name="Kind">What kind of thing.</param>
/// <param name="Text">One line for a person.</param>
public readonly record struct LunEvent(DateTimeOffset At, LunEventKind Kind, string Text);

/// <summary>The last events of one logical unit, the oldest forgotten first. Written only when something unusual happens. Touched only by the owning reactor.</summary>
sealed class LunEvents
{
    const int Capacity = 128;

    readonly Queue<LunEvent> _events = new();

    public void Add(LunEventKind kind, string text)
    {
        if (_events.Count == Capacity)
        {
            _events.Dequeue();
        }

        _events.Enqueue(new LunEvent(DateTimeOffset.UtcNow, kind, text));
    }

    /// <summary>The events, oldest first.</summary>
    public LunEvent[] ToArray() => [.. _events];
}
