namespace Scuse.Target;

/// <summary>
/// Which tasks go before which: the task attributes of SAM-5 clause 8.6. An ORDERED task starts when all older ones have ended; a SIMPLE one when all
/// older ORDERED ones have; both when there is no HEAD OF QUEUE task left, which itself starts at once. Who waits is dormant (clause 8.5.4): it holds
/// neither memory nor blocks, so that nothing it waits for can wait for it. While there are SIMPLE tasks only this costs one comparison.
/// </summary>
/// <remarks>Touched only by the owning thread.</remarks>
/// <param name="aca">Which task sets stand still.</param>
sealed class TaskOrder(AcaConditions aca)
{
    int _ordering; // tasks that are not SIMPLE
    int _headOfQueue;
    int _dormant;

    /// <summary>Whether there is no task but SIMPLE ones, none of which waits.</summary>
    public bool IsIdle => _ordering == 0 && _dormant == 0;

    /// <summary>A task has come that is not SIMPLE.</summary>
    public void Entered(ScsiTask task)
    {
        _ordering++;
        _headOfQueue += task.Attribute == TaskAttribute.HeadOfQueue ? 1 : 0;
    }

    /// <summary>A task has left the task set; others may be able to start now.</summary>
    public void Left(ScsiTask task)
    {
        if (task.State == TaskState.Dormant)
        {
            _dormant--;
        }

        if (IsOrdering(task))
        {
            _ordering--;
            _headOfQueue -= task.Attribute == TaskAttribute.HeadOfQueue ? 1 : 0;
        }
    }

    /// <summary>A task that has started goes on for long and is to keep nobody waiting any more.</summary>
    public void LetGo(ScsiTask task)
    {
        if (IsOrdering(task))
        {
            Left(task);
            task.Attribute = TaskAttribute.Simple;
        }
    }

    /// <summary>Whether the task takes part in the order in another way than a SIMPLE one.</summary>
    public static bool IsOrdering(ScsiTask task) => task.Attribute > TaskAttribute.Simple;

    /// <summary>Whether the task may start; if not, it is dormant, and comes back from <see cref="TryTakeReady"/> in its turn.</summary>
    /// <param name="task">The task, just come.</param>
    /// <param name="tasks">The tasks of the logical unit, the oldest first.</param>
    /// <param name="isSetPerNexus">Whether each nexus has a task set of its own. SAM-5 clause 8.3.</param>
    public bool TryStart(ScsiTask task, LinkedList<ScsiTask> tasks, bool isSetPerNexus)
    {
        if (MayStart(task, tasks, isSetPerNexus))
        {
            return true;
        }

        task.State = TaskState.Dormant;
        _dormant++;
        return false;
    }

    /// <summary>The oldest dormant task that may start now.</summary>
    public bool TryTakeReady(LinkedList<ScsiTask> tasks, bool isSetPerNexus, out ScsiTask ready)
    {
        ready = null!;
        if (_dormant == 0)
        {
            return false;
        }

        foreach (ScsiTask task in tasks)
        {
            if (task.State == TaskState.Dormant && !task.IsUnwanted && MayStart(task, tasks, isSetPerNexus))
            {
                _dormant--;
                task.State = TaskState.Idle;
                ready = task;
                return true;
            }

            if (task.Attribute == TaskAttribute.Ordered && !isSetPerNexus)
            {
                return false; // it goes before all that are younger
            }
        }

        return false;
    }

    bool MayStart(ScsiTask task, LinkedList<ScsiTask> tasks, bool isSetPerNexus)
    {
        if (task.Attribute is TaskAttribute.HeadOfQueue or TaskAttribute.Aca)
        {
            return true;
        }

        if (aca.Stops(task.Nexus, isSetPerNexus))
        {
            return false;
        }

        bool isOlder = true;
        foreach (ScsiTask other in tasks)
        {
            if (other == task)
            {
                isOlder = false;
                if (_headOfQueue == 0)
                {
                    return true;
                }
            }
            else if ((isSetPerNexus && other.Nexus != task.Nexus) || other.HasLetGoOfBlocks)
            {
                continue;
            }
            else if (other.Attribute == TaskAttribute.HeadOfQueue
                || (isOlder && (task.Attribute == TaskAttribute.Ordered || other.Attribute == TaskAttribute.Ordered)))
            {
                return false;
            }
        }

        return true;
    }
}
