namespace Scuse.Target;

/// <summary>
/// Keeps tasks off blocks that another one has for itself. That is a task that must be atomic: it starts when no task under way touches its blocks, and those
/// that come to touch them wait until it has ended. And it is a write that nobody waits for any more and that the device has not let go of yet: who lost its
/// session and writes again must not find the old write on top of the new one. Who waits holds no memory of the handler's yet, which the other may need to go on.
/// While there is neither this costs one comparison.
/// </summary>
/// <remarks>Touched only by the owning thread.</remarks>
sealed class BlockGuard
{
    readonly List<ScsiTask> _owners = [];
    readonly List<ScsiTask> _waiting = [];

    /// <summary>Whether no task has blocks for itself or waits for some.</summary>
    public bool IsIdle => _owners.Count == 0 && _waiting.Count == 0;

    /// <summary>The device is at work on the task although nobody waits for it: what it may still write is its own until it has ended.</summary>
    public void Orphaned(ScsiTask task)
    {
        if (MediumRange.Writes(task.Cdb) && !task.HasLetGoOfBlocks && !_owners.Contains(task))
        {
            _owners.Add(task);
        }
    }

    /// <summary>Whether the task may start; if not, it waits, and comes back from <see cref="TryTakeReady"/> in its turn.</summary>
    /// <param name="task">The task, in no state to be executed yet.</param>
    /// <param name="tasks">The task set.</param>
    public bool TryStart(ScsiTask task, LinkedList<ScsiTask> tasks)
    {
        if (MayStart(task, _waiting.Count, tasks))
        {
            return true;
        }

        task.State = TaskState.WaitingForBlocks;
        _waiting.Add(task);
        return false;
    }

    /// <summary>The next waiting task whose blocks are free now.</summary>
    public bool TryTakeReady(LinkedList<ScsiTask> tasks, out ScsiTask ready)
    {
        for (int i = 0; i < _waiting.Count; i++)
        {
            ready = _waiting[i];
            if (MayStart(ready, i, tasks))
            {
                _waiting.RemoveAt(i);
                return true;
            }
        }

        ready = null!;
        return false;
    }

    /// <summary>The task has ended, or is not wanted any more: others may be able to start now.</summary>
    public void Ended(ScsiTask task)
    {
        _owners.Remove(task);
        _waiting.Remove(task);
    }

    // Who waits already goes first, where they share blocks: so nobody waits for ever.
    bool MayStart(ScsiTask task, int waitingBefore, LinkedList<ScsiTask> tasks)
    {
        if (!MediumRange.TryGet(task.Cdb, out MediumRange blocks))
        {
            return true;
        }

        for (int i = 0; i < waitingBefore; i++)
        {
            if (Shares(_waiting[i], blocks))
            {
                return false;
            }
        }

        foreach (ScsiTask owner in _owners)
        {
            if (Shares(owner, blocks))
            {
                return false;
            }
        }

        if (!MediumRange.IsAtomic(task.Cdb[0]))
        {
            return true;
        }

        foreach (ScsiTask other in tasks)
        {
            if (IsUnderWay(other) && Shares(other, blocks))
            {
                return false;
            }
        }

        _owners.Add(task);
        return true;
    }

    /// <summary>Tasks for the handler have been let in before they got memory, all others before they execute.</summary>
    static bool IsUnderWay(ScsiTask task) =>
        (task.State == TaskState.Executing && !task.HasLetGoOfBlocks) || (task.Responder == Responder.Handler && task.State is TaskState.Preparing or TaskState.Collecting);

    static bool Shares(ScsiTask task, in MediumRange blocks) => MediumRange.TryGet(task.Cdb, out MediumRange its) && its.Overlaps(blocks);
}
