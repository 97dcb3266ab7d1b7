namespace Scuse.Target.Tests;

// What holds of a target that is one thread's holds of one that is spread over two: the same tests, whose initiators come by two lanes.
#pragma warning disable CA1001 // the scope ends with the base class's constructor

public sealed class AtomicTaskOnLanesTests : AtomicTaskTests
{
    readonly IDisposable _spread = Lanes.Begin(); // before the base class's constructor

    public AtomicTaskOnLanesTests() => _spread.Dispose();
}

public sealed class AutoContingentAllegianceOnLanesTests : AutoContingentAllegianceTests
{
    readonly IDisposable _spread = Lanes.Begin(); // before the base class's constructor

    public AutoContingentAllegianceOnLanesTests() => _spread.Dispose();
}

public sealed class CopyOnLanesTests : CopyTests
{
    readonly IDisposable _spread = Lanes.Begin(); // before the base class's constructor

    public CopyOnLanesTests() => _spread.Dispose();
}

public sealed class LunMapOnLanesTests : LunMapTests
{
    readonly IDisposable _spread = Lanes.Begin(); // before the base class's constructor

    public LunMapOnLanesTests() => _spread.Dispose();
}

public sealed class MediumWorkTaskOnLanesTests : MediumWorkTaskTests
{
    readonly IDisposable _spread = Lanes.Begin(); // before the base class's constructor

    public MediumWorkTaskOnLanesTests() => _spread.Dispose();
}

public sealed class ModeSelectOnLanesTests : ModeSelectTests
{
    readonly IDisposable _spread = Lanes.Begin(); // before the base class's constructor

    public ModeSelectOnLanesTests() => _spread.Dispose();
}

public sealed class OrphanedWriteOnLanesTests : OrphanedWriteTests
{
    readonly IDisposable _spread = Lanes.Begin(); // before the base class's constructor

    public OrphanedWriteOnLanesTests() => _spread.Dispose();
}

public sealed class PersistentReservationOnLanesTests : PersistentReservationTests
{
    readonly IDisposable _spread = Lanes.Begin(); // before the base class's constructor

    public PersistentReservationOnLanesTests() => _spread.Dispose();
}

public sealed class QueryFunctionOnLanesTests : QueryFunctionTests
{
    readonly IDisposable _spread = Lanes.Begin(); // before the base class's constructor

    public QueryFunctionOnLanesTests() => _spread.Dispose();
}

public sealed class RoutingOnLanesTests : RoutingTests
{
    readonly IDisposable _spread = Lanes.Begin(); // before the base class's constructor

    public RoutingOnLanesTests() => _spread.Dispose();
}

public sealed class TargetPortGroupOnLanesTests : TargetPortGroupTests
{
    readonly IDisposable _spread = Lanes.Begin(); // before the base class's constructor

    public TargetPortGroupOnLanesTests() => _spread.Dispose();
}

public sealed class TaskAttributeOnLanesTests : TaskAttributeTests
{
    readonly IDisposable _spread = Lanes.Begin(); // before the base class's constructor

    public TaskAttributeOnLanesTests() => _spread.Dispose();
}

public sealed class TaskManagementOnLanesTests : TaskManagementTests
{
    readonly IDisposable _spread = Lanes.Begin(); // before the base class's constructor

    public TaskManagementOnLanesTests() => _spread.Dispose();
}

public sealed class ThresholdOnLanesTests : ThresholdTests
{
    readonly IDisposable _spread = Lanes.Begin(); // before the base class's constructor

    public ThresholdOnLanesTests() => _spread.Dispose();
}

public sealed class TokenOnLanesTests : TokenTests
{
    readonly IDisposable _spread = Lanes.Begin(); // before the base class's constructor

    public TokenOnLanesTests() => _spread.Dispose();
}

public sealed class UnitAttentionOnLanesTests : UnitAttentionTests
{
    readonly IDisposable _spread = Lanes.Begin(); // before the base class's constructor

    public UnitAttentionOnLanesTests() => _spread.Dispose();
}

