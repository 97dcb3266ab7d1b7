using System.Diagnostics.CodeAnalysis;
using Scuse.Linux;
using Scuse.Target;

namespace Scuse.Engine.Reactors;

/// <summary>
/// Where reactors meet that have targets in common: one of them is alone while the others stand still, asleep or between two turns. A reactor asks after each turn whether somebody wants to be
/// alone, which costs it one look at a word that is otherwise never written; nothing on the way of a command takes a lock.
/// </summary>
/// <remarks>
/// Who wants to be alone writes that down, full fence, and then looks at each of the others; who goes on writes down that it runs, full fence, and then looks whether somebody wants to be
/// alone. So one of the two sees the other.
/// </remarks>
sealed class Rendezvous : ITargetExclusion
{
    const int YieldsBeforeSleep = 2000;

    readonly Place[] _places;
    volatile int _holder; // the place of the one who is alone, or has everybody stop; from 1

    /// <summary>A meeting of so many reactors, which take part with <see cref="Join"/>.</summary>
    public Rendezvous(int reactors)
    {
        _places = new Place[reactors];
        for (int i = 0; i < reactors; i++)
        {
            _places[i] = new Place();
        }
    }

    [ThreadStatic]
    static Membership? s_member;

    /// <summary>Whether somebody is alone or wants to be: then a reactor that is between two turns calls <see cref="Pause"/>.</summary>
    public bool IsWanted => _holder != 0;

    /// <inheritdoc/>
    public bool IsHeld => s_member is { } member && member.Of == this && member.Depth > 0;

    /// <summary>The calling thread is a reactor's, and takes part until <see cref="Leave"/>. It runs from now on.</summary>
    /// <param name="reactor">Which one, from 0.</param>
    public void Join(int reactor)
    {
        s_member = new Membership(this, reactor);
        GoOn();
    }

    /// <summary>The calling thread takes part no more: others need not wait for it.</summary>
    public void Leave()
    {
        Stand();
        s_member = null;
    }

    /// <inheritdoc/>
    public void Enter()
    {
        Membership self = Self();
        if (self.Depth++ > 0)
        {
            return;
        }

        Volatile.Write(ref _places[self.Index].Stands, true); // whoever is alone before us need not wait for us
        int waited = 0;
        while (Interlocked.CompareExchange(ref _holder, self.Index + 1, 0) != 0)
        {
            Wait(ref waited);
        }

        foreach (Place place in _places) // our own stands
        {
            waited = 0;
            while (!Volatile.Read(ref place.Stands))
            {
                Wait(ref waited);
            }
        }
    }

    /// <inheritdoc/>
    public void Exit()
    {
        Membership self = Self();
        if (--self.Depth > 0)
        {
            return;
        }

        Volatile.Write(ref _places[self.Index].Stands, false); // before anybody else can be alone
        _holder = 0;
        Action? awaken = self.Awaken;
        self.Awaken = null;
        awaken?.Invoke();
    }

    /// <summary>Has something done once the calling thread is alone no more: somebody's waking up.</summary>
    public void Afterwards(Action action) => Self().Awaken += action;

    /// <summary>Stands still while somebody is alone. Between two turns.</summary>
    public void Pause()
    {
        Stand();
        GoOn();
    }

    /// <summary>The reactor goes to sleep: it touches nothing until <see cref="GoOn"/> has returned.</summary>
    public void Stand() => Volatile.Write(ref _places[Self().Index].Stands, true);

    /// <summary>The reactor runs again, once nobody is alone.</summary>
    public void GoOn()
    {
        ref bool stands = ref _places[Self().Index].Stands;
        while (true)
        {
            int waited = 0;
            while (_holder != 0)
            {
                Wait(ref waited);
            }

            Volatile.Write(ref stands, false);
            Interlocked.MemoryBarrier(); // pairs with the exchange in Enter
            if (_holder == 0)
            {
                return;
            }

            Volatile.Write(ref stands, true);
        }
    }

    static void Wait(ref int waited)
    {
        if (++waited < YieldsBeforeSleep)
        {
            Processor.Yield();
        }
        else
        {
            Thread.Sleep(1);
        }
    }

    Membership Self() => s_member is { } member && member.Of == this ? member : NoMember();

    [DoesNotReturn]
    static Membership NoMember() => throw new InvalidOperationException($"{Thread.CurrentThread.Name ?? "a thread"} is none of the reactors that meet here");

    /// <summary>One reactor's word, on a cache line of its own.</summary>
    sealed class Place
    {
#pragma warning disable CA1823, IDE0051, CS0169 // room
        readonly long _a, _b, _c, _d, _e, _f, _g, _h;
#pragma warning restore CA1823, IDE0051, CS0169
        public bool Stands = true;
    }

    sealed class Membership(Rendezvous of, int index)
    {
        public Rendezvous Of => of;

        public int Index => index;

        public int Depth { get; set; }

        public Action? Awaken { get; set; }
    }
}
