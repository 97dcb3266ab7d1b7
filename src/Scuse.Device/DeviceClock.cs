namespace Scuse.Device;

/// <summary>The device clock: milliseconds since 1970, as the time source has it or as SET TIMESTAMP set it. SPC-4 clause 5.2.</summary>
/// <remarks>A reset leaves it as it is. May be used by several threads at once.</remarks>
sealed class DeviceClock
{
    /// <summary>The timestamp has 48 bits.</summary>
    const long Mask = (1L << 48) - 1;

    // Replaced as a whole.
    volatile Setting? _setting;

    /// <summary>Where the time comes from; null where there is no clock.</summary>
    public TimeProvider? Source { get; set; }

    /// <summary>Whether it was set by a command.</summary>
    public bool WasSet => _setting is not null;

    /// <summary>The time.</summary>
    public long NowMs
    {
        get
        {
            TimeProvider source = Source!;
            return (_setting is { } setting ? setting.TimestampMs + (long)source.GetElapsedTime(setting.SetAt).TotalMilliseconds : source.GetUtcNow().ToUnixTimeMilliseconds()) & Mask;
        }
    }

    /// <summary>Sets it; it goes on from there.</summary>
    public void Set(long timestampMs) => _setting = new Setting(timestampMs, Source!.GetTimestamp());

    sealed record Setting(long TimestampMs, long SetAt);
}
