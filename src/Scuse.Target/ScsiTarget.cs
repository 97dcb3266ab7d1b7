using System.Security.Cryptography;
using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>
/// A SCSI target device with one port: the task router and task manager of SAM-5 clause 4.5. A transport brings it nexuses and tasks.
/// </summary>
/// <remarks>
/// Owned by one thread; every call comes on it, and every call out is made on it. Or spread over several: see <see cref="Exclusion"/>.
/// </remarks>
public sealed class ScsiTarget
{
    /// <summary>How many released tasks are kept for reuse at most; a task is about half a kilobyte.</summary>
    const int MaxPooledTasks = 4096;

    readonly Stack<ScsiTask> _pool = new();
    readonly List<Nexus> _nexuses = [];
    uint _lastNexusId;
    readonly LogicalUnit?[] _units;
    readonly int[] _numbers;
    readonly ReportLunsUnit _reportLuns;

    /// <summary>A target with a name and its logical units.</summary>
    /// <param name="name">The iSCSI name.</param>
    /// <param name="logicalUnits">The logical units.</param>
    /// <param name="portNumber">The number of its port and of that port's group: different where several nodes offer the same target.</param>
    /// <exception cref="ArgumentException">Two logical units have the same number.</exception>
    public ScsiTarget(string name, IReadOnlyCollection<LogicalUnit> logicalUnits, ushort portNumber = 1)
    {
        ArgumentNullException.ThrowIfNull(logicalUnits);
        Name = name;
        PortGroup = new TargetPortGroup(this, portNumber);
        _reportLuns = new ReportLunsUnit(name);
        _numbers = [.. logicalUnits.Select(static unit => unit.Number).Order()];
        _units = new LogicalUnit?[_numbers.Length == 0 ? 0 : _numbers[^1] + 1];
        foreach (LogicalUnit unit in logicalUnits)
        {
            if (_units[unit.Number] is not null)
            {
                throw new ArgumentException($"LUN {unit.Number} is there twice", nameof(logicalUnits));
            }

            _units[unit.Number] = unit;
            unit.Target = this;
        }
    }

    /// <summary>The iSCSI name.</summary>
    public string Name { get; }

    /// <summary>The group of the target's port, and how well it reaches the logical units.</summary>
    public TargetPortGroup PortGroup { get; }

    /// <summary>The owner's clock in milliseconds, set by the owner as time goes on; arrivals and deadlines are measured by it.</summary>
    public long NowMs { get; set; }

    /// <summary>
    /// What lets one thread have the target to itself, where it is spread over several; null where it is one thread's. Then each <see cref="TargetLane"/> has a thread, and whatever is
    /// called here for a nexus of a lane is called on that lane's thread, or alone.
    /// </summary>
    public ITargetExclusion? Exclusion { get; set; }

    /// <summary>The deadlines of tasks, and of whatever else backstores put there; <see cref="Tick"/> moves it on.</summary>
    public TimerWheel Timers { get; } = new();

    /// <summary>The logical units, by number.</summary>
    public IEnumerable<LogicalUnit> LogicalUnits => _units.OfType<LogicalUnit>();

    /// <summary>The numbers that REPORT LUNS tells a nexus.</summary>
    internal ReadOnlySpan<int> NumbersFor(Nexus nexus) => nexus.Map is { } map ? map.Luns : _numbers;

    internal ControlMemory ControlMemory { get; } = new();

    /// <summary>The logical units that a nexus may know of: whatever finds one for it looks here.</summary>
    internal IEnumerable<LogicalUnit> UnitsVisibleTo(Nexus nexus) =>
        !nexus.IsAlive ? [] : nexus.Map is null ? LogicalUnits : LogicalUnits.Where(unit => nexus.Sees(unit.Number));

    internal CopyManager Copies => field ??= new CopyManager(this);

    /// <summary>Where what nobody can guess comes from: the part of a ROD token that makes it one.</summary>
    public RandomNumberGenerator Randomness { get; init; } = RandomNumberGenerator.Create();

    internal RodTokens Tokens => field ??= new RodTokens(this);

    /// <summary>Ends the copies that go on by themselves in a logical unit, of those who are meant.</summary>
    internal void EndBackgroundCopies(LogicalUnit unit, Func<Nexus, bool> isMeant) => Copies.EndBackground(unit, isMeant);

    /// <summary>The logical unit was reset: nobody can ask about its copies that are over.</summary>
    internal void ForgetCopiesOf(LogicalUnit unit) => _nexuses.ForEach(nexus => nexus.Copies.ForgetThoseOf(unit));

    /// <summary>
    /// A new I_T nexus, which sees what a map says, or everything. Every logical unit that it sees owes it a POWER ON, RESET, OR BUS DEVICE RESET OCCURRED unit
    /// attention. SAM-5 clause 5.14.
    /// </summary>
    /// <param name="initiatorPort">The initiator port's name.</param>
    /// <param name="map">What it sees; null: everything.</param>
    /// <param name="lane">Where its tasks come, in a target that is spread over several threads.</param>
    public Nexus Attach(string initiatorPort, LunMap? map = null, TargetLane? lane = null)
    {
        using var alone = new Exclusive(Exclusion);
        _lastNexusId = Math.Max(_lastNexusId, _lastNexusId + 1); // stays at the last one rather than starting anew
        var nexus = new Nexus(this, initiatorPort, _lastNexusId);
        nexus.Map = map?.Within(HasUnit);
        nexus.Lane = lane;
        _nexuses.Add(nexus);
        if (lane is not null)
        {
            lane.Nexuses++;
        }

        foreach (LogicalUnit unit in UnitsVisibleTo(nexus))
        {
            nexus.Establish(unit.Number, AdditionalSense.PowerOnOrResetOccurred);
        }

        return nexus;
    }

    /// <summary>
    /// A nexus sees the target in another way from now on; null: all of it. Every logical unit that it sees tells it REPORTED LUNS DATA HAS CHANGED, a new one that it
    /// is new. Commands that it has under way end as they would have; nothing else reaches a logical unit that it sees no more, whose reservations by
    /// RESERVE it loses. SPC-4 clause 6.33.
    /// </summary>
    public void SetMap(Nexus nexus, LunMap? map)
    {
        ArgumentNullException.ThrowIfNull(nexus);
        using var alone = new Exclusive(Exclusion);
        LunMap? old = nexus.Map, next = map?.Within(HasUnit);
        if (!nexus.IsAlive || (old is null ? next is null : old.IsSameAs(next)))
        {
            return;
        }

        nexus.Map = next;
        foreach (LogicalUnit unit in LogicalUnits)
        {
            bool sawIt = old is null || old.Sees(unit.Number);
            if (!nexus.Sees(unit.Number))
            {
                nexus.Forget(unit.Number);
                if (sawIt)
                {
                    unit.Reservations.NexusLost(nexus);
                    unit.ClearAca(nexus);
                    unit.StartWaiting();
                }

                continue;
            }

            if (!sawIt)
            {
                nexus.Establish(unit.Number, AdditionalSense.PowerOnOrResetOccurred);
            }

            nexus.Establish(unit.Number, AdditionalSense.ReportedLunsDataChanged);
        }
    }

    bool HasUnit(int number) => (uint)number < (uint)_units.Length && _units[number] is not null;

    /// <summary>
    /// The nexus is lost (SAM-5 clause 6.3.4): its tasks end without an answer, and no call for them reaches the transport any more.
    /// Tasks that were completed already still belong to the transport, which releases them.
    /// </summary>
    public void Detach(Nexus nexus)
    {
        ArgumentNullException.ThrowIfNull(nexus);
        using var alone = new Exclusive(Exclusion);
        if (!nexus.IsAlive)
        {
            return;
        }

        nexus.IsAlive = false;
        _nexuses.Remove(nexus);
        if (nexus.Lane is { } lane)
        {
            lane.Nexuses--;
            lane.Forget(nexus);
        }

        foreach (LogicalUnit unit in LogicalUnits)
        {
            unit.Reservations.NexusLost(nexus);
            EndBackgroundCopies(unit, lost => lost == nexus);
            List<ScsiTask> tasks = TasksOf(unit, nexus);
            if (tasks.Count > 0)
            {
                unit.Backstore.Announce(AbortCause.AbortTaskSet, tasks);
            }

            tasks.ForEach(static task => LogicalUnit.Disown(task, DisownedTask.EndsInSilence));
            Drop(tasks);
            if (unit.ClearAca(nexus))
            {
                unit.StartWaiting();
            }
        }
    }

    /// <summary>An empty task to fill in, for a nexus.</summary>
    public ScsiTask Rent(Nexus nexus)
    {
        ArgumentNullException.ThrowIfNull(nexus);
        return nexus.Lane is { } lane ? lane.Rent() : Rent();
    }

    /// <summary>An empty task to fill in.</summary>
    public ScsiTask Rent() => _pool.TryPop(out ScsiTask? task) ? task : new ScsiTask(this);

    /// <summary>A task has arrived: SAM-5's Send SCSI Command received. It ends in <see cref="ITaskTransport.OnCompleted"/>, perhaps before this returns.</summary>
    public void Begin(ScsiTask task)
    {
        ArgumentNullException.ThrowIfNull(task);
        if (task.Nexus.Lane is { } lane && !task.IsOfCopyManager)
        {
            lane.Begin(task);
        }
        else
        {
            BeginAlone(task);
        }
    }

    internal void BeginAlone(ScsiTask task)
    {
        task.ArrivedMs = NowMs;
        if (task.Cdb.Length < Math.Max(1, Cdb.Length(task.Cdb)))
        {
            task.SetOutcome(ScsiResult.Check(SenseData.InvalidFieldInCdb(0))); // it ends before its operation code says; nobody else need look
            task.State = TaskState.Completed;
            task.Transport.OnCompleted(task);
            return;
        }

        if (Find(task) is { } unit)
        {
            unit.Begin(task);
        }
        else
        {
            AnswerAround(task);
        }
    }

    /// <summary>All <see cref="ScsiTask.DataOutLength"/> bytes of the task's data are in place.</summary>
    public void DataArrived(ScsiTask task)
    {
        ArgumentNullException.ThrowIfNull(task);
        if (task.Target != this || task.LogicalUnit is not { } unit)
        {
            throw new ArgumentException("the task is not under way in this target", nameof(task));
        }

        if (task.Lane is { } lane)
        {
            lane.Execute(task);
        }
        else if (task.Nexus.Lane is { } host && !task.IsOfCopyManager)
        {
            host.PutOff(new Deferred(DeferredKind.DataArrived, task));
        }
        else
        {
            unit.Execute(task);
        }
    }

    /// <summary>
    /// The task's data cannot be brought: ends it with CHECK CONDITION, through <see cref="ITaskTransport.OnCompleted"/>. False when it is too late or
    /// too early for that; then nothing has happened.
    /// </summary>
    public bool TryFailDelivery(ScsiTask task, SenseData sense)
    {
        ArgumentNullException.ThrowIfNull(task);
        if (task.Target != this || task.LogicalUnit is not { } unit)
        {
            return false;
        }

        if (task.Lane is { } lane)
        {
            return lane.TryFailDelivery(task, sense);
        }

        if (task.Nexus.Lane is not { } host || task.IsOfCopyManager)
        {
            return unit.TryFailDelivery(task, sense);
        }

        bool isWithInitiator = LogicalUnit.IsWithInitiator(task);
        if (isWithInitiator)
        {
            host.PutOff(new Deferred(DeferredKind.FailDelivery, task, Result: ScsiResult.Check(sense)));
        }

        return isWithInitiator;
    }

    /// <summary>Whether sense data of a logical unit is in descriptor format (D_SENSE); false where there is none. For a transport that answers for a task itself.</summary>
    public bool UsesDescriptorSense(Nexus nexus, ulong lun)
    {
        ArgumentNullException.ThrowIfNull(nexus);
        return Find(nexus, lun) is { UsesDescriptorSense: true };
    }

    /// <summary>Fails what is overdue. To be called now and then, some times a second.</summary>
    public void Tick(long nowMs)
    {
        NowMs = nowMs;
        Timers.Advance(nowMs);
    }

    /// <summary>Tells every nexus of a condition, such as a changed capacity; <paramref name="except"/> hears nothing.</summary>
    public void Establish(LogicalUnit unit, ushort attention, Nexus? except = null)
    {
        ArgumentNullException.ThrowIfNull(unit);
        using var alone = new Exclusive(Exclusion);
        foreach (Nexus nexus in _nexuses)
        {
            if (nexus != except && nexus.Sees(unit.Number))
            {
                nexus.Establish(unit.Number, attention);
            }
        }
    }

    /// <summary>Tells the nexus of an initiator port of a condition, if there is one now.</summary>
    internal void EstablishFor(string initiatorPort, LogicalUnit unit, ushort attention)
    {
        foreach (Nexus nexus in _nexuses)
        {
            if (nexus.InitiatorPort == initiatorPort && nexus.Sees(unit.Number))
            {
                nexus.Establish(unit.Number, attention);
            }
        }
    }

    /// <summary>
    /// Ends the tasks of initiator ports in a logical unit without an answer: PREEMPT AND ABORT. Complete when the device has let go of all of them.
    /// SPC-4 clause 5.12.11.2.6.
    /// </summary>
    internal static Task AbortTasksOfAsync(IReadOnlyList<string> initiatorPorts, LogicalUnit unit, ScsiTask except)
    {
        List<ScsiTask> tasks = [.. unit.AllTasks.Where(task => task != except && initiatorPorts.Contains(task.Nexus.InitiatorPort))];
        var done = new AbortCompletion();
        unit.Target.EndBackgroundCopies(unit, nexus => initiatorPorts.Contains(nexus.InitiatorPort));
        foreach (Nexus nexus in unit.Target._nexuses)
        {
            if (initiatorPorts.Contains(nexus.InitiatorPort))
            {
                unit.ClearAca(nexus); // SPC-4 clause 5.12.11.2.6
            }
        }

        unit.Backstore.Announce(AbortCause.PreemptAndAbort, tasks);
        var request = new TaskManagementRequest { Nexus = except.Nexus, Transport = done, Function = TaskManagementFunction.AbortTaskSet, Waiting = 1 };
        Abort(request, tasks, unit.Control.ReportsTaskAborted);
        OneLess(request);
        unit.StartWaiting();
        return done.Task;
    }

    /// <summary>A task has failed, and QERR says that others end with it: all of its task set, or only those of its nexus. SPC-4 clause 7.5.8.</summary>
    internal static void AbortOthersOf(ScsiTask failed, LogicalUnit unit, bool onlyOwn)
    {
        List<ScsiTask> tasks = [.. unit.AllTasks.Where(task => task != failed && !task.IsUnwanted && (!onlyOwn || task.Nexus == failed.Nexus))];
        bool isReported = unit.Control.ReportsTaskAborted;
        if (!isReported)
        {
            TellOfClearing(unit, tasks, by: failed.Nexus);
        }

        unit.Backstore.Announce(AbortCause.ClearTaskSet, tasks);
        tasks.ForEach(task => LogicalUnit.Disown(task, HowToEnd(task, failed.Nexus, isReported)));
        Drop(tasks);
    }

    /// <summary>COMMANDS CLEARED BY ANOTHER INITIATOR, for every other nexus that has lost commands without a status. SAM-5 clause 5.6.</summary>
    static void TellOfClearing(LogicalUnit unit, List<ScsiTask> tasks, Nexus by)
    {
        foreach (Nexus nexus in tasks.Select(static task => task.Nexus).Distinct())
        {
            if (nexus != by && nexus.Sees(unit.Number))
            {
                nexus.Establish(unit.Number, AdditionalSense.CommandsClearedByAnotherInitiator);
            }
        }
    }

    static DisownedTask HowToEnd(ScsiTask task, Nexus by, bool isReported) =>
        !task.Nexus.IsAlive ? DisownedTask.EndsInSilence
        : isReported && task.Nexus != by ? DisownedTask.EndsWithStatus
        : DisownedTask.EndsAtOnce;

    // ---- task management, SAM-5 clause 7 ----

    /// <summary>
    /// Starts a task management function. The answer comes through the request's transport once the device has let go of every task concerned,
    /// so that an aborted write never lands after the answer; perhaps before this returns.
    /// </summary>
    public void Manage(TaskManagementRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (request.Nexus.Lane is { } lane)
        {
            lane.PutOff(new Deferred(DeferredKind.Manage, Request: request)); // after what has come before it
        }
        else
        {
            ManageAlone(request);
        }
    }

    internal void ManageAlone(TaskManagementRequest request)
    {
        LogicalUnit? unit = Find(request.Nexus, request.Lun);
        if (unit is null && IsForLogicalUnit(request.Function))
        {
            // All commands of the well-known one have ended by the time anybody could ask for them.
            Answer(request, request.Lun != ReportLunsUnit.Address ? TaskManagementResponse.LunDoesNotExist
                : request.Function == TaskManagementFunction.AbortTask ? TaskManagementResponse.TaskDoesNotExist
                : TaskManagementResponse.FunctionComplete);
            return;
        }

        switch (request.Function)
        {
            case TaskManagementFunction.AbortTask:
                AbortTask(request);
                break;
            case TaskManagementFunction.AbortTaskSet:
                Abort(request, [unit!], AbortCause.AbortTaskSet, request.Nexus);
                break;
            case TaskManagementFunction.ClearAca:
                ClearAca(request, unit!);
                break;
            case TaskManagementFunction.ClearTaskSet:
                Abort(request, [unit!], AbortCause.ClearTaskSet, unit!.Control.TaskSetPerNexus ? request.Nexus : null);
                break;
            case TaskManagementFunction.LogicalUnitReset:
                Abort(request, [unit!], AbortCause.LogicalUnitReset);
                break;
            case TaskManagementFunction.TargetWarmReset or TaskManagementFunction.TargetColdReset when request.Nexus.Map is not null:
                Answer(request, TaskManagementResponse.AuthorizationFailed); // there may be logical units that are not its business
                break;
            case TaskManagementFunction.TargetWarmReset:
                Abort(request, LogicalUnits, AbortCause.TargetWarmReset); // SAM-5 clause 6.3.3: every logical unit is reset
                break;
            case TaskManagementFunction.TargetColdReset:
                Abort(request, LogicalUnits, AbortCause.TargetColdReset); // the transport ends the sessions once it has answered
                break;
            case TaskManagementFunction.NexusReset:
                ResetNexus(request);
                break;
            case TaskManagementFunction.QueryTask:
                Answer(request, request.Referenced is { } task && task.Nexus == request.Nexus && IsInTaskSet(task));
                break;
            case TaskManagementFunction.QueryTaskSet:
                Answer(request, unit!.AllTasks.Any(task => task.Nexus == request.Nexus && IsInTaskSet(task)));
                break;
            case TaskManagementFunction.QueryAsynchronousEvent:
                QueryEvent(request, unit!);
                break;
            case TaskManagementFunction.TaskReassign:
                Answer(request, TaskManagementResponse.ReassignmentNotSupported);
                break;
            default:
                Answer(request, TaskManagementResponse.FunctionNotSupported);
                break;
        }
    }

    static bool IsForLogicalUnit(TaskManagementFunction function) =>
        function is <= TaskManagementFunction.LogicalUnitReset or TaskManagementFunction.QueryTask or TaskManagementFunction.QueryTaskSet
            or TaskManagementFunction.QueryAsynchronousEvent;

    /// <summary>Whether it has neither ended nor been aborted.</summary>
    static bool IsInTaskSet(ScsiTask task) => task.LogicalUnit is not null && task.State != TaskState.Completed && !task.IsUnwanted;

    /// <summary>FUNCTION SUCCEEDED where a query finds what it asks for, FUNCTION COMPLETE where it does not. SAM-5 clause 7.9.</summary>
    static void Answer(TaskManagementRequest request, bool isFound) =>
        Answer(request, isFound ? TaskManagementResponse.FunctionSucceeded : TaskManagementResponse.FunctionComplete);

    /// <summary>SAM-5 clause 7.8. What is found stays pending.</summary>
    static void QueryEvent(TaskManagementRequest request, LogicalUnit unit)
    {
        const int one = 1 << 20, several = 2 << 20;
        bool isFound = request.Nexus.TryGetAttention(unit.Number, clear: false, out ushort code);
        if (isFound)
        {
            int depth = request.Nexus.CountAttentions(unit.Number) == 1 ? one : several;
            request.AdditionalResponseInformation = depth | ((int)SenseKey.UnitAttention << 16) | code;
        }

        Answer(request, isFound);
    }

    /// <summary>What a lost nexus loses, except that it is still there: every logical unit tells it I_T NEXUS LOSS OCCURRED. SAM-5 clauses 6.3.4 and 7.6.</summary>
    void ResetNexus(TaskManagementRequest request)
    {
        foreach (LogicalUnit unit in UnitsVisibleTo(request.Nexus))
        {
            unit.Reservations.NexusLost(request.Nexus);
            EndBackgroundCopies(unit, nexus => nexus == request.Nexus);
            unit.ClearAca(request.Nexus);
            request.Nexus.Establish(unit.Number, AdditionalSense.NexusLossOccurred);
        }

        Abort(request, LogicalUnits, AbortCause.AbortTaskSet, request.Nexus);
    }

    static void AbortTask(TaskManagementRequest request)
    {
        ScsiTask? task = request.Referenced;
        if (task is null || task.Nexus != request.Nexus)
        {
            Answer(request, TaskManagementResponse.TaskDoesNotExist);
        }
        else if (task.State == TaskState.Completed || task.LogicalUnit is null)
        {
            Answer(request, TaskManagementResponse.FunctionComplete); // its status is on the way already
        }
        else
        {
            task.LogicalUnit.Adopt(task);
            task.LogicalUnit.Backstore.Announce(AbortCause.AbortTask, [task]);
            request.Waiting = 1;
            Abort(request, [task], isReported: false);
            OneLess(request);
        }
    }

    /// <summary>
    /// Only the faulted nexus ends its auto contingent allegiance; for others, and where there is none, nothing is to be done. What is under way to deal with
    /// it ends as if by ABORT TASK. SAM-5 clause 7.4.
    /// </summary>
    static void ClearAca(TaskManagementRequest request, LogicalUnit unit)
    {
        request.Waiting = 1;
        if (unit.ClearAca(request.Nexus))
        {
            List<ScsiTask> tasks = [.. unit.AllTasks.Where(task => task.Nexus == request.Nexus && task.Attribute == TaskAttribute.Aca)];
            unit.Backstore.Announce(AbortCause.ClearAca, tasks);
            Abort(request, tasks, isReported: false);
            unit.StartWaiting();
        }

        OneLess(request);
    }

    /// <summary>Aborts the tasks of logical units, those of one nexus or all; handlers hear of it before their commands are taken from them.</summary>
    void Abort(TaskManagementRequest request, IEnumerable<LogicalUnit> units, AbortCause cause, Nexus? nexus = null)
    {
        request.Waiting = 1; // ours, until every task has been asked
        foreach (LogicalUnit unit in units)
        {
            List<ScsiTask> tasks = TasksOf(unit, nexus);
            bool isReported = unit.Control.ReportsTaskAborted;
            if (cause >= AbortCause.LogicalUnitReset)
            {
                Establish(unit, AdditionalSense.DeviceResetOccurred);
                unit.WasReset();
            }
            else if (!isReported)
            {
                TellOfClearing(unit, tasks, by: request.Nexus);
            }

            unit.Backstore.Announce(cause, tasks);
            Abort(request, tasks, isReported);
            unit.StartWaiting();
        }

        OneLess(request);
    }

    /// <summary>Aborts tasks; with <paramref name="isReported"/> those of other nexuses end with TASK ABORTED (TAS).</summary>
    static void Abort(TaskManagementRequest request, IReadOnlyList<ScsiTask> tasks, bool isReported)
    {
        foreach (ScsiTask task in tasks)
        {
            request.Waiting++;
            (task.AbortedBy ??= []).Add(request);
            LogicalUnit.Disown(task, HowToEnd(task, request.Nexus, isReported));
        }

        Drop(tasks);
    }

    /// <summary>
    /// Lets go of disowned tasks; the youngest first, so that letting go of one does not start another that waits for it and is to go as well. One that has
    /// gone meanwhile is left out.
    /// </summary>
    static void Drop(IReadOnlyList<ScsiTask> tasks)
    {
        for (int i = tasks.Count - 1; i >= 0; i--)
        {
            if (tasks[i].IsUnwanted)
            {
                tasks[i].LogicalUnit!.Drop(tasks[i]);
            }
        }
    }

    internal static void OneLess(TaskManagementRequest request)
    {
        if (--request.Waiting == 0)
        {
            Answer(request, TaskManagementResponse.FunctionComplete);
        }
    }

    static void Answer(TaskManagementRequest request, TaskManagementResponse response)
    {
        if (request.Nexus.IsAlive || request.Transport is AbortCompletion)
        {
            request.Transport.OnTaskManagementCompleted(request, response);
        }
    }

    // ---- helpers ----

    LogicalUnit? Find(Nexus nexus, ulong lun)
    {
        int number = LunAddress.Parse(lun);
        number = nexus.Map is { } map ? map.UnitAt(number) : number;
        return (uint)number < (uint)_units.Length ? _units[number] : null;
    }

    /// <summary>The copy manager names logical units by the target's numbers, and only those that the nexus sees.</summary>
    internal LogicalUnit? Find(ScsiTask task) => !task.IsOfCopyManager ? Find(task.Nexus, task.Lun)
        : LunAddress.Parse(task.Lun) is var number && task.Nexus.Sees(number) ? _units[number]
        : null;

    /// <summary>A copy, since dropping a task takes it out of the set. Rare work: it may allocate.</summary>
    static List<ScsiTask> TasksOf(LogicalUnit unit, Nexus? nexus) => [.. unit.AllTasks.Where(task => nexus is null || task.Nexus == nexus)];

    /// <summary>For the well-known logical unit, and for a number that has none.</summary>
    void AnswerAround(ScsiTask task)
    {
        int room = Math.Min(task.ExpectedDataIn, ReportLuns.ResponseLength(NumbersFor(task.Nexus).Length + 1) + ControlMemory.SmallestBytes);
        if (room > 0)
        {
            task.ControlPiece = ControlMemory.Rent(room);
            task.SetBuffers(default, new DataBuffer(task.ControlPiece, 1, room));
        }

        task.SetOutcome(task.Lun == ReportLunsUnit.Address
            ? _reportLuns.Execute(task.Nexus, task.Cdb, task.DataIn)
            : MissingLogicalUnit.Execute(task.Nexus, task.Cdb, task.DataIn));
        task.State = TaskState.Completed;
        task.Transport.OnCompleted(task);
    }

    internal void Release(ScsiTask task)
    {
        if (task.Lane is { } way)
        {
            way.Release(task);
            return;
        }

        if (task.Nexus?.Lane is { } lane)
        {
            if (!Exclusion!.IsHeld)
            {
                lane.PutOff(new Deferred(DeferredKind.Release, task));
                return;
            }

            lane.Forget(task);
            LetGo(task);
            lane.Return(task);
            return;
        }

        LetGo(task);
        task.Reset();
        if (_pool.Count < MaxPooledTasks)
        {
            _pool.Push(task);
        }
    }

    void LetGo(ScsiTask task)
    {
        if (task.LogicalUnit is { } unit)
        {
            unit.Release(task);
        }
        else if (task.ControlPiece is { } piece)
        {
            task.ControlPiece = null;
            ControlMemory.Return(piece);
        }
    }
}
