using Scuse.Target;

namespace Scuse.Iscsi.Tests.Rig;

/// <summary>
/// Targets whose sessions are at several servers, as reactors would have them, on one thread: what is put off to the end of a turn is done at once. With SCUSE_TEST_LANES=1 every target of
/// these tests is like that.
/// </summary>
sealed class Spread : ITargetExclusion
{
    int _depth;

    public static bool IsAsked { get; } = Environment.GetEnvironmentVariable("SCUSE_TEST_LANES") == "1";

    public bool IsHeld => _depth > 0;

    public void Enter() => _depth++;

    public void Exit() => _depth--;

    /// <summary>Where the target's sessions may be: a lane at each server.</summary>
    public static IReadOnlyList<TargetPlace> Over(ScsiTarget target, params IscsiServer[] servers)
    {
        var spread = new Spread();
        target.Exclusion = spread;
        return [.. servers.Select(server => new TargetPlace(server, new TargetLane(
            target, target.LogicalUnits.ToDictionary(static unit => unit.Number, static unit => unit.Backstore), lane =>
            {
                spread.Enter();
                lane.RunDeferred();
                spread.Exit();
            })))];
    }
}
