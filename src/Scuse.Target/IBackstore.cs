using Scuse.Device;
using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>
/// What stands behind a logical unit: finds memory for a task's data and has the task executed. The user backstore of the engine is one.
/// </summary>
/// <remarks>
/// All calls come on the thread that owns the logical unit; the backstore answers on that thread through the <see cref="LogicalUnit"/>
/// it was given in <see cref="Bind"/>, from inside the call or later.
/// </remarks>
public interface IBackstore
{
    /// <summary>Tells the backstore whom to answer. Called once, before anything else.</summary>
    void Bind(LogicalUnit logicalUnit);

    /// <summary>
    /// Whether size and pass level are known. Until then the logical unit keeps its tasks; the backstore calls <see cref="LogicalUnit.Opened"/>.
    /// </summary>
    bool IsOpen { get; }

    /// <summary>
    /// Whether commands that need the handler end at once with <see cref="Refusal"/>, because there is none and they are not to wait for the next.
    /// </summary>
    bool IsRefusing { get; }

    /// <summary>What commands end with while <see cref="IsRefusing"/>.</summary>
    ScsiResult Refusal { get; }

    /// <summary>How much goes to the handler.</summary>
    PassLevel PassLevel { get; }

    /// <summary>The device server over this backstore's device. Usable once <see cref="IsOpen"/>.</summary>
    DeviceServer DeviceServer { get; }

    /// <summary>Size, shape and identity of the device. Usable once <see cref="IsOpen"/>.</summary>
    BlockDeviceInfo Info { get; }

    /// <summary>
    /// Finds room for <see cref="ScsiTask.DataOutLength"/> and <see cref="ScsiTask.DataInCapacity"/> bytes that the handler can reach, sets the
    /// task's buffers and calls <see cref="LogicalUnit.Prepared"/>. Tasks that find no room wait in the order they came.
    /// </summary>
    void Prepare(ScsiTask task);

    /// <summary>Has a prepared task executed by the handler; ends in <see cref="LogicalUnit.HandlerAnswered"/>.</summary>
    void Submit(ScsiTask task);

    /// <summary>
    /// Tasks are about to be aborted, or a reset is about to abort those there are, perhaps none: a handler that wants to know is told of it, once, with the
    /// commands it has. <see cref="Cancel"/> follows for each.
    /// </summary>
    void Announce(AbortCause cause, IReadOnlyList<ScsiTask> tasks);

    /// <summary>A task takes long. It may still be answered.</summary>
    void IsLate(ScsiTask task, TaskLateness lateness, long ageMs);

    /// <summary>
    /// The task is not wanted any more. True when the backstore has let go of it; false when the handler is at work on it, then
    /// <see cref="LogicalUnit.HandlerAnswered"/> still comes.
    /// </summary>
    bool Cancel(ScsiTask task);

    /// <summary>
    /// Takes the task away from the handler although it may be at work on it: the task can be answered and released at once, its memory is kept
    /// back until the handler can no longer touch it.
    /// </summary>
    void Abandon(ScsiTask task);

    /// <summary>
    /// A task begins that others can tell by: what earlier ones have read must stay what it was. Data-In that is still where it may change, as
    /// <see cref="ScsiTask.TakesDataInWhereItLies"/> allows, is copied now, and the transports are told with <see cref="ITaskTransport.OnDataInMoved"/>.
    /// </summary>
    void SettleDataIn()
    {
    }

    /// <summary>
    /// The task, which has been prepared, is on its lane no more: what becomes of it is everybody's business from now on, and the backstore says so only where it is alone (<see cref="ITargetExclusion"/>).
    /// </summary>
    void Adopted(ScsiTask task)
    {
    }

    /// <summary>Gives back what <see cref="Prepare"/> found. Called once for each prepared task.</summary>
    void Release(ScsiTask task);
}
