namespace Scuse.Engine;

/// <summary>How far a handler's connection has come.</summary>
public enum AttachPhase
{
    /// <summary>It has not said hello.</summary>
    Greeting,

    /// <summary>It is to take its device over, and waits for the handler that serves it to let go.</summary>
    Waiting,

    /// <summary>It has been told its device and opens it.</summary>
    Opening,

    /// <summary>It serves its device.</summary>
    Attached,

    /// <summary>It was told to go, or to let go until the engine is back.</summary>
    Leaving,
}

/// <summary>Who started a handler.</summary>
public enum HandlerOrigin
{
    /// <summary>Somebody else.</summary>
    Other,

    /// <summary>This engine.</summary>
    Engine,

    /// <summary>An engine before this one, which left it running.</summary>
    Kept,
}

/// <summary>One handler's connection, as it is now.</summary>
/// <param name="Pid">Its process.</param>
/// <param name="Handler">What it calls itself.</param>
/// <param name="Phase">How far it has come.</param>
/// <param name="Origin">Who started it.</param>
/// <param name="Since">When it came into service; before that, when it connected.</param>
public sealed record HandlerConnection(int Pid, string Handler, AttachPhase Phase, HandlerOrigin Origin, DateTimeOffset Since);

/// <summary>Who serves a logical unit, as it is now.</summary>
public sealed record HandlerState
{
    /// <summary>The logical unit number.</summary>
    public required int Lun { get; init; }

    /// <summary>The device's name.</summary>
    public required string Device { get; init; }

    /// <summary>The pool it belongs to; null for a process of its own.</summary>
    public string? Pool { get; init; }

    /// <summary>Whether the engine starts its handler, and starts it again.</summary>
    public bool IsSupervised { get; init; }

    /// <summary>The handler that serves it, or is about to; null while there is none.</summary>
    public HandlerConnection? Handler { get; init; }

    /// <summary>The one that waits to take its place.</summary>
    public HandlerConnection? Successor { get; init; }

    /// <summary>How often the engine had to start the handler again.</summary>
    public int Restarts { get; init; }

    /// <summary>How often it was replaced in order.</summary>
    public int Replacements { get; init; }

    /// <summary>How the last handler that is gone ended; null when none is.</summary>
    public string? LastEnding { get; init; }

    /// <summary>When that was.</summary>
    public DateTimeOffset? LastEndingAt { get; init; }
}

/// <summary>What a replacement of a handler came to.</summary>
/// <param name="Target">Their target.</param>
/// <param name="Luns">The logical units that have a new handler: one, or a whole pool.</param>
/// <param name="OldPid">The process before; null when there was none.</param>
/// <param name="NewPid">The process that serves now.</param>
/// <param name="PauseMs">
/// How long commands waited at most: from the last that could go to the old handler to the first that could go to the new one, in milliseconds.
/// </param>
public sealed record ReplacementResult(string Target, IReadOnlyList<int> Luns, int? OldPid, int NewPid, double PauseMs);
