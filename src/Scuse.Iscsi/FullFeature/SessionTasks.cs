using Scuse.Iscsi.Input;

namespace Scuse.Iscsi.FullFeature;

/// <summary>The tasks of one session: their table, their pooled records and their places in the command window.</summary>
/// <remarks>Touched only by the owning reactor.</remarks>
internal sealed class SessionTasks(CommandWindow window, IscsiOptions options, PinnedBufferPool pool, TaskRecords records)
{
    readonly TaskTable _table = new(window.Size + options.MaxImmediateCommands);
    int _immediate;

    public CommandWindow Window => window;

    public int Count => _table.Count;

    /// <summary>How much memory holds data that came before its task had room for it, in bytes.</summary>
    public int StagedBytes { get; private set; }

    public bool HasRoomForImmediate => _immediate < options.MaxImmediateCommands;

    public IscsiTask? Find(uint initiatorTaskTag) => _table.Find(initiatorTaskTag);

    /// <summary>An empty record.</summary>
    public IscsiTask Rent() => records.Rent();

    /// <summary>Makes a task known by its tag, which no other task has.</summary>
    public void Add(IscsiTask task)
    {
        if (!_table.TryAdd(task))
        {
            throw new InvalidOperationException($"the window of {window.Size} commands let a task too many in");
        }

        if (task.Immediate)
        {
            _immediate++;
        }
    }

    /// <summary>The last PDU of the task is made: its tag and its place in the window are free.</summary>
    public void Answered(IscsiTask task)
    {
        Leave(task);
        task.State = IscsiTaskState.Answered;
    }

    /// <summary>Nothing of a completed task is needed any more: gives it back to the core. To be called once.</summary>
    public void Release(IscsiTask task)
    {
        if (task.State != IscsiTaskState.Answered)
        {
            Leave(task);
        }

        Scuse.Target.ScsiTask scsi = task.Scsi;
        Recycle(task);
        scsi.Release(); // may bring calls for other tasks
    }

    /// <summary>One holder less of an answered task; with the last one it is released.</summary>
    public void LetGo(IscsiTask task)
    {
        if (--task.Holders == 0 && task.State == IscsiTaskState.Answered)
        {
            Release(task);
        }
    }

    /// <summary>The answer of a completed task is not to be sent any more: it is released, as soon as nobody holds it.</summary>
    public void Abandon(IscsiTask task)
    {
        Answered(task);
        if (task.Holders == 0)
        {
            Release(task);
        }
    }

    /// <summary>The core has ended the task without an answer: forgets it.</summary>
    public void Forget(IscsiTask task)
    {
        Leave(task);
        task.Scsi.TransportState = null;
        Recycle(task);
    }

    /// <summary>The buffer that holds a task's data before the device takes it.</summary>
    public byte[] StagingOf(IscsiTask task, int lengthBytes)
    {
        if (task.Staging is not { } staging)
        {
            task.Staging = staging = pool.Rent(lengthBytes);
            StagedBytes += staging.Length;
        }

        return staging;
    }

    /// <summary>Gives that buffer back.</summary>
    public void DropStaging(IscsiTask task)
    {
        if (task.Staging is { } staging)
        {
            task.Staging = null;
            StagedBytes -= staging.Length;
            pool.Return(staging);
        }
    }

    /// <summary>A copy of the tasks. Rare work: it allocates.</summary>
    public List<IscsiTask> Snapshot() => _table.ToList();

    void Leave(IscsiTask task)
    {
        if (!_table.Remove(task))
        {
            return;
        }

        if (task.Immediate)
        {
            _immediate--;
        }
        else if (task.State != IscsiTaskState.Held)
        {
            window.TaskEnded();
        }
    }

    void Recycle(IscsiTask task)
    {
        DropStaging(task);
        task.Reset();
        records.Return(task);
    }
}
