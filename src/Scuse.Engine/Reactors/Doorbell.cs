using Microsoft.Extensions.Logging;
using Scuse.Linux;

namespace Scuse.Engine.Reactors;

/// <summary>
/// The doorbell by which a handler wakes the reactor. One that rings without reason is not listened to for a while, so that a handler gone mad cannot
/// keep the reactor from all the others; its answers are then found when the reactor is awake anyway, at each tick at the latest.
/// </summary>
/// <remarks>
/// The eventfd is watched for edges and never read: each ring is one report, which costs a call less, and what a handler does to the eventfd (reading it
/// empty, making it blocking) cannot make a read of ours wait. Touched only by the reactor's thread once it has joined.
/// </remarks>
sealed partial class Doorbell : IEventSource, IDisposable
{
    /// <summary>How often it may ring between two ticks, beyond what its answers explain: far more than chance and far less than costs anything.</summary>
    public const int RingsAllowed = 4096;

    /// <summary>How many rings each answer explains. One is the rule; a handler that rings for each of a batch finds some answers taken already.</summary>
    const int RingsPerAnswer = 4;

    /// <summary>For how many ticks it has to behave until all is forgotten.</summary>
    const int ProbationTicks = 20;

    /// <summary>For how many ticks it is muted at most; it starts with one, and doubles for as long as nothing gets better.</summary>
    const int LongestMute = 8;

    readonly EventFd _bell = EventFd.Create();
    Reactor? _reactor;
    string _name = "";
    int _registration;
    int _tick;
    int _rings;
    int _answers;
    int _muteTicks;
    int _ticksLeft; // muted, or on probation

    /// <summary>The descriptor to pass to the one who rings.</summary>
    public Microsoft.Win32.SafeHandles.SafeFileHandle Handle => _bell.Handle;

    /// <summary>Whether it is not listened to for now.</summary>
    public bool IsMuted { get; private set; }

    /// <summary>The reactor listens from now on.</summary>
    /// <param name="reactor">Who is woken.</param>
    /// <param name="name">Whose it is, for people.</param>
    public void Join(Reactor reactor, string name)
    {
        _reactor = reactor;
        _name = name;
        _registration = reactor.Add(_bell.Descriptor, EpollEvents.In | EpollEvents.EdgeTriggered, this);
    }

    /// <summary>The reactor listens no more.</summary>
    public void Leave()
    {
        _reactor!.Remove(_registration);
        if (_muteTicks > 0)
        {
            _reactor.Forget(this);
        }
    }

    /// <summary>There was an answer: a reason to ring.</summary>
    public void CountAnswer() => _answers++;

    /// <summary>It rang: the next reaping, in this same turn, takes the answers.</summary>
    public void OnEvents(EpollEvents events)
    {
        if (_tick != _reactor!.TickCount)
        {
            _tick = _reactor.TickCount;
            _rings = 0;
            _answers = 0;
        }

        if (++_rings > RingsAllowed + (_answers * (long)RingsPerAnswer) && !IsMuted)
        {
            Mute();
        }
    }

    void Mute()
    {
        if (_muteTicks == 0)
        {
            LogMuted(_reactor!.Logger, _name, _rings);
            _reactor.Remember(this);
        }

        IsMuted = true;
        _muteTicks = _ticksLeft = Math.Clamp(_muteTicks * 2, 1, LongestMute);
        _reactor!.Modify(_registration, EpollEvents.None);
    }

    /// <summary>A tick has passed, and this doorbell rang without reason lately.</summary>
    public void Tick()
    {
        if (--_ticksLeft > 0)
        {
            return;
        }

        if (IsMuted)
        {
            IsMuted = false;
            _ticksLeft = ProbationTicks;
            _reactor!.Modify(_registration, EpollEvents.In | EpollEvents.EdgeTriggered); // reports at once if it rang meanwhile
        }
        else
        {
            _muteTicks = 0;
            _reactor!.Forget(this);
            LogForgiven(_reactor.Logger, _name);
        }
    }

    /// <summary>Closes it.</summary>
    public void Dispose() => _bell.Dispose();

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Who} rings its doorbell without reason ({Rings} times since the last tick): not listened to for now")]
    static partial void LogMuted(ILogger logger, string who, int rings);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Who} rings its doorbell with reason again")]
    static partial void LogForgiven(ILogger logger, string who);
}
