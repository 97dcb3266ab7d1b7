using System.Net;

namespace Scuse.Iscsi.Login;

/// <summary>
/// How fast logins from one address are answered: some at once, then so many a second. A login is a hundred times the work of a command, and an initiator that logs
/// in over and over would take that time from all others.
/// </summary>
/// <param name="perSecond">How many a second; 0: any number.</param>
internal sealed class LoginPace(int perSecond)
{
    /// <summary>How many are answered at once, by an address that has not logged in lately.</summary>
    public const int Burst = 64;

    /// <summary>The most addresses that are remembered; the one that logged in longest ago makes room for another.</summary>
    public const int MaxAddresses = 4096;

    const long Whole = 1000; // a login, in thousandths: what a millisecond gives is perSecond of them

    readonly Dictionary<UInt128, Credit> _credits = [];

    public int Count => _credits.Count;

    /// <summary>Whether a login from there is answered now; it counts as answered then.</summary>
    public bool TryTake(IPAddress? address, long nowMs)
    {
        if (perSecond == 0)
        {
            return true;
        }

        UInt128 key = InitiatorAddress.KeyOf(address);
        long credit = _credits.TryGetValue(key, out Credit last) ? Math.Min(Burst * Whole, last.Left + ((nowMs - last.AtMs) * perSecond)) : Burst * Whole;
        bool isAnswered = credit >= Whole;
        if (_credits.Count >= MaxAddresses && !_credits.ContainsKey(key))
        {
            _credits.Remove(_credits.MinBy(static pair => pair.Value.AtMs).Key);
        }

        _credits[key] = new Credit(isAnswered ? credit - Whole : credit, nowMs);
        return isAnswered;
    }

    readonly record struct Credit(long Left, long AtMs);
}
