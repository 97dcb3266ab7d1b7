using System.Runtime.CompilerServices;

namespace Scuse.Target.Tests;

/// <summary>
/// Spreads the targets of a test over two lanes, as two reactors would have them: its initiators come by one and the other in turns. What is put off is done at once, so the test sees what
/// it sees of a target that is one thread's.
/// </summary>
static class Lanes
{
    static readonly ConditionalWeakTable<ScsiTarget, Spread> s_spread = [];

    [ThreadStatic]
    static bool s_isOn;

    /// <summary>Targets whose first initiator comes while the result is not disposed of are spread, on this thread.</summary>
    public static IDisposable Begin() => new Scope();

    /// <summary>Where the next initiator of a target comes; null when it is not spread.</summary>
    public static TargetLane? Next(ScsiTarget target)
    {
        if (!s_spread.TryGetValue(target, out Spread? spread))
        {
            if (!s_isOn)
            {
                return null;
            }

            s_spread.Add(target, spread = new Spread(target));
        }

        return spread.Next();
    }

    /// <summary>Time goes on, for the lanes as well.</summary>
    public static void TickAll(this ScsiTarget target, long nowMs)
    {
        target.Tick(nowMs);
        if (s_spread.TryGetValue(target, out Spread? spread))
        {
            spread.Tick(nowMs);
        }
    }

    sealed class Scope : IDisposable
    {
        public Scope() => s_isOn = true;

        public void Dispose() => s_isOn = false;
    }

    sealed class Spread : ITargetExclusion
    {
        readonly TargetLane[] _lanes;
        int _depth;
        int _turn;

        public Spread(ScsiTarget target)
        {
            target.Exclusion = this;
            _lanes = [Make(target), Make(target)];
        }

        public bool IsHeld => _depth > 0;

        public void Enter() => _depth++;

        public void Exit() => _depth--;

        public TargetLane Next() => _lanes[_turn++ % _lanes.Length];

        public void Tick(long nowMs)
        {
            foreach (TargetLane lane in _lanes)
            {
                Alone(() => lane.Tick(nowMs));
            }
        }

        TargetLane Make(ScsiTarget target) =>
            new(target, target.LogicalUnits.ToDictionary(static unit => unit.Number, static unit => unit.Backstore), lane =>
            {
                Enter();
                lane.RunDeferred();
                Exit();
            });

        void Alone(Action action)
        {
            Enter();
            action();
            Exit();
        }
    }
}
