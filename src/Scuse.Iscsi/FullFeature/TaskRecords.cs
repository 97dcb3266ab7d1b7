namespace Scuse.Iscsi.FullFeature;

/// <summary>The records of tasks that are no more, for all sessions of a server: a session that once had many under way does not keep them.</summary>
/// <remarks>Touched only by the owning reactor.</remarks>
internal sealed class TaskRecords(int maxOutstandingR2T)
{
    /// <summary>How many are kept for the next tasks; less than a kilobyte each.</summary>
    const int MaxSpare = 16384;

    readonly Stack<IscsiTask> _spare = new();

    /// <summary>An empty record.</summary>
    public IscsiTask Rent() => _spare.TryPop(out IscsiTask? task) ? task : new IscsiTask { R2Ts = new OpenR2T[maxOutstandingR2T] };

    /// <summary>Takes one back that was reset.</summary>
    public void Return(IscsiTask task)
    {
        if (_spare.Count < MaxSpare)
        {
            _spare.Push(task);
        }
    }
}
