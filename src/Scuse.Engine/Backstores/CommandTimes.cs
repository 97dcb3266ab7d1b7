namespace Scuse.Engine.Backstores;

/// <summary>Where one command's time has gone so far. All times are nanoseconds on the reactor's clock.</summary>
sealed class CommandTimes
{
    long _begun;
    long _last;

    /// <summary>How long it waited: for blocks of the data area, then for a slot in the ring.</summary>
    public long Queue { get; private set; }

    /// <summary>How long its data took to come from the initiator.</summary>
    public long NetworkIn { get; private set; }

    /// <summary>How long it and its answer stood in the ring.</summary>
    public long Ring { get; private set; }

    /// <summary>How long the handler took over it, as it claims, but no longer than it had the command; null where it does not tell.</summary>
    public long? Handler { get; private set; }

    /// <summary>Whether the handler has answered: only then the times say something.</summary>
    public bool IsAnswered { get; private set; }

    public void Begin(long now)
    {
        _begun = _last = now;
        Queue = NetworkIn = Ring = 0;
        Handler = null;
        IsAnswered = false;
    }

    /// <summary>It has waited for something, and has it now.</summary>
    public void Waited(long now) => Queue += Since(now);

    /// <summary>Its data is there.</summary>
    public void Collected(long now) => NetworkIn += Since(now);

    /// <summary>The handler has answered.</summary>
    /// <param name="serviceNs">How long it took, as it claims; 0 where it does not tell.</param>
    /// <param name="now">The time.</param>
    public void Answered(uint serviceNs, long now)
    {
        long away = Since(now);
        Handler = serviceNs == 0 ? null : Math.Min(serviceNs, away);
        Ring = away - (Handler ?? 0);
        IsAnswered = true;
    }

    /// <summary>Its answer is sent: how long that took, and everything.</summary>
    public (long NetworkOut, long Total) Sent(long now) => (now - _last, now - _begun);

    long Since(long now)
    {
        long passed = now - _last;
        _last = now;
        return passed;
    }
}
