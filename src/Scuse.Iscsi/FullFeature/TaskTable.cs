namespace Scuse.Iscsi.FullFeature;

/// <summary>
/// The tasks of a session by Initiator Task Tag: open addressing with linear probing in an array of fixed size, at most half full.
/// </summary>
internal sealed class TaskTable
{
    readonly IscsiTask?[] _slots;
    readonly int _mask;

    public TaskTable(int maxTasks)
    {
        int size = 16;
        while (size < maxTasks * 2)
        {
            size *= 2;
        }

        _slots = new IscsiTask?[size];
        _mask = size - 1;
        Capacity = maxTasks;
    }

    public int Capacity { get; }

    public int Count { get; private set; }

    public IscsiTask? Find(uint initiatorTaskTag)
    {
        for (int i = Home(initiatorTaskTag); _slots[i] is { } task; i = (i + 1) & _mask)
        {
            if (task.InitiatorTaskTag == initiatorTaskTag)
            {
                return task;
            }
        }

        return null;
    }

    /// <summary>Adds a task whose tag is not there yet; false when the table is full.</summary>
    public bool TryAdd(IscsiTask task)
    {
        if (Count == Capacity)
        {
            return false;
        }

        int i = Home(task.InitiatorTaskTag);
        while (_slots[i] is not null)
        {
            i = (i + 1) & _mask;
        }

        _slots[i] = task;
        Count++;
        return true;
    }

    public bool Remove(IscsiTask task)
    {
        int hole = Home(task.InitiatorTaskTag);
        while (_slots[hole] != task)
        {
            if (_slots[hole] is null)
            {
                return false;
            }

            hole = (hole + 1) & _mask;
        }

        // Close the hole: later entries of the run move up when their home lies at or before it.
        _slots[hole] = null;
        Count--;
        for (int i = (hole + 1) & _mask; _slots[i] is { } other; i = (i + 1) & _mask)
        {
            int distance = (i - Home(other.InitiatorTaskTag)) & _mask;
            if (distance >= ((i - hole) & _mask))
            {
                _slots[hole] = other;
                _slots[i] = null;
                hole = i;
            }
        }

        return true;
    }

    /// <summary>A copy. Rare work: it allocates.</summary>
    public List<IscsiTask> ToList()
    {
        List<IscsiTask> tasks = new(Count);
        foreach (IscsiTask? task in _slots)
        {
            if (task is not null)
            {
                tasks.Add(task);
            }
        }

        return tasks;
    }

    /// <summary>Spreads tags that count up as well as tags that are addresses or carry a pattern in their high bits.</summary>
    int Home(uint tag) => (int)((tag * 0x9E37_79B1u) >> 16 ^ tag) & _mask;
}
