using Scuse.Linux;

namespace Scuse.Engine.Reactors;

/// <summary>Something with a descriptor that a reactor watches.</summary>
interface IEventSource
{
    /// <summary>
    /// Whether it can wait while others are at work: who wants to log in, for one. A reactor hears one of these a turn; the others are reported again, so none of them may be
    /// watched for edges.
    /// </summary>
    bool IsPatient => false;

    /// <summary>The descriptor is ready. Called on the reactor's thread.</summary>
    void OnEvents(EpollEvents events);
}

/// <summary>A ring whose answers a reactor reaps.</summary>
interface IReactorRing
{
    /// <summary>Takes every answer there is; tells how many, or 1 when it noticed instead that the handler broke a rule.</summary>
    int Reap();

    /// <summary>Makes what was posted visible to the handler, and wakes it if it sleeps.</summary>
    void Publish();

    /// <summary>The reactor is about to sleep: ask for a doorbell.</summary>
    void AnnounceSleep();

    /// <summary>The reactor is awake again.</summary>
    void EndSleep();

    /// <summary>Whether there are answers to reap.</summary>
    bool HasAnswers { get; }

    /// <summary>How many commands the handler has: with none, no answer can come.</summary>
    int Outstanding { get; }

    /// <summary>The reactor's own: whether it looks at the ring each turn.</summary>
    bool IsWatched { get; set; }
}

/// <summary>A connection that has something to send.</summary>
interface IReactorConnection
{
    /// <summary>Sends what there is.</summary>
    void Flush();
}
