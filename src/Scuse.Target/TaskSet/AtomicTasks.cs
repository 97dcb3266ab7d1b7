namespace Scuse.Target;

/// <summary>
/// Gives a task that must be atomic its blocks for itself: it starts when no task under way touches them, and those that come to touch them wait until it
/// has ended. Who waits holds no memory of the handler's yet, which the atomic task may need to go on. While there is no atomic task this costs one comparison.
/// </summary>
/// <remarks>Touched only by the owning thread.</remarks>
sealed class AtomicTasks
{
    readonly List<ScsiTask> _running = [];
    readonly List<ScsiTask> _waiting = [];

    /// <summary>Whether no task is atomic or waits for one that is.</summary>
    public bool IsIdle => _running.Count == 0 && _waiting.Count == 0;

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
        _running.Remove(task);
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

        foreach (ScsiTask running in _running)
        {
            if (Shares(running, blocks))
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

        _running.Add(task);
        return true;
    }

    /// <summary>Tasks for the handler have been let in before they got memory, all others before they execute.</summary>
    static bool IsUnderWay(ScsiTask task) =>
        task.State == TaskState.Executing || (task.Responder == Responder.Handler && task.State is TaskState.Preparing or TaskState.Collecting);

    static bool Shares(ScsiTask task, in MediumRange blocks) => MediumRange.TryGet(task.Cdb, out MediumRange its) && its.Overlaps(blocks);
}
