namespace Scuse.Serving;

/// <summary>
/// The rings of one device, which live and end together although they may be on several threads. The first of them reads what the target says, and tells the others; it is the last to end in
/// order, so that somebody hears if the target goes while another still has commands. One that breaks ends all.
/// </summary>
/// <remarks>May be used on any thread.</remarks>
sealed class RingSet
{
    readonly IReadOnlyList<ServedRing> _rings;

    // Those besides the first that have not ended.
    int _others;

    /// <param name="rings">One or more, not served yet.</param>
    internal RingSet(IReadOnlyList<ServedRing> rings)
    {
        _rings = rings;
        _others = rings.Count - 1;
        foreach (ServedRing ring in rings)
        {
            ring.Set = this;
        }
    }

    /// <summary>What the target wrote into one of them that makes no sense, after <see cref="ServingEnd.RingBroken"/>.</summary>
    internal string? Violation => _rings.Select(static ring => ring.Violation).FirstOrDefault(static violation => violation is not null);

    /// <summary>How many commands never ended.</summary>
    internal int Abandoned => _rings.Sum(static ring => ring.Abandoned);

    /// <summary>Has their threads serve them.</summary>
    internal void Start()
    {
        foreach (ServedRing ring in _rings)
        {
            ring.Serve();
        }
    }

    /// <summary>Completes when all have ended, with how the device's serving ended.</summary>
    internal async Task<ServingEnd> EndAsync()
    {
        ServingEnd[] ends = await Task.WhenAll(_rings.Select(static ring => ring.Ended)).ConfigureAwait(false);
        return ends.Contains(ServingEnd.RingBroken) ? ServingEnd.RingBroken : ends[0];
    }

    /// <summary>Asks to stop: what has been taken is answered, nothing else is taken.</summary>
    internal void RequestStop()
    {
        foreach (ServedRing ring in _rings)
        {
            ring.RequestStop();
        }
    }

    /// <summary>Whether a ring that has nothing more to do may end: the first only after the others.</summary>
    internal bool MayEnd(ServedRing ring) => ring != _rings[0] || Volatile.Read(ref _others) == 0;

    /// <summary>The first ring has heard something from the target.</summary>
    internal void Tell(ServedRing from, ControlNews news)
    {
        foreach (ServedRing ring in _rings)
        {
            if (ring != from)
            {
                ring.Hear(news);
            }
        }
    }

    /// <summary>A ring can be served no more: the others are given up.</summary>
    internal void Break(ServedRing broken)
    {
        foreach (ServedRing ring in _rings)
        {
            if (ring != broken)
            {
                ring.GiveUpWithOthers();
            }
        }
    }

    /// <summary>A ring has ended, and has not told anybody else yet.</summary>
    internal void OnEnd(ServedRing ring)
    {
        if (ring != _rings[0] && Interlocked.Decrement(ref _others) == 0)
        {
            _rings[0].Attend();
        }
    }
}
