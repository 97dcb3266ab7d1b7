namespace Scuse.Linux;

/// <summary>
/// How long it is worth looking before sleeping. Where what was waited for keeps coming shortly after one has gone to sleep, a little more patience would have saved the wake-up each time: the window
/// gets wider then, and narrow again when that does not help.
/// </summary>
/// <remarks>Ticks are those of any clock that only goes forward.</remarks>
/// <param name="least">The narrow window, in ticks.</param>
public sealed class SpinWindow(long least)
{
    const int Wide = 3;

    // The wake-up itself is part of what passes.
    const int Near = 4;

    const int Most = 16, Widens = 8, Narrows = 4, Miss = 4;

    long _idleSince;
    int _score;
    bool _isWide;

    /// <summary>How long to look now.</summary>
    public long Ticks => _isWide ? Wide * least : least;

    /// <summary>Looking was given up, and sleep begins; nothing has come since then.</summary>
    public void GaveUp(long idleSince) => _idleSince = idleSince;

    /// <summary>Whether anybody wants to know when something comes.</summary>
    public bool IsAsleep => _idleSince != 0;

    /// <summary>Something came.</summary>
    public void Came(long now)
    {
        bool wasNear = now - _idleSince < Near * least;
        _idleSince = 0;
        _score = wasNear ? Math.Min(Most, _score + 1) : Math.Max(0, _score - Miss);
        _isWide = _isWide ? _score >= Narrows : _score >= Widens;
    }
}
