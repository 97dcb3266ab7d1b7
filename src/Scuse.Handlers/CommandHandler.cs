using Scuse.Scsi;

namespace Scuse;

/// <summary>A device that answers CDBs itself: for everything that is not a plain disk.</summary>
/// <remarks>
/// Every command comes here but those that the target itself answers: REPORT LUNS, reservations and task management. Threads, tasks and
/// exceptions are as with <see cref="BlockHandler"/>.
/// </remarks>
public abstract class CommandHandler
{
    /// <summary>The device as it was asked for; set before anything else is called, but after the constructor.</summary>
    protected internal DeviceInfo Device { get; internal set; } = new() { Name = "device" };

    /// <summary>Capacity in bytes, for people and tools: a positive multiple of <see cref="BlockSize"/>, even where the word means little.</summary>
    public virtual long SizeBytes => Device.SizeBytes;

    /// <summary>Logical block length in bytes, 512 or 4096; it tells how much data a CDB that counts in blocks moves.</summary>
    public virtual int BlockSize => Device.BlockSize;

    /// <summary>Whether what was written is gone with this process: such a handler is not replaced by another one unless the operator insists.</summary>
    public virtual bool IsVolatile => false;

    /// <summary>
    /// Whether methods may be called on several threads at once. A target that serves one device with several of its threads has a ring from each of them; with true these rings are spread
    /// over the serving threads of this process, and <see cref="ExecuteAsync"/> and <see cref="OnTaskManagementAsync"/> come on up to as many threads, also at the same time; with false they are all on one.
    /// Read when a target attaches. What completes before another call begins is seen by that call, whatever its thread; <see cref="CloseAsync"/> is called when no other call is under way.
    /// </summary>
    public virtual bool IsThreadSafe => false;

    /// <summary>
    /// Whether the target lets go of a command whose buffers are kept (<see cref="CommandResult.KeepBuffers"/>); otherwise its answer waits until they are given
    /// back. Set before the first command comes, and anew when another target takes over.
    /// </summary>
    protected internal bool CanKeepBuffers { get; internal set; }

    /// <summary>The most bytes that one command may move; 0 leaves it to the target.</summary>
    public virtual int MaxTransferBytes => 0;

    /// <summary>Does one command. Its memory is valid until the returned task completes, or as long as <see cref="CommandResult.KeepBuffers"/> holds it.</summary>
    public abstract ValueTask<CommandResult> ExecuteAsync(ScsiCommand command);

    /// <summary>
    /// Tells of task management, LOGICAL UNIT RESET and the like, after the abort tokens of the commands concerned have been set. Commands go on meanwhile;
    /// nothing waits for the returned task but <see cref="CloseAsync"/>. What concerns the whole unit may be told once for each of the target's threads that serve it, with the commands of each.
    /// </summary>
    public virtual ValueTask OnTaskManagementAsync(TaskManagementNotice notice) => ValueTask.CompletedTask;

    /// <summary>Lets go of what was opened, quickly: a successor may be waiting for it. Called once, last, when no command is under way.</summary>
    public virtual ValueTask CloseAsync() => ValueTask.CompletedTask;
}

/// <summary>One command as a <see cref="CommandHandler"/> receives it.</summary>
/// <param name="Cdb">The CDB, cut to the length that its operation code tells.</param>
/// <param name="DataOut">The data that came with the command.</param>
/// <param name="DataIn">
/// Room for the data that goes back. Where the CDB does not tell the direction (<see cref="TransferDirection.Unknown"/>) both buffers are
/// the same memory, and the handler knows which one it is.
/// </param>
/// <param name="Direction">Which way the data goes, as far as the CDB tells.</param>
/// <param name="Aborted">Set when nobody waits for the answer any more. The command is to be answered all the same, the sooner the better.</param>
public readonly record struct ScsiCommand(
    ReadOnlyMemory<byte> Cdb, DataBuffer DataOut, DataBuffer DataIn, TransferDirection Direction, CancellationToken Aborted);

/// <summary>How a command ended.</summary>
public readonly record struct CommandResult
{
    /// <summary>GOOD, with all the Data-In that there is room for.</summary>
    public static CommandResult Good => default;

    /// <summary>The operation code is not known here: the target answers INVALID COMMAND OPERATION CODE (05/20/00).</summary>
    public static CommandResult UnknownOperation => new() { IsUnknownOperation = true };

    /// <summary>The status for the initiator.</summary>
    public ScsiStatus Status { get; init; }

    /// <summary>The sense data for CHECK CONDITION; used when <see cref="SenseBytes"/> is empty.</summary>
    public SenseData Sense { get; init; }

    /// <summary>The sense data for CHECK CONDITION as bytes, at most 96; valid until the task that carries this result has been taken.</summary>
    public ReadOnlyMemory<byte> SenseBytes { get; init; }

    /// <summary>How many bytes of Data-In there are, when that is not all of the buffer. With CHECK CONDITION, so much data goes with the sense data.</summary>
    public int? DataInLength { get; init; }

    /// <summary>
    /// A hold on the command's buffers: the initiator gets its answer, and the memory stays the handler's until the hold is disposed of. Null: the buffers go
    /// with the answer.
    /// </summary>
    public KeptBuffers? KeepBuffers { get; init; }

    /// <summary>Whether the operation code is not known here.</summary>
    public bool IsUnknownOperation { get; init; }

    /// <summary>GOOD, with <paramref name="dataInLength"/> bytes of Data-In.</summary>
    public static CommandResult GoodWith(int dataInLength) => new() { DataInLength = dataInLength };

    /// <summary>CHECK CONDITION.</summary>
    public static CommandResult Check(SenseData sense) => new() { Status = ScsiStatus.CheckCondition, Sense = sense };

    /// <summary>A status without sense data, such as BUSY.</summary>
    public static CommandResult With(ScsiStatus status) => new() { Status = status };
}
