namespace Scuse.Iscsi.Moving;

/// <summary>
/// A target whose initiators are moved away: it takes no new session, and those it has are asked to log out within a time (RFC 7143 section 11.9.1, event 1) and dropped
/// when it is over (event 3).
/// </summary>
/// <remarks>
/// A login of a new session is answered with where to go (<see cref="TargetRedirection"/>), or without such a place with 0301h, service unavailable, at the same step of the login.
/// So is one that would take the place of a session of the same initiator port: that session stays until its time is over. A connection for a session that is there goes on as
/// usual, and is asked for its logout at once: a session that has lost a connection may finish what it has begun.
/// </remarks>
internal sealed class TargetDrain(int seconds, long nowMs)
{
    /// <summary>The longest time that can be said: Parameter3 has 16 bits.</summary>
    public const int MaxSeconds = ushort.MaxValue;

    readonly long _endMs = nowMs + (seconds * 1000L);

    /// <summary>How long the initiators may stay; rounded up, so that nobody is told less than there is.</summary>
    public int SecondsLeft(long now) => (int)Math.Max(0, (_endMs - now + 999) / 1000);

    /// <summary>Whether who is still there is to be dropped.</summary>
    public bool IsOver(long now) => now >= _endMs;
}
