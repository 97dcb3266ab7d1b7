namespace Scuse.Engine.Supervision;

/// <summary>Lets so many through a second, and a number at once after a rest.</summary>
struct TokenBucket(int perSecond, int burst)
{
    long _milliTokens = burst * 1000L;
    long _lastMs;

    /// <summary>Whether one more is let through at this time.</summary>
    public bool TryTake(long nowMs)
    {
        if (_lastMs != 0)
        {
            _milliTokens = Math.Min(_milliTokens + ((nowMs - _lastMs) * perSecond), burst * 1000L);
        }

        _lastMs = nowMs;
        if (_milliTokens < 1000)
        {
            return false;
        }

        _milliTokens -= 1000;
        return true;
    }
}
