namespace Scuse.Linux;

/// <summary>
/// Finds out whether it pays to look for the next command instead of sleeping while several are under way. There is no rule for that: looking saves wake-ups, and takes a processor from others who may
/// have more use for it. So now and then it is tried, a few times in turns, and what got more commands done is done until the next trial.
/// </summary>
/// <remarks>Ticks are those of any clock that only goes forward.</remarks>
public sealed class SpinTrial
{
    const int TurnMs = 8;
    const int Turns = 6; // the even ones sleep, the odd ones look
    const int RestMs = 1000;

    // Looking costs processor time for the same commands: it has to be worth something.
    const double LeastGain = 1.05;

    // Fewer commands tell nothing.
    const long LeastCommands = 100;

    readonly long _turn, _rest, _stale;
    readonly long[] _commands = new long[2], _ticks = new long[2];
    long _start;
    long _count;
    int _phase = Turns; // that many: resting

    /// <summary>A trial on a clock.</summary>
    /// <param name="ticksPerSecond">The clock's frequency.</param>
    public SpinTrial(long ticksPerSecond)
    {
        _turn = ticksPerSecond * TurnMs / 1000;
        _rest = ticksPerSecond * RestMs / 1000;
        _stale = 4 * _turn;
        _start = -_rest;
    }

    /// <summary>What is to be done now.</summary>
    public bool Looks { get; private set; }

    /// <summary>So many commands came, at that time.</summary>
    public void Came(int commands, long now)
    {
        _count += commands;
        long passed = now - _start;
        if (_phase == Turns)
        {
            if (passed >= _rest)
            {
                Begin(now);
            }
        }
        else if (passed > _stale)
        {
            Begin(now); // there was a pause
        }
        else if (passed >= _turn)
        {
            _commands[_phase % 2] += _count;
            _ticks[_phase % 2] += passed;
            _phase++;
            _start = now;
            _count = 0;
            Looks = _phase < Turns ? _phase % 2 == 1 : Pays();
        }
    }

    void Begin(long now)
    {
        _phase = 0;
        _start = now;
        _count = 0;
        Looks = false;
        Array.Clear(_commands);
        Array.Clear(_ticks);
    }

    bool Pays() => _commands[1] >= LeastCommands && (double)_commands[1] / _ticks[1] > LeastGain * _commands[0] / _ticks[0];
}
