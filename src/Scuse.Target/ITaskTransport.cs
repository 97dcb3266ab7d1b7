namespace Scuse.Target;

/// <summary>
/// The side of a transport that the target core calls: SAM-5's transport protocol services for the target port, as seen from the device.
/// </summary>
/// <remarks>All calls come on the thread that owns the nexus, some of them from inside the transport's own call into the core.</remarks>
public interface ITaskTransport
{
    /// <summary>
    /// There is room for the task's data: fill the first <see cref="ScsiTask.DataOutLength"/> bytes of <see cref="ScsiTask.DataOut"/>
    /// from the initiator, then call <see cref="ScsiTarget.DataArrived"/>. Not called for a task that takes no data.
    /// SAM-5 clause 5.4.3.3, Receive Data-Out.
    /// </summary>
    void OnDataOutWanted(ScsiTask task);

    /// <summary>
    /// The task has its status: send Data-In, status and sense, then call <see cref="ScsiTask.Release"/> once none of its memory is needed any more.
    /// It may come without <see cref="OnDataOutWanted"/> before it: what the initiator still sends for the task is then to be skipped.
    /// SAM-5 clause 5.4.2, Send SCSI Command Complete.
    /// </summary>
    void OnCompleted(ScsiTask task);

    /// <summary>
    /// A completed task's <see cref="ScsiTask.DataIn"/> has moved: what is not sent yet is to be taken from where it is now. Only for a task with
    /// <see cref="ScsiTask.TakesDataInWhereItLies"/>.
    /// </summary>
    void OnDataInMoved(ScsiTask task) => throw new NotSupportedException();

    /// <summary>
    /// The task was aborted by task management: nothing is to be sent for it and its memory must not be touched after this call returns.
    /// </summary>
    void OnAborted(ScsiTask task);

    /// <summary>A task management function has ended. SAM-5 clause 7.12, Task Management Function Executed.</summary>
    void OnTaskManagementCompleted(TaskManagementRequest request, TaskManagementResponse response);
}
