using System.Diagnostics;

namespace Scuse.Linux;

/// <summary>
/// How long to look for the next command before sleeping. Looking costs a processor that others may need; sleeping costs the time to wake up,
/// which is 50 to 100 microseconds where processors go idle. So it looks for as long as that has been worth it lately.
/// </summary>
/// <remarks>Touched only by the thread that looks.</remarks>
public sealed class AdaptiveSpin
{
    /// <summary>About what a wake-up costs on a machine whose processor went idle.</summary>
    public const int DefaultMicroseconds = 50;

    const int MaxCredit = 8;
    const int RetryEvery = 16;

    // A yield that took this long gave the processor to somebody who had work for it: looking takes away from them.
    const int ContendedMicroseconds = 200;

    // With more than one command under way, a wake-up serves several of them: sleeping is cheap then, and lets them gather. Where there is a trial, it tells whether looking is worth more.
    const int ShallowCommands = 1;

    // The depth is a moving average over about 16 findings, in 256ths of a command.
    const int DepthScale = 8, DepthSmoothing = 4;

    readonly SpinTrial? _trial;
    readonly SpinWindow? _window; // null: it never looks
    readonly long _contended = ContendedMicroseconds * Stopwatch.Frequency / 1_000_000;
    long _start;
    long _last;
    int _credit = MaxCredit;
    int _skipped;
    int _depth;

    /// <param name="microseconds">How long to look, or up to three times as long where that saves wake-ups; 0 is not at all.</param>
    /// <param name="processors">How many processors there are; with one, looking keeps away the very one that is waited for.</param>
    /// <param name="triesWhenDeep">Whether it tries out if looking pays with several commands under way, instead of sleeping then. For one of two that wait for each other: two at once would measure each other's trials.</param>
    public AdaptiveSpin(int microseconds, int processors, bool triesWhenDeep = false)
    {
        if (processors > 1 && microseconds > 0)
        {
            _window = new SpinWindow(microseconds * Stopwatch.Frequency / 1_000_000);
            _trial = triesWhenDeep ? new SpinTrial(Stopwatch.Frequency) : null;
        }
    }

    /// <summary>There was something to do.</summary>
    /// <param name="depth">How many commands are under way.</param>
    /// <param name="commands">How many there were to do something for.</param>
    public void Found(int depth, int commands)
    {
        _depth += ((depth << DepthScale) - _depth) >> DepthSmoothing;
        if (IsDeep)
        {
            _trial?.Came(commands, Stopwatch.GetTimestamp());
        }

        if (_window is { IsAsleep: true })
        {
            _window.Came(Stopwatch.GetTimestamp());
        }

        if (_start != 0)
        {
            _start = 0;
            _credit = Math.Min(MaxCredit, _credit + 1);
        }
    }

    bool IsDeep => _depth > ShallowCommands << DepthScale;

    /// <summary>There was nothing to do: true after a short yield to look again, false to sleep.</summary>
    public bool LookAgain()
    {
        if (_window is null || (IsDeep && _trial is not { Looks: true }))
        {
            return false;
        }

        if (_start == 0)
        {
            if (_credit <= 0 && ++_skipped < RetryEvery)
            {
                return false;
            }

            _skipped = 0;
            _start = _last = Stopwatch.GetTimestamp();
        }

        Processor.Yield();
        long now = Stopwatch.GetTimestamp();
        bool contended = now - _last > _contended;
        _last = now;
        if (!contended && now - _start < _window.Ticks)
        {
            return true;
        }

        _window.GaveUp(_start);
        _start = 0;
        _credit = Math.Max(0, _credit - (contended ? 2 : 1));
        return false;
    }
}
