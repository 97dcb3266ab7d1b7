namespace Scuse.Engine.Discovery;

/// <summary>When the server is told again: three times in the period for which it knows, and while it does not know at longer and longer intervals.</summary>
sealed class IsnsPace
{
    /// <summary>For a registration for which the server names no period.</summary>
    static readonly TimeSpan UnknownPeriod = TimeSpan.FromMinutes(10);

    static readonly TimeSpan FirstRetry = TimeSpan.FromSeconds(1), LongestRetry = TimeSpan.FromSeconds(60), LongestRenewal = TimeSpan.FromHours(1);

    TimeSpan _retry = FirstRetry;

    /// <summary>How long to wait when it has been told.</summary>
    /// <param name="periodSeconds">For how long it will know; 0 when it did not say.</param>
    public TimeSpan AfterSuccess(uint periodSeconds)
    {
        _retry = FirstRetry;
        TimeSpan period = periodSeconds == 0 ? UnknownPeriod : TimeSpan.FromSeconds(periodSeconds);
        return TimeSpan.FromTicks(Math.Clamp(period.Ticks / 3, FirstRetry.Ticks, LongestRenewal.Ticks));
    }

    /// <summary>How long to wait when it could not be told.</summary>
    public TimeSpan AfterFailure()
    {
        TimeSpan wait = _retry;
        _retry = TimeSpan.FromTicks(Math.Min(wait.Ticks * 2, LongestRetry.Ticks));
        return wait;
    }
}
