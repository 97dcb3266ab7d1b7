using System.Net;

namespace Scuse.Iscsi.Login;

/// <summary>
/// Who has lately failed to prove who it is, by address: after each failure the next answer from the same address has to wait before it is looked at, whichever
/// connection brings it, so that many connections guess no faster than one.
/// </summary>
/// <remarks>What an address is: <see cref="InitiatorAddress"/>.</remarks>
internal sealed class LoginFailures
{
    /// <summary>The most addresses that are remembered; the one that failed longest ago makes room for another.</summary>
    public const int MaxAddresses = 4096;

    /// <summary>The wait after the first failure; each further one doubles it.</summary>
    public const int FirstWaitMs = 500;

    /// <summary>The longest wait: some answers more fit into a login's time, for whoever shares the address.</summary>
    public const int LongestWaitMs = 4000;

    /// <summary>How long after its last failure an address is forgotten.</summary>
    public const int ForgottenAfterMs = 60_000;

    readonly Dictionary<UInt128, Entry> _entries = [];

    public int Count => _entries.Count;

    /// <summary>Whether an answer from there is not looked at yet.</summary>
    public bool MustWait(IPAddress? address, long nowMs) => _entries.TryGetValue(InitiatorAddress.KeyOf(address), out Entry entry) && nowMs < entry.WaitUntilMs;

    /// <summary>An answer from there was wrong.</summary>
    public void Add(IPAddress? address, long nowMs)
    {
        UInt128 key = InitiatorAddress.KeyOf(address);
        int failures = _entries.TryGetValue(key, out Entry entry) && !entry.IsForgotten(nowMs) ? entry.Failures + 1 : 1;
        if (!_entries.ContainsKey(key) && _entries.Count >= MaxAddresses)
        {
            _entries.Remove(_entries.MinBy(static pair => pair.Value.LastMs).Key);
        }

        long wait = Math.Min((long)FirstWaitMs << Math.Min(failures - 1, 16), LongestWaitMs);
        _entries[key] = new Entry(failures, nowMs, nowMs + wait);
    }

    readonly record struct Entry(int Failures, long LastMs, long WaitUntilMs)
    {
        public bool IsForgotten(long nowMs) => nowMs - LastMs >= ForgottenAfterMs;
    }
}
