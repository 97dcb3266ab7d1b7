using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>
/// What one thread has of a target that is spread over several: the nexuses whose tasks come there, and for each logical unit a <see cref="UnitLane"/> on which plain reads and writes
/// go their way from beginning to end without meeting another thread. Everything else is put off to the end of the thread's turn and done alone (<see cref="ITargetExclusion"/>), in the
/// order that it came: so it finds all of the target standing still, and nothing of it under its feet when it returns.
/// </summary>
/// <remarks>Touched by its thread, and by whoever is alone.</remarks>
public sealed class TargetLane
{
    /// <summary>How many released tasks are kept for reuse at most.</summary>
    const int MaxPooledTasks = 4096;

    readonly Stack<ScsiTask> _pool = new();
    readonly List<Deferred> _deferred = [];
    readonly UnitLane?[] _units;
    readonly Action<TargetLane> _putOff;

    /// <summary>A lane of a target; before any nexus comes.</summary>
    /// <param name="target">The target.</param>
    /// <param name="backstores">For each logical unit's number what stands behind it here: the lane's own way to the same device.</param>
    /// <param name="putOff">Called when the first thing is put off: <see cref="RunDeferred"/> is to be called at the end of the turn, alone.</param>
    public TargetLane(ScsiTarget target, IReadOnlyDictionary<int, IBackstore> backstores, Action<TargetLane> putOff)
    {
        ArgumentNullException.ThrowIfNull(target);
        ArgumentNullException.ThrowIfNull(backstores);
        Target = target;
        _putOff = putOff;
        _units = new UnitLane?[backstores.Count == 0 ? 0 : backstores.Keys.Max() + 1];
        foreach (LogicalUnit unit in target.LogicalUnits)
        {
            _units[unit.Number] = new UnitLane(this, unit, backstores[unit.Number]);
            unit.Lanes.Add(_units[unit.Number]!);
            if (unit.Backstore.IsOpen)
            {
                _units[unit.Number]!.Opened();
            }
        }
    }

    /// <summary>The target.</summary>
    public ScsiTarget Target { get; }

    /// <summary>The deadlines of the lane's tasks, and of what its backstores put there.</summary>
    public TimerWheel Timers { get; } = new();

    /// <summary>The owner's clock in milliseconds.</summary>
    public long NowMs { get; private set; }

    /// <summary>How many nexuses have their tasks come here.</summary>
    public int Nexuses { get; internal set; }

    /// <summary>Time goes on. To be called now and then, some times a second, alone.</summary>
    public void Tick(long nowMs)
    {
        NowMs = nowMs;
        Timers.Advance(nowMs);
    }

    internal ScsiTask Rent() => _pool.TryPop(out ScsiTask? task) ? task : new ScsiTask(Target);

    internal void Return(ScsiTask task)
    {
        task.Reset();
        if (_pool.Count < MaxPooledTasks)
        {
            _pool.Push(task);
        }
    }

    internal void Begin(ScsiTask task)
    {
        task.ArrivedMs = NowMs;
        if (_deferred.Count == 0 && Target.Find(task) is { } unit && _units[unit.Number]!.TryBegin(task))
        {
            return;
        }

        PutOff(new Deferred(DeferredKind.Begin, task));
    }

    // ---- what is done alone ----

    /// <summary>Has something done at the end of the turn.</summary>
    internal void PutOff(in Deferred what)
    {
        _deferred.Add(what);
        if (_deferred.Count == 1)
        {
            _putOff(this);
        }
    }

    /// <summary>Does what was put off. To be called alone.</summary>
    public void RunDeferred()
    {
        for (int i = 0; i < _deferred.Count; i++) // more may come
        {
            Run(_deferred[i]);
        }

        _deferred.Clear();
    }

    void Run(in Deferred what)
    {
        switch (what.Kind)
        {
            case DeferredKind.Begin:
                Target.BeginAlone(what.Task!);
                break;
            case DeferredKind.DataArrived:
                what.Task!.LogicalUnit!.Execute(what.Task);
                break;
            case DeferredKind.Manage:
                Target.ManageAlone(what.Request!);
                break;
            case DeferredKind.Answered:
                what.Task!.LogicalUnit!.Adopt(what.Task);
                what.Task.LogicalUnit.HandlerAnswered(what.Task, what.Task.Status, what.Task.Sense.ToArray(), what.Task.DataInLength);
                break;
            case DeferredKind.Failed:
                what.Task!.LogicalUnit!.Adopt(what.Task);
                what.Task.LogicalUnit.HandlerFailed(what.Task, what.Result);
                break;
            case DeferredKind.FailDelivery:
                what.Task!.LogicalUnit!.TryFailDelivery(what.Task, what.Result.Sense);
                break;
            case DeferredKind.Release:
                Target.Release(what.Task!);
                break;
            case DeferredKind.LookAtThresholds:
                what.Unit!.WatchThresholds();
                break;
            default:
                break; // its task has gone
        }
    }

    /// <summary>The nexus is lost: what it has put off and not begun is not to be done any more.</summary>
    internal void Forget(Nexus nexus)
    {
        for (int i = 0; i < _deferred.Count; i++)
        {
            Deferred what = _deferred[i];
            if (what.Kind == DeferredKind.Begin && what.Task!.Nexus == nexus)
            {
                _deferred[i] = default;
                Return(what.Task);
            }
            else if (what.Kind == DeferredKind.Manage && what.Request!.Nexus == nexus)
            {
                _deferred[i] = default;
            }
        }
    }

    /// <summary>The task is given back: nothing that was put off concerns it any more.</summary>
    internal void Forget(ScsiTask task)
    {
        for (int i = 0; i < _deferred.Count; i++)
        {
            if (_deferred[i].Task == task)
            {
                _deferred[i] = default;
            }
        }
    }
}

/// <summary>What can be put off.</summary>
enum DeferredKind
{
    /// <summary>Nothing any more.</summary>
    None,

    /// <summary>A task that is no plain read or write, or has something in its way.</summary>
    Begin,

    /// <summary>The data of such a task is there.</summary>
    DataArrived,

    /// <summary>A task management function.</summary>
    Manage,

    /// <summary>The handler has answered a task with something else than GOOD; the task has the answer.</summary>
    Answered,

    /// <summary>A task cannot be executed.</summary>
    Failed,

    /// <summary>The data of such a task cannot be brought.</summary>
    FailDelivery,

    /// <summary>A task is given back that holds what is not the lane's.</summary>
    Release,

    /// <summary>The device has got commands, and somebody wants to know how full it is.</summary>
    LookAtThresholds,
}

/// <summary>Something that is put off until its thread is alone.</summary>
readonly record struct Deferred(DeferredKind Kind, ScsiTask? Task = null, TaskManagementRequest? Request = null, LogicalUnit? Unit = null, ScsiResult Result = default);
