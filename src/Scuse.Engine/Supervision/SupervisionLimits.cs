using System.Globalization;

namespace Scuse.Engine.Supervision;

/// <summary>How long supervision waits for handlers, and how much it takes from them. The defaults are what engines run with; tests are more impatient.</summary>
sealed record SupervisionLimits
{
    /// <summary>How long a connection may take to say hello, in milliseconds.</summary>
    public int HelloMs { get; init; } = 30_000;

    /// <summary>How long a handler may take from being told its device to being ready: opening a large store takes its time.</summary>
    public int ReadyMs { get; init; } = 30_000;

    /// <summary>
    /// How long the flushes that a handler has are waited for before it is drained. Reads and plain writes go on meanwhile: a disk that needs 100 ms for a flush
    /// would keep them waiting for as long.
    /// </summary>
    public int SettleMs { get; init; } = 2_000;

    /// <summary>How long a handler that is to be replaced may take for the commands it has; its initiators wait meanwhile.</summary>
    public int DrainMs { get; init; } = 5_000;

    /// <summary>How long a handler may take to close its device and its connection when it is told to go.</summary>
    public int RemoveMs { get; init; } = 5_000;

    /// <summary>How long the end of a killed process may take.</summary>
    public int KillMs { get; init; } = 5_000;

    /// <summary>How long an engine that starts waits for handlers that an engine before it left running.</summary>
    public int KeptMs { get; init; } = 1_000;

    /// <summary>How long a process of several kept devices may take from the first of them to the last.</summary>
    public int AllKeptMs { get; init; } = 5_000;

    /// <summary>How many connections of one process may be without a hello, over the devices that have no handler.</summary>
    public int SpareConnections { get; init; } = 64;

    /// <summary>How many messages a second a handler may send in the long run.</summary>
    public int MessagesPerSecond { get; init; } = 100;

    /// <summary>How many messages a handler may send at once.</summary>
    public int MessageBurst { get; init; } = 400;

    /// <summary>How many descriptors a handler may send in all. None is asked for; a few are no reason to part.</summary>
    public int ForeignDescriptors { get; init; } = 16;

    /// <summary>An upper bound for a whole replacement, for those who wait for it.</summary>
    public int ReplacementMs => HelloMs + SettleMs + DrainMs + RemoveMs + KillMs + ReadyMs + KillMs;

    /// <summary>A time as people say it.</summary>
    public static string Seconds(int milliseconds) => (milliseconds / 1000.0).ToString("0.#", CultureInfo.InvariantCulture);
}
