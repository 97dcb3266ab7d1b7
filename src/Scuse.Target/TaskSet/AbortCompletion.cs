namespace Scuse.Target;

/// <summary>Waits for tasks that a command has aborted.</summary>
sealed class AbortCompletion : ITaskTransport
{
    readonly TaskCompletionSource _done = new(); // goes on where the last task is let go of, on the owning thread

    public Task Task => _done.Task;

    public void OnTaskManagementCompleted(TaskManagementRequest request, TaskManagementResponse response) => _done.SetResult();

    public void OnDataOutWanted(ScsiTask task) => throw new NotSupportedException();

    public void OnCompleted(ScsiTask task) => throw new NotSupportedException();

    public void OnAborted(ScsiTask task) => throw new NotSupportedException();
}
