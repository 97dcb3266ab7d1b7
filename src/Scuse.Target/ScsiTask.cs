using System.Buffers.Binary;
using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>
/// One SCSI command from its arrival to the end of its answer. Pooled: rented with <see cref="ScsiTarget.Rent(Scuse.Target.Nexus)"/>, given back with <see cref="Release"/>.
/// </summary>
/// <remarks>
/// The transport sets the request part and calls <see cref="ScsiTarget.Begin"/>; the core sets the rest. Everything here is touched only
/// by the thread that owns the nexus.
/// </remarks>
public sealed class ScsiTask
{
    /// <summary>The longest CDB taken: 16 bytes in the command PDU and up to 244 in an additional header segment. SPC-4 clause 4.3.1.</summary>
    public const int MaxCdbLength = 260;

    /// <summary>The most sense data a command returns. SPC-4 clause 4.5.1.</summary>
    public const int MaxSenseLength = 252;

    readonly byte[] _sense = new byte[MaxSenseLength];

    byte[] _cdb = new byte[16];
    int _cdbLength;

    internal ScsiTask(ScsiTarget target)
    {
        Target = target;
        Place = new LinkedListNode<ScsiTask>(this);
        Timer = new TaskTimer(this);
    }

    // ---- the request: set by the transport before Begin ----

    /// <summary>The target the task belongs to.</summary>
    public ScsiTarget Target { get; }

    /// <summary>Where the task's answer goes.</summary>
    public ITaskTransport Transport { get; set; } = null!;

    /// <summary>The transport's own record of the task.</summary>
    public object? TransportState { get; set; }

    /// <summary>Who sent the command.</summary>
    public Nexus Nexus { get; set; } = null!;

    /// <summary>The logical unit number, as the eight bytes on the wire, big-endian.</summary>
    public ulong Lun { get; set; }

    /// <summary>The initiator's tag for the task, for messages.</summary>
    public uint Tag { get; set; }

    /// <summary>The ordering asked for.</summary>
    public TaskAttribute Attribute { get; set; }

    /// <summary>How many bytes the initiator will send with the command at most. Zero for a command that sends none.</summary>
    public int ExpectedDataOut { get; set; }

    /// <summary>How many bytes the initiator has room for. Zero for a command that returns none.</summary>
    public int ExpectedDataIn { get; set; }

    /// <summary>
    /// Whether the transport sends the bytes of Data-In just as they are when it gets to them, each once: then they may lie where a device goes on writing, and
    /// <see cref="ITaskTransport.OnDataInMoved"/> may come. Not with a sum over them, nor when they may have to be sent again.
    /// </summary>
    public bool TakesDataInWhereItLies { get; set; }

    /// <summary>The CDB.</summary>
    public ReadOnlySpan<byte> Cdb => _cdb.AsSpan(0, _cdbLength);

    /// <summary>The CDB; valid until the task is released.</summary>
    public ReadOnlyMemory<byte> CdbMemory => _cdb.AsMemory(0, _cdbLength);

    /// <summary>Copies the CDB in. A longer CDB than <see cref="MaxCdbLength"/> is cut.</summary>
    public void SetCdb(ReadOnlySpan<byte> first, ReadOnlySpan<byte> extended = default)
    {
        int length = Math.Min(first.Length + extended.Length, MaxCdbLength);
        if (_cdb.Length < length)
        {
            _cdb = new byte[MaxCdbLength];
        }

        _cdbLength = length;
        first = first[..Math.Min(first.Length, length)];
        first.CopyTo(_cdb);
        extended[..(length - first.Length)].CopyTo(_cdb.AsSpan(first.Length));
    }

    /// <summary>Has a WRITE be answered only when its data is durable: sets FUA. A WRITE(6), which has no such bit, becomes a WRITE(10). SBC-3 clause 5.32.</summary>
    internal void ForceUnitAccess()
    {
        const byte fua = 0x08;
        if (_cdb[0] == OperationCode.Write6)
        {
            BlockTransferCdb write = BlockTransferCdb.Parse(Cdb);
            byte control = _cdb[5];
            _cdbLength = 10;
            _cdb.AsSpan(0, _cdbLength).Clear();
            _cdb[0] = OperationCode.Write10;
            BinaryPrimitives.WriteUInt32BigEndian(_cdb.AsSpan(2), (uint)write.Lba);
            BinaryPrimitives.WriteUInt16BigEndian(_cdb.AsSpan(7), (ushort)write.BlockCount);
            _cdb[9] = control;
        }

        _cdb[1] |= fua;
    }

    // ---- what the core answers the transport with ----

    /// <summary>How many bytes the device takes: the transport brings exactly these, and skips what the initiator sends beyond.</summary>
    public int DataOutLength { get; internal set; }

    /// <summary>Where the data from the initiator goes; at least <see cref="DataOutLength"/> bytes once it was wanted.</summary>
    public DataBuffer DataOut { get; private set; }

    /// <summary>The data for the initiator; its first min(<see cref="DataInLength"/>, <see cref="ExpectedDataIn"/>) bytes are sent.</summary>
    public DataBuffer DataIn { get; private set; }

    /// <summary>
    /// How many bytes the command returns. Less than <see cref="ExpectedDataIn"/> is a residual underflow, more a residual overflow.
    /// </summary>
    public int DataInLength { get; internal set; }

    /// <summary>
    /// How many bytes the command takes by its CDB, which may exceed <see cref="ExpectedDataOut"/>: then the difference is a residual overflow;
    /// less is a residual underflow.
    /// </summary>
    public int DataOutWantedByCdb { get; internal set; }

    /// <summary>The command's status.</summary>
    public ScsiStatus Status { get; internal set; }

    /// <summary>The sense data; empty unless there is some.</summary>
    public ReadOnlySpan<byte> Sense => _sense.AsSpan(0, SenseLength);

    /// <summary>The length of <see cref="Sense"/>.</summary>
    public int SenseLength { get; internal set; }

    /// <summary>Gives the task and its memory back. The transport calls it once, after <see cref="ITaskTransport.OnCompleted"/>.</summary>
    public void Release() => Target.Release(this);

    // ---- between the core and the backstore ----

    /// <summary>How much room the device needs for the data it returns, in bytes.</summary>
    public int DataInCapacity { get; internal set; }

    /// <summary>The backstore's own record of the task.</summary>
    public object? BackstoreState { get; set; }

    /// <summary>The logical unit the task is for; null for a number that has none.</summary>
    public LogicalUnit? LogicalUnit { get; internal set; }

    /// <summary>Sets where the data goes; for the backstore, in <see cref="IBackstore.Prepare"/>.</summary>
    public void SetBuffers(DataBuffer dataOut, DataBuffer dataIn)
    {
        DataOut = dataOut;
        DataIn = dataIn;
    }

    // ---- the core's own; touched only by the owning thread ----

    /// <summary>Whether it goes its way without meeting another thread.</summary>
    public bool IsOnLane => Lane is not null;

    /// <summary>The lane that the task is on from beginning to end; null when it is in its logical unit's own task set.</summary>
    internal UnitLane? Lane { get; set; }

    /// <summary>The lane's backstore that was asked to prepare it; null: nobody was, or the logical unit's own.</summary>
    public IBackstore? Backstore { get; internal set; }

    internal TaskState State { get; set; }

    internal Responder Responder { get; set; }

    /// <summary>Nobody waits for the answer: the task was aborted, or its nexus is gone.</summary>
    public bool IsUnwanted { get; internal set; }

    /// <summary>What aborted it was another nexus's doing, and its own is to hear of it (TAS): TASK ABORTED, once the device has let go of the task.</summary>
    internal bool EndsWithTaskAborted { get; set; }

    /// <summary>The management functions that wait until the device has let go of this task.</summary>
    internal List<TaskManagementRequest>? AbortedBy { get; set; }

    /// <summary>When the task arrived, on the owner's clock.</summary>
    public long ArrivedMs { get; internal set; }

    /// <summary>The watch over the task while it waits for the handler.</summary>
    internal TaskTimer Timer { get; }

    /// <summary>How many bytes the command returns by its CDB.</summary>
    internal int DataInWantedByCdb { get; set; }

    internal Memory<byte>[]? ControlPiece { get; set; }

    /// <summary>What the device server is still at.</summary>
    internal ValueTask<ScsiResult> Execution { get; set; }

    /// <summary>What to do when <see cref="Execution"/> has ended; made once for all that the task will be.</summary>
    internal Action ExecutionEnded => field ??= () => LogicalUnit!.FinishExecuted(this);

    /// <summary>A read or write of the copy manager's, on behalf of the nexus: it reports no unit attention, takes no part in the order of tasks, and its failure is the copy's alone.</summary>
    internal bool IsOfCopyManager { get; set; }

    /// <summary>What tells the device server that the task is aborted; for the few commands that may take longer than an abort can wait.</summary>
    internal CancellationTokenSource? Abort { get; set; }

    /// <summary>It has begun to have the whole medium written, which goes on without it, and from which the device server keeps others off.</summary>
    internal bool HasLetGoOfBlocks { get; set; }

    /// <summary>The task's place in its logical unit's task set.</summary>
    internal LinkedListNode<ScsiTask> Place { get; }

    internal void SetOutcome(ScsiResult result)
    {
        Status = result.Status;
        DataInLength = result.DataInLength;
        SenseLength = result.Status != ScsiStatus.CheckCondition ? 0
            : LogicalUnit is { UsesDescriptorSense: true } ? result.Sense.WriteDescriptor(_sense)
            : result.Sense.WriteFixed(_sense);
    }

    internal void SetOutcome(ScsiStatus status, ReadOnlySpan<byte> sense, int dataInLength)
    {
        Status = status;
        DataInLength = dataInLength;
        sense = sense[..Math.Min(sense.Length, MaxSenseLength)];
        sense.CopyTo(_sense);
        SenseLength = sense.Length;
    }

    internal void Reset()
    {
        Transport = null!;
        TransportState = null;
        Nexus = null!;
        Attribute = TaskAttribute.Untagged;
        LogicalUnit = null;
        Lane = null;
        Backstore = null;
        BackstoreState = null;
        SetBuffers(default, default);
        DataOutLength = DataInLength = DataInCapacity = DataOutWantedByCdb = DataInWantedByCdb = 0;
        ExpectedDataIn = ExpectedDataOut = 0;
        TakesDataInWhereItLies = false;
        Status = ScsiStatus.Good;
        SenseLength = 0;
        IsUnwanted = EndsWithTaskAborted = false;
        AbortedBy = null;
        Abort = null;
        HasLetGoOfBlocks = IsOfCopyManager = false;
        State = TaskState.Idle;
    }
}

/// <summary>Where a task is on its way.</summary>
enum TaskState
{
    /// <summary>In the pool, or not begun.</summary>
    Idle,

    /// <summary>Waits for tasks that go before it. SAM-5 clause 8.5.4.</summary>
    Dormant,

    /// <summary>Waits until the backstore is open.</summary>
    Held,

    /// <summary>Waits for room for its data.</summary>
    Preparing,

    /// <summary>The transport brings its data.</summary>
    Collecting,

    /// <summary>Waits until it, or another task, can have blocks of the medium for itself.</summary>
    WaitingForBlocks,

    /// <summary>The device is at work on it.</summary>
    Executing,

    /// <summary>It has its status; the transport sends it.</summary>
    Completed,
}
