using Scuse.Device;
using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>
/// A logical unit: its task set, and the way of each task from arrival to status. What the commands mean is the business of its device server
/// and its handler; here is decided who gets them and when. SAM-5 clause 4.5.19.
/// </summary>
/// <remarks>Touched only by the owning thread.</remarks>
public sealed class LogicalUnit
{
    /// <summary>The most parameter data or compound-command data that one task may hold in the engine, in bytes.</summary>
    public const int MaxControlBytes = 32 << 20;

    /// <summary>How long after a command the thresholds of a thin disk are looked at, if an initiator wants to hear of them: often enough for a person to act, seldom enough not to matter.</summary>
    const int ThresholdCheckMs = 1000;

    readonly Queue<ScsiTask> _waitingForControlMemory = new();
    readonly List<ScsiTask> _scratch = [];
    readonly BlockGuard _blocks = new();
    readonly AcaConditions _aca = new();
    readonly TaskOrder _order;
    readonly ThresholdTimer _thresholdTimer;
    long _controlBytes;
    bool _isStartingWaiting, _isCheckingThresholds;

    /// <summary>A logical unit with a number, over a backstore.</summary>
    public LogicalUnit(int number, IBackstore backstore)
    {
        ArgumentNullException.ThrowIfNull(backstore);
        Number = number;
        Backstore = backstore;
        Reservations = new Reservations(this);
        _order = new TaskOrder(_aca);
        _thresholdTimer = new ThresholdTimer(this);
        backstore.Bind(this);
        if (backstore.IsOpen)
        {
            ListenToDeviceServer();
        }
    }

    /// <summary>The logical unit number.</summary>
    public int Number { get; }

    /// <summary>What stands behind.</summary>
    public IBackstore Backstore { get; }

    /// <summary>Who has reserved it.</summary>
    public Reservations Reservations { get; }

    /// <summary>How long a task may take in the backstore before it is failed, in milliseconds; 0 is for ever. The kernel's cmd_time_out.</summary>
    public int CommandTimeoutMs
    {
        get => TimeLimits.LimitMs;
        init => TimeLimits = new TimeLimits(value);
    }

    /// <summary>What is done about a task that takes long, and when.</summary>
    public TimeLimits TimeLimits { get; private init; } = new(30_000);

    /// <summary>The target's timers, for the backstore's own deadlines.</summary>
    public TimerWheel Timers => Target.Timers;

    /// <summary>What lets one thread have the target to itself; null where it is one thread's.</summary>
    public ITargetExclusion? Exclusion => Target.Exclusion;

    /// <summary>The target's clock.</summary>
    public long NowMs => Target.NowMs;

    /// <summary>
    /// The most that all tasks of the logical unit may hold for commands the engine executes itself, in bytes; tasks beyond it wait their turn.
    /// One that needs more than all of it is served when it is alone.
    /// </summary>
    public int ControlBudgetBytes { get; init; } = 64 << 20;

    /// <summary>How many tasks have arrived and not been answered; with lanes, for whoever is alone.</summary>
    public int TaskCount => Tasks.Count + Lanes.Sum(static lane => lane.Tasks.Count);

    /// <summary>The tasks in the order of their arrival (SAM-5 clause 8); each brings its node, so that coming and going allocates nothing.</summary>
    internal LinkedList<ScsiTask> Tasks { get; } = new();

    /// <summary>The ways of plain reads and writes, where the target is spread over several threads; their tasks are not in <see cref="Tasks"/>.</summary>
    internal List<UnitLane> Lanes { get; } = [];

    /// <summary>Every task there is, those of lanes included, which are taken over. For whoever is alone.</summary>
    internal LinkedList<ScsiTask> AllTasks
    {
        get
        {
            AdoptAll();
            return Tasks;
        }
    }

    /// <summary>The tokens that stand for blocks of the logical unit and can be used; kept by <see cref="RodTokens"/>.</summary>
    internal List<RodToken> Tokens { get; } = [];

    internal ScsiTarget Target { get; set; } = null!;

    // ---- the way of a task ----

    internal void Begin(ScsiTask task)
    {
        if (Lanes.Count > 0 && LanePolicy.Concerns(task))
        {
            AdoptAll();
        }

        Tasks.AddLast(task.Place);
        task.LogicalUnit = this;
        if (task.IsOfCopyManager)
        {
            Enable(task);
            return;
        }

        if (TaskOrder.IsOrdering(task))
        {
            _order.Entered(task);
        }

        if (!_aca.IsIdle || task.Attribute == TaskAttribute.Aca)
        {
            BeginInAca(task);
        }
        else if (_order.IsIdle || _order.TryStart(task, Tasks, IsSetPerNexus))
        {
            Enable(task);
        }
        else
        {
            StartTimer(task);
        }
    }

    // ---- lanes ----

    /// <summary>Whether plain reads and writes may go their way on lanes: nothing is there that one of them would have to wait for, or that would have to know of it.</summary>
    internal bool AdmitsLanes =>
        Backstore.IsOpen && Backstore.PassLevel == PassLevel.Io && _order.IsIdle && _blocks.IsIdle && _aca.IsIdle && Tokens.Count == 0 && Target.PortGroup.IsActive;

    /// <summary>Takes a task of a lane over into the task set; one that is there already stays. For whoever is alone.</summary>
    internal void Adopt(ScsiTask task)
    {
        if (task.Lane is { } lane && task.State != TaskState.Completed)
        {
            lane.Tasks.Remove(task.Place);
            task.Lane = null;
            lane.Backstore.Adopted(task);
            Tasks.AddLast(task.Place); // all of them are SIMPLE, and older than whoever wants to know of them
        }
    }

    void AdoptAll()
    {
        foreach (UnitLane lane in Lanes)
        {
            while (lane.Tasks.First is { } first)
            {
                Adopt(first.Value);
            }
        }
    }

    /// <summary>Where a task's data is, and the handler's end of it.</summary>
    IBackstore BackstoreOf(ScsiTask task) => task.Backstore ?? Backstore;

    void BeginInAca(ScsiTask task)
    {
        if (!_aca.Admits(task, Tasks, IsSetPerNexus, out ScsiResult refusal))
        {
            Finish(task, refusal);
        }
        else if (_aca.Stops(task.Nexus, IsSetPerNexus) || _order.IsIdle || _order.TryStart(task, Tasks, IsSetPerNexus))
        {
            Enable(task); // what is let in while the task set stands still waits for nobody
        }
        else
        {
            StartTimer(task);
        }
    }

    /// <summary>What the Control mode page says.</summary>
    internal ControlSettings Control => Backstore.IsOpen ? Backstore.DeviceServer.Control : ControlSettings.Default;

    bool IsSetPerNexus => Control.TaskSetPerNexus;

    /// <summary>The task is in the enabled state of SAM-5 clause 8.5.2: what stands in its way is looked at now and not before, since older tasks may change it.</summary>
    void Enable(ScsiTask task)
    {
        // RESERVATION CONFLICT takes precedence over a unit attention, which stays pending. SAM-5 clause 5.3.3.
        if (!Reservations.IsFree && Reservations.Conflicts(task.Nexus, task.Cdb))
        {
            Finish(task, ScsiResult.With(ScsiStatus.ReservationConflict));
            return;
        }

        if (ReportAttention(task))
        {
            return;
        }

        if (task.Nexus.MayOnlyRead(Number) && !ReadOnlyAccess.Admits(task.Cdb))
        {
            Finish(task, ScsiResult.Check(SenseKey.DataProtect, AdditionalSense.WriteProtected));
            return;
        }

        if (!Target.PortGroup.IsActive && !Target.PortGroup.Admits(task.Cdb, out ScsiResult unreachable))
        {
            Finish(task, unreachable);
            return;
        }

        if (!Backstore.IsOpen && task.Cdb[0] != OperationCode.ReportLuns)
        {
            if (Backstore.IsRefusing)
            {
                Finish(task, Backstore.Refusal);
                return;
            }

            task.State = TaskState.Held;
            StartTimerUnlessSet(task);
            return;
        }

        Route(task);
    }

    /// <summary>SAM-5 clause 5.14.5: a pending unit attention ends any command but INQUIRY, REPORT LUNS and REQUEST SENSE.</summary>
    bool ReportAttention(ScsiTask task)
    {
        if (task.Nexus.PendingAttentions == 0 || task.IsOfCopyManager || task.Cdb[0] is OperationCode.Inquiry or OperationCode.ReportLuns or OperationCode.RequestSense)
        {
            return false;
        }

        if (!task.Nexus.TryGetAttention(Number, clear: true, out ushort code))
        {
            return false;
        }

        Finish(task, ScsiResult.Check(AttentionSense(code)));
        return true;
    }

    SenseData AttentionSense(ushort code) => new(SenseKey.UnitAttention, code)
    {
        Information = code == AdditionalSense.ThinProvisioningSoftThresholdReached ? Backstore.DeviceServer.ReachedThresholdOffset : null,
    };

    void Route(ScsiTask task)
    {
        task.Responder = PassTable.For(Backstore.IsOpen ? Backstore.PassLevel : PassLevel.Io, task.Cdb);
        if (task.Cdb[0] == OperationCode.RequestSense && task.Nexus.TryGetAttention(Number, clear: false, out _))
        {
            task.Responder = Responder.TargetCore;
        }

        if (task.Responder != Responder.Handler)
        {
            TimerWheel.Clear(task.Timer); // it was held; what the engine executes has its own limits where it asks the handler
        }

        switch (task.Responder)
        {
            case Responder.Handler when Backstore.PassLevel == PassLevel.Io:
                BeginTransfer(task);
                break;
            case Responder.Handler:
                BeginPassthrough(task);
                break;
            case Responder.TargetCore when task.Cdb[0] is OperationCode.PersistentReserveOut or OperationCode.ThirdPartyCopyOut or OperationCode.MaintenanceOut:
                BeginControl(task);
                break;
            case Responder.TargetCore:
                task.DataInCapacity = Math.Min(task.ExpectedDataIn, MaxControlBytes);
                PrepareControl(task);
                break;
            default:
                BeginControl(task);
                break;
        }
    }

    /// <summary>A read or write at pass level io: checked here, then passed on as it came.</summary>
    void BeginTransfer(ScsiTask task)
    {
        if (!TryMeasureTransfer(task, out bool isWrite, out ScsiResult refusal))
        {
            Finish(task, refusal);
            return;
        }

        Count(Backstore.DeviceServer.Statistics, task, isWrite);
        if (task.DataOutLength == 0 && task.DataInCapacity == 0)
        {
            Finish(task, ScsiResult.GoodWith(task.DataInWantedByCdb));
            return;
        }

        PrepareForHandler(task);
    }

    internal static void Count(IoStatistics statistics, ScsiTask task, bool isWrite) => statistics.Count(isWrite, isWrite ? task.DataOutWantedByCdb : task.DataInWantedByCdb);

    /// <summary>Whether a read or write is in order; if so how much it moves stands in the task. It looks at nothing that changes while lanes run.</summary>
    internal bool TryMeasureTransfer(ScsiTask task, out bool isWrite, out ScsiResult refusal)
    {
        if (!Backstore.DeviceServer.TryCheckTransfer(task.Cdb, out _, out int length, out isWrite, out bool isDurable, out refusal))
        {
            return false;
        }

        if (isWrite)
        {
            if (isDurable)
            {
                task.ForceUnitAccess(); // without a write cache (WCE = 0) as well as by the CDB
            }

            task.DataOutWantedByCdb = length;
            task.DataOutLength = WholeBlocks(Math.Min(length, task.ExpectedDataOut));
        }
        else
        {
            task.DataInWantedByCdb = length;
            task.DataInCapacity = Math.Min(length, UpToBlock(task.ExpectedDataIn));
        }

        return true;
    }

    void PrepareForHandler(ScsiTask task)
    {
        if (Backstore.IsRefusing)
        {
            Finish(task, Backstore.Refusal);
            return;
        }

        StartTimerUnlessSet(task);

        // Before it gets memory: one that waits for an atomic task must not hold the memory that this one needs to go on.
        if (IsLetIn(task))
        {
            Prepare(task);
        }
    }

    void Prepare(ScsiTask task)
    {
        task.State = TaskState.Preparing;
        Backstore.Prepare(task);
    }

    /// <summary>Whether no other task has the blocks for itself, nor this one, when it is to be atomic, comes in the way of others. If not, it waits.</summary>
    bool IsLetIn(ScsiTask task)
    {
        // At level all the handler has every command, and sees itself to what must be atomic.
        bool isAtomic = Backstore.IsOpen && Backstore.PassLevel == PassLevel.Io && MediumRange.IsAtomic(task.Cdb[0]);
        return (_blocks.IsIdle && !isAtomic) || _blocks.TryStart(task, Tasks);
    }

    void StartTimer(ScsiTask task) => task.Timer.Start(Timers, TimeLimits, NowMs);

    /// <summary>What it has waited for others counts.</summary>
    void StartTimerUnlessSet(ScsiTask task)
    {
        if (!task.Timer.IsSet)
        {
            StartTimer(task);
        }
    }

    /// <summary>Any command at pass level all.</summary>
    void BeginPassthrough(ScsiTask task)
    {
        if (!Describe(task, Backstore.Info.MaxTransferBytes))
        {
            return;
        }

        task.DataInCapacity = Math.Min(task.DataInWantedByCdb, UpToBlock(task.ExpectedDataIn));
        PrepareForHandler(task);
    }

    /// <summary>A command that the engine's device server executes.</summary>
    void BeginControl(ScsiTask task)
    {
        if (!Describe(task, MaxControlBytes))
        {
            return;
        }

        task.DataInCapacity = Math.Min(task.DataInWantedByCdb, task.ExpectedDataIn);
        PrepareControl(task);
    }

    /// <summary>
    /// Works out how many bytes the command moves by its CDB, or by what the initiator announced where the CDB does not tell.
    /// False when that is more than <paramref name="limit"/>: the task is refused then.
    /// </summary>
    bool Describe(ScsiTask task, int limit)
    {
        CdbTransfer transfer = CdbTransfer.Describe(task.Cdb, Backstore.Info.BlockSize);
        long dataOut = transfer.Direction switch
        {
            TransferDirection.Out => transfer.LengthBytes,
            TransferDirection.Unknown => task.ExpectedDataOut,
            _ => 0,
        };
        long dataIn = transfer.Direction switch
        {
            TransferDirection.In => transfer.LengthBytes,
            TransferDirection.Unknown => task.ExpectedDataIn,
            _ => 0,
        };
        // Who brings more than the CDB asks for has meant something else by it: here what would be done with the rest left out is not what was meant.
        if (task.ExpectedDataOut > dataOut && CdbTransfer.MeansAllOfItsData(task.Cdb))
        {
            Finish(task, ScsiResult.Check(SenseData.InvalidFieldInCdb(CdbTransfer.BlockCountOffset(task.Cdb)!.Value)));
            return false;
        }

        if (Math.Min(dataOut, task.ExpectedDataOut) > limit || Math.Min(dataIn, task.ExpectedDataIn) > limit)
        {
            Finish(task, ScsiResult.Check(CdbTransfer.BlockCountOffset(task.Cdb) is { } offset
                ? SenseData.InvalidFieldInCdb(offset)
                : new SenseData(SenseKey.IllegalRequest, AdditionalSense.InvalidFieldInCdb)));
            return false;
        }

        task.DataOutWantedByCdb = (int)Math.Min(dataOut, int.MaxValue);
        task.DataInWantedByCdb = (int)Math.Min(dataIn, int.MaxValue);
        task.DataOutLength = Math.Min(task.DataOutWantedByCdb, task.ExpectedDataOut);
        return true;
    }

    int WholeBlocks(int bytes) => bytes - (bytes % Backstore.Info.BlockSize);

    int UpToBlock(int bytes) => (int)Math.Min(((long)bytes + Backstore.Info.BlockSize - 1) / Backstore.Info.BlockSize * Backstore.Info.BlockSize, int.MaxValue);

    void PrepareControl(ScsiTask task)
    {
        if (_waitingForControlMemory.Count > 0 || !HasControlMemoryFor(task))
        {
            task.State = TaskState.Preparing;
            _waitingForControlMemory.Enqueue(task);
            return;
        }

        GiveControlMemory(task);
    }

    bool HasControlMemoryFor(ScsiTask task) => _controlBytes == 0 || _controlBytes + ControlBytesOf(task) <= ControlBudgetBytes;

    /// <summary>A control command moves data one way; none of them moves it both ways.</summary>
    static int ControlBytesOf(ScsiTask task) => Math.Max(task.DataOutLength, task.DataInCapacity);

    void GiveControlMemory(ScsiTask task)
    {
        int bytes = ControlBytesOf(task);
        if (bytes > 0)
        {
            Memory<byte>[] piece = Target.ControlMemory.Rent(bytes);
            _controlBytes += piece[0].Length;
            task.ControlPiece = piece;
            if (task.DataOutLength > 0)
            {
                task.SetBuffers(new DataBuffer(piece, 1, task.DataOutLength), default);
            }
            else
            {
                task.SetBuffers(default, new DataBuffer(piece, 1, task.DataInCapacity));
            }
        }

        Prepared(task);
    }

    /// <summary>For the backstore: the task has its buffers.</summary>
    public void Prepared(ScsiTask task)
    {
        ArgumentNullException.ThrowIfNull(task);
        if (task.Lane is { } lane)
        {
            lane.Prepared(task);
            return;
        }

        using var alone = new Exclusive(Target.Exclusion);
        if (task.IsUnwanted)
        {
            Discard(task); // about to be dropped; one before it left the room
        }
        else if (task.DataOutLength > 0)
        {
            task.State = TaskState.Collecting;
            TimerWheel.Clear(task.Timer); // the initiator takes its time now, not the handler
            task.Transport.OnDataOutWanted(task);
        }
        else
        {
            Execute(task);
        }
    }

    internal void Execute(ScsiTask task)
    {
        if (task.Responder != Responder.Handler && !IsLetIn(task))
        {
            StartTimer(task); // what it waits for may be another initiator's
            return;
        }

        if (task.Responder == Responder.Handler)
        {
            StartTimerUnlessSet(task);
        }

        Start(task);
    }

    void Start(ScsiTask task)
    {
        task.State = TaskState.Executing;
        TellTokens(task);
        if (task.Attribute > TaskAttribute.Simple || MediumRange.IsAtomic(task.Cdb[0]))
        {
            Backstore.SettleDataIn(); // of reads that have ended before this one and are still being sent
        }

        switch (task.Responder)
        {
            case Responder.Handler when Backstore.IsRefusing:
                Finish(task, Backstore.Refusal); // the handler went while the data came
                break;
            case Responder.Handler:
                BackstoreOf(task).Submit(task);
                break;
            case Responder.TargetCore when task.Cdb[0] == OperationCode.ThirdPartyCopyOut && HasWholeCdb(task):
                task.Abort = new CancellationTokenSource();
                Await(task, Target.Copies.ExecuteAsync(task, task.Abort.Token));
                break;
            case Responder.TargetCore when task.Cdb[0] == OperationCode.PersistentReserveOut && HasWholeCdb(task):
                Await(task, Reservations.ReserveOutAsync(task));
                break;
            case Responder.TargetCore:
                Finish(task, ExecuteInCore(task));
                break;
            default:
                ExecuteHere(task);
                break;
        }
    }

    /// <summary>A command that is about to change blocks, or has done so perhaps: tokens that stand for them as they were are of no use any more.</summary>
    void TellTokens(ScsiTask task)
    {
        if (Tokens.Count > 0 && task.Responder != Responder.TargetCore && MediumRange.MayChange(task.Cdb, Backstore.PassLevel, out MediumRange blocks))
        {
            Target.Tokens.Changed(this, blocks);
        }
    }

    /// <summary>Whether a task that brings data has not brought it yet, and nobody is at work on it.</summary>
    internal static bool IsWithInitiator(ScsiTask task) => task.State is TaskState.Collecting or TaskState.Held or TaskState.Dormant
        || (task.State is TaskState.WaitingForBlocks or TaskState.Preparing && task.Responder == Responder.Handler);

    internal bool TryFailDelivery(ScsiTask task, SenseData sense)
    {
        bool isWithInitiator = IsWithInitiator(task) && (task.State != TaskState.Preparing || BackstoreOf(task).Cancel(task));
        if (isWithInitiator)
        {
            Finish(task, ScsiResult.Check(sense));
        }

        return isWithInitiator;
    }

    ScsiResult ExecuteInCore(ScsiTask task) => task.Cdb[0] switch
    {
        OperationCode.ReportLuns => ReportLuns.Execute(task.Nexus, task.Cdb, task.DataIn),
        OperationCode.RequestSense when task.Nexus.TryGetAttention(Number, clear: true, out ushort code) =>
            PendingSense.Execute(task.Cdb, AttentionSense(code), task.DataIn),
        _ when !HasWholeCdb(task) => ScsiResult.Check(SenseData.InvalidFieldInCdb(0)),
        OperationCode.MaintenanceIn when (task.Cdb[1] & ServiceAction.Mask) == ServiceAction.ReportTargetPortGroups =>
            PortGroupCommands.Report(Target.PortGroup, task.Cdb, task.DataIn),
        OperationCode.MaintenanceOut when task.Nexus.Map is not null => ScsiResult.Check(SenseKey.IllegalRequest, AdditionalSense.NoAccessRights), // it concerns every logical unit
        OperationCode.MaintenanceOut => PortGroupCommands.Set(Target.PortGroup, task.Nexus, task.Cdb, task.DataOut),
        OperationCode.MaintenanceIn => SupportedTaskManagement.Execute(task.Cdb, task.DataIn),
        OperationCode.ThirdPartyCopyIn => CopyResults.Execute(this, task.Nexus, task.Cdb, task.DataIn),
        OperationCode.PersistentReserveIn => Reservations.ReserveIn(task.Nexus, task.Cdb, task.DataIn),
        OperationCode.Reserve6 or OperationCode.Reserve10 or OperationCode.Release6 or OperationCode.Release10 => Reservations.ReserveOrRelease(task.Nexus, task.Cdb),
        _ => ScsiResult.Check(SenseData.InvalidOperationCode),
    };

    static bool HasWholeCdb(ScsiTask task) => task.Cdb.Length >= Cdb.Length(task.Cdb);

    void ExecuteHere(ScsiTask task)
    {
        if (MediumRange.StartsMediumWork(task.Cdb[0]))
        {
            BeginMediumWork(task);
        }
        else
        {
            Await(task, ExecuteHere(task, CancellationToken.None));
        }
    }

    ValueTask<ScsiResult> ExecuteHere(ScsiTask task, CancellationToken aborted) =>
        Backstore.DeviceServer.ExecuteAsync(new DeviceCommand(task.CdbMemory, task.DataOut, task.DataIn, aborted, task.Nexus));

    /// <summary>Once it has begun, the device server refuses who comes to the medium, so those who wait for it can go and be told; and aborting the task does not end the work.</summary>
    void BeginMediumWork(ScsiTask task)
    {
        task.Abort = new CancellationTokenSource();
        ValueTask<ScsiResult> execution = ExecuteHere(task, task.Abort.Token);
        task.HasLetGoOfBlocks = true;
        _blocks.Ended(task);
        _order.LetGo(task);
        Await(task, execution);
        StartWaiting();
    }

    void Await(ScsiTask task, ValueTask<ScsiResult> execution)
    {
        if (execution.IsCompletedSuccessfully)
        {
            Finish(task, execution.Result);
        }
        else
        {
            FinishLater(task, execution);
        }
    }

    /// <summary>
    /// What the device server has not done at once goes on as the handler answers; all on the owning thread, since that is where answers are reaped.
    /// What goes wrong once the command is done, here or in the transport, is not kept in a task that nobody looks at.
    /// </summary>
    static void FinishLater(ScsiTask task, ValueTask<ScsiResult> execution)
    {
        task.Execution = execution;
        execution.ConfigureAwait(false).GetAwaiter().UnsafeOnCompleted(task.ExecutionEnded);
    }

    /// <summary>The device server has done a task.</summary>
    internal void FinishExecuted(ScsiTask task)
    {
        using var alone = new Exclusive(Target.Exclusion);
        ValueTask<ScsiResult> execution = task.Execution;
        task.Execution = default;
        ScsiResult result;
        try
        {
            result = execution.GetAwaiter().GetResult();
        }
        catch (OperationCanceledException)
        {
            result = ScsiResult.Check(SenseKey.AbortedCommand, AdditionalSense.None);
        }
#pragma warning disable CA1031 // a broken promise of the device: it costs this command, not the reactor
        catch (Exception)
#pragma warning restore CA1031
        {
            result = ScsiResult.Check(SenseKey.HardwareError, AdditionalSense.InternalTargetFailure);
        }

        Finish(task, result);
    }

    /// <summary>For the backstore: the handler has answered a submitted task.</summary>
    /// <param name="task">The task.</param>
    /// <param name="status">The handler's status.</param>
    /// <param name="sense">The handler's sense data, cut to its length; empty without.</param>
    /// <param name="dataInLength">
    /// How many bytes of Data-In there are, or -1 for as many as the command asked for if the status is GOOD, none otherwise. Data can come with sense data:
    /// a short block, a recovered error.
    /// </param>
    public void HandlerAnswered(ScsiTask task, ScsiStatus status, ReadOnlySpan<byte> sense, int dataInLength)
    {
        ArgumentNullException.ThrowIfNull(task);
        if (task.Lane is { } lane)
        {
            lane.HandlerAnswered(task, status, sense, dataInLength);
            return;
        }

        using var alone = new Exclusive(Target.Exclusion);
        if (dataInLength < 0)
        {
            dataInLength = status == ScsiStatus.Good ? task.DataInWantedByCdb : 0;
        }

        if (status == ScsiStatus.Good && ChangedByHandler.AttentionFor(task.Cdb, task.DataOutLength > 0) is not AdditionalSense.None and ushort attention)
        {
            HandlerChangedSettings(task, attention);
        }

        if (Backstore.PassLevel == PassLevel.Io && !sense.IsEmpty && SenseData.IsDescriptorFormat(sense) != UsesDescriptorSense)
        {
            // The handler does not know what the Control mode page says.
            task.SetOutcome(new ScsiResult(status, SenseData.Parse(sense), dataInLength));
        }
        else
        {
            task.SetOutcome(status, sense, dataInLength);
        }

        Finish(task);
    }

    /// <summary>D_SENSE: whether sense data goes with a status in descriptor format. SPC-4 clause 7.5.8.</summary>
    internal bool UsesDescriptorSense => Backstore.IsOpen && Backstore.DeviceServer.Control.DescriptorSense;

    /// <summary>A command at level all has changed what others are to know of; and what a MODE SELECT says of the Control page holds here too.</summary>
    void HandlerChangedSettings(ScsiTask task, ushort attention)
    {
        if (attention == AdditionalSense.ModeParametersChanged)
        {
            byte[] list = new byte[task.DataOutLength];
            task.DataOut.CopyTo(list);
            Backstore.DeviceServer.FollowModeSelect(task.Cdb, list);
        }

        Target.Establish(this, attention, except: task.Nexus);
    }

    /// <summary>For the backstore: the task cannot be executed.</summary>
    public void HandlerFailed(ScsiTask task, ScsiResult result)
    {
        ArgumentNullException.ThrowIfNull(task);
        if (task.Lane is { } lane)
        {
            lane.Failed(task, result);
            return;
        }

        using var alone = new Exclusive(Target.Exclusion);
        Finish(task, result);
    }

    /// <summary>For the backstore: size and pass level are known now; the tasks that came before are begun.</summary>
    public void Opened()
    {
        ListenToDeviceServer();
        Lanes.ForEach(static lane => lane.Opened());
        _scratch.Clear();
        foreach (ScsiTask task in Tasks)
        {
            if (task.State == TaskState.Held)
            {
                _scratch.Add(task);
            }
        }

        foreach (ScsiTask task in _scratch)
        {
            if (task.State == TaskState.Held)
            {
                Route(task);
            }
        }
    }

    /// <summary>
    /// For the backstore: another handler answers everything itself, from its own beginnings. What a MODE SELECT had set is no more, and every nexus is told.
    /// </summary>
    public void HandlerStartedAnew()
    {
        if (Backstore.DeviceServer.Control != ControlSettings.Default)
        {
            Backstore.DeviceServer.Reset();
            Target.Establish(this, AdditionalSense.ModeParametersChanged);
        }
    }

    /// <summary>A LOGICAL UNIT RESET, or a reset of the target: what is the logical unit's own is as after power on. SAM-5 clause 6.3.3.</summary>
    internal void WasReset()
    {
        Reservations.WasReset();
        _aca.Clear();
        Target.EndBackgroundCopies(this, static _ => true);
        Target.ForgetCopiesOf(this);
        if (Backstore.IsOpen)
        {
            Backstore.DeviceServer.Reset();
        }
    }

    /// <summary>For the backstore: the device has another size now. Every nexus is told: CAPACITY DATA HAS CHANGED. SBC-3 clause 4.7.</summary>
    public void CapacityChanged()
    {
        LostData();
        Target.Establish(this, AdditionalSense.CapacityDataChanged);
    }

    /// <summary>For the backstore: the blocks may hold something else now, though no command has changed them.</summary>
    public void LostData() => Target.Tokens.Changed(this, MediumRange.All);

    /// <summary>What a command changed in the device, every other nexus is told.</summary>
    void ListenToDeviceServer() => Backstore.DeviceServer.AttentionRaised = (code, sender) => Target.Establish(this, code, except: sender as Nexus);

    void Finish(ScsiTask task, ScsiResult result)
    {
        task.SetOutcome(result);
        Finish(task);
    }

    void Finish(ScsiTask task)
    {
        if (task.IsUnwanted)
        {
            Discard(task);
            return;
        }

        if (task.Status == ScsiStatus.CheckCondition && !task.IsOfCopyManager)
        {
            Failed(task);
        }
        else if (task.Cdb[0] == OperationCode.Inquiry && task.Status == ScsiStatus.Good)
        {
            PortGroupInquiry.Complete(task, Target.PortGroup);
        }
        else if (task.Cdb[0] is OperationCode.ModeSense6 or OperationCode.ModeSense10 && task.Status == ScsiStatus.Good && task.Nexus.MayOnlyRead(Number))
        {
            ReadOnlyAccess.SetWriteProtected(task);
        }

        Complete(task);
        StartWaiting();
    }

    void Complete(ScsiTask task)
    {
        Leave(task);
        task.State = TaskState.Completed;
        task.Transport.OnCompleted(task);
    }

    /// <summary>What CHECK CONDITION means for other tasks. SAM-5 clause 5.10.1; QERR: SPC-4 clause 7.5.8.</summary>
    void Failed(ScsiTask task)
    {
        ControlSettings control = Control;
        _aca.Failed(task, control.TaskSetPerNexus);
        if (control.QueueError != QueueErrorManagement.GoOn && TaskCount > 1)
        {
            bool onlyOwn = control.TaskSetPerNexus || control.QueueError == QueueErrorManagement.AbortOwn;
            ScsiTarget.AbortOthersOf(task, this, onlyOwn);
        }
    }

    /// <summary>CLEAR ACA, a lost nexus or one that was preempted: its auto contingent allegiance is over, if there is one.</summary>
    internal bool ClearAca(Nexus nexus) => _aca.Clear(nexus);

    void Leave(ScsiTask task)
    {
        if (task.State == TaskState.Executing)
        {
            TellTokens(task); // of those that were made while it was under way
        }

        WatchThresholds();
        TimerWheel.Clear(task.Timer);
        Tasks.Remove(task.Place);
        if (!_blocks.IsIdle)
        {
            _blocks.Ended(task);
        }

        if (!_order.IsIdle)
        {
            _order.Left(task);
        }
    }

    /// <summary>The device has got commands: soon its thresholds are looked at, if an initiator wants to hear of them.</summary>
    internal void WatchThresholds()
    {
        if (Backstore is { IsOpen: true, DeviceServer.WatchesThresholds: true } && !_thresholdTimer.IsSet)
        {
            Timers.Set(_thresholdTimer, NowMs + ThresholdCheckMs);
        }
    }

    /// <summary>Something that others may have waited for has ended.</summary>
    internal void StartWaiting()
    {
        if (_isStartingWaiting || (_blocks.IsIdle && _order.IsIdle))
        {
            return; // one that ends as soon as it starts comes here again: the loop below goes on with the next
        }

        _isStartingWaiting = true;
        while (true)
        {
            if (!_blocks.IsIdle && _blocks.TryTakeReady(Tasks, out ScsiTask ready))
            {
                StartWithBlocks(ready);
            }
            else if (!_order.IsIdle && _order.TryTakeReady(Tasks, IsSetPerNexus, out ready))
            {
                Enable(ready);
            }
            else
            {
                break;
            }
        }

        _isStartingWaiting = false;
    }

    void StartWithBlocks(ScsiTask ready)
    {
        if (ready.Responder != Responder.Handler)
        {
            TimerWheel.Clear(ready.Timer);
            Start(ready);
        }
        else if (Backstore.IsRefusing)
        {
            Finish(ready, Backstore.Refusal);
        }
        else if (Backstore.PassLevel == PassLevel.Io
            && !Backstore.DeviceServer.TryCheckTransfer(ready.Cdb, out _, out _, out _, out _, out ScsiResult refusal))
        {
            Finish(ready, refusal); // what it waited for has changed what it may do
        }
        else
        {
            Prepare(ready);
        }
    }

    /// <summary>The last step of every task: its memory goes back.</summary>
    internal void Release(ScsiTask task)
    {
        if (task.ControlPiece is { } piece)
        {
            task.ControlPiece = null;
            _controlBytes -= piece[0].Length;
            Target.ControlMemory.Return(piece);
            ServeWaitingForControlMemory();
        }
        else if (task.BackstoreState is not null)
        {
            BackstoreOf(task).Release(task);
        }
    }

    void ServeWaitingForControlMemory()
    {
        while (_waitingForControlMemory.TryPeek(out ScsiTask? next))
        {
            if (!next.IsUnwanted && !HasControlMemoryFor(next))
            {
                return;
            }

            _waitingForControlMemory.Dequeue();
            if (next.IsUnwanted)
            {
                Discard(next);
            }
            else
            {
                GiveControlMemory(next);
            }
        }
    }

    // ---- the end of a task that nobody waits for ----

    /// <summary>
    /// Nobody waits for the task any more. Of several tasks this is said of all before the first is dropped: the room that it leaves must not set another
    /// going that is about to be dropped too.
    /// </summary>
    internal static void Disown(ScsiTask task, DisownedTask told)
    {
        bool isKnown = !task.IsUnwanted || task.EndsWithTaskAborted; // to the transport
        task.EndsWithTaskAborted = told == DisownedTask.EndsWithStatus && isKnown;
        task.IsUnwanted = true;
        if (isKnown && (told == DisownedTask.EndsAtOnce || (told == DisownedTask.EndsInSilence && task.IsOfCopyManager)))
        {
            task.Transport.OnAborted(task);
        }
    }

    /// <summary>
    /// Ends a disowned task, at once or, when the device is at work on it, once that has let go of it: the requests in <see cref="ScsiTask.AbortedBy"/> are
    /// told at that time.
    /// </summary>
    internal void Drop(ScsiTask task)
    {
        switch (task.State)
        {
            case TaskState.Held:
            case TaskState.Collecting:
            case TaskState.WaitingForBlocks:
            case TaskState.Dormant:
                Discard(task);
                break;
            case TaskState.Preparing when task.Responder != Responder.Handler:
                break; // comes up in ServeWaitingForControlMemory
            case TaskState.Preparing or TaskState.Executing when task.Responder == Responder.Handler && BackstoreOf(task).Cancel(task):
                Discard(task);
                break;
            default:
                _blocks.Orphaned(task); // comes up in Finish
                task.Abort?.Cancel(); // perhaps at once
                break;
        }
    }

    void Discard(ScsiTask task)
    {
        List<TaskManagementRequest>? waiting = task.AbortedBy;
        task.AbortedBy = null;
        if (task.EndsWithTaskAborted)
        {
            task.SetOutcome(ScsiResult.With(ScsiStatus.TaskAborted));
            Complete(task);
        }
        else
        {
            Leave(task);
            Target.Release(task);
        }

        if (waiting is not null)
        {
            foreach (TaskManagementRequest request in waiting)
            {
                ScsiTarget.OneLess(request);
            }
        }

        StartWaiting();
    }

    // ---- deadlines ----

    /// <summary>The task takes long; only those that wait for the handler have a timer, and the backstore is the one to know what to say.</summary>
    internal void IsLate(ScsiTask task, TaskLateness lateness, long ageMs)
    {
        if (task.State != TaskState.Held)
        {
            BackstoreOf(task).IsLate(task, lateness, ageMs);
        }
    }

    /// <summary>The task has been with the backstore for longer than <see cref="CommandTimeoutMs"/>: it fails with 02/08/00, as in the kernel.</summary>
    internal void IsOverdue(ScsiTask task)
    {
        if (task.State is TaskState.Preparing or TaskState.WaitingForBlocks or TaskState.Executing)
        {
            BackstoreOf(task).Abandon(task);
        }

        Finish(task, ScsiResult.Check(SenseKey.NotReady, AdditionalSense.CommunicationFailure));
    }

    // ---- thresholds of a thin disk ----

    /// <summary>Void: what goes wrong here is nobody's command; the next check comes with the next one.</summary>
    async void CheckThresholds()
    {
        if (_isCheckingThresholds || !Backstore.IsOpen || Backstore.IsRefusing)
        {
            return; // while there is no handler, one question waits for the next and no more
        }

        _isCheckingThresholds = true;
        try
        {
            await Backstore.DeviceServer.CheckThresholdsAsync();
        }
#pragma warning disable CA1031 // a device that cannot tell
        catch (Exception)
#pragma warning restore CA1031
        {
            // it is asked again
        }
        finally
        {
            _isCheckingThresholds = false;
        }
    }

    sealed class ThresholdTimer(LogicalUnit unit) : WheelTimer
    {
        protected internal override void Due(long nowMs) => unit.CheckThresholds();
    }
}
