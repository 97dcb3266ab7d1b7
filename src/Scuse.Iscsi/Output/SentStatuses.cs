using Scuse.Iscsi.FullFeature;
using Scuse.Iscsi.Pdus;

namespace Scuse.Iscsi.Output;

/// <summary>
/// What a connection has sent under a StatSN and its initiator has not acknowledged with ExpStatSN: kept, with its data, to be sent again when a
/// SNACK asks for it. Only from ErrorRecoveryLevel 1 on. RFC 7143 sections 4.2.2.2 and 11.16.
/// </summary>
/// <remarks>Touched only by the owning reactor. An initiator that acknowledges nothing loses what is oldest, never its session.</remarks>
internal sealed class SentStatuses(Action<IscsiTask> letGoOfTask, Action<ControlPdu> letGoOfControl)
{
    /// <summary>The most statuses kept: several times what a command window holds. A power of two, so that places stay unique where the numbers wrap.</summary>
    public const int MaxStatuses = 512;

    /// <summary>The most data kept with them, in bytes. It is room in the data areas that commands under way cannot have.</summary>
    public const int MaxBytes = 8 << 20;

    readonly Entry[] _entries = new Entry[MaxStatuses];
    uint _first;
    uint _next;
    int _bytes;

    /// <summary>The oldest number that may still be asked for.</summary>
    public uint First => _first;

    /// <summary>The number behind the newest one.</summary>
    public uint Next => _next;

    public int Bytes => _bytes;

    /// <summary>Keeps a task's answer; the caller has counted the table as one of its holders.</summary>
    public void Keep(uint statSN, IscsiTask task) => Keep(statSN, new Entry { Task = task, Bytes = task.InTotal });

    /// <summary>Keeps any other status in the same way.</summary>
    public void Keep(uint statSN, ControlPdu control) => Keep(statSN, new Entry { Control = control, Bytes = control.HeldBytes });

    /// <summary>The initiator has everything before a number. What makes no sense is passed over.</summary>
    public void Acknowledge(uint expStatSN)
    {
        if (_first == expStatSN || !SerialNumber.IsWithin(expStatSN, _first, _next))
        {
            return;
        }

        while (_first != expStatSN)
        {
            DropFirst();
        }
    }

    /// <summary>What was sent under a number; false when it is not there any more, or not yet.</summary>
    public bool TryFind(uint statSN, out IscsiTask? task, out ControlPdu? control)
    {
        Entry entry = SerialNumber.IsWithin(statSN, _first, _next - 1) ? _entries[Place(statSN)] : default;
        task = entry.Task;
        control = entry.Control;
        return task is not null || control is not null;
    }

    /// <summary>The newest task of a tag whose answer is not acknowledged.</summary>
    public IscsiTask? FindTask(uint initiatorTaskTag)
    {
        for (uint statSN = _next; statSN != _first;)
        {
            if (_entries[Place(--statSN)].Task is { } task && task.InitiatorTaskTag == initiatorTaskTag)
            {
                return task;
            }
        }

        return null;
    }

    /// <summary>Takes the tasks out, the oldest first, whose holder the caller is now. Rare work: it allocates.</summary>
    public List<IscsiTask> TakeTasks()
    {
        List<IscsiTask> tasks = [];
        for (uint statSN = _first; statSN != _next; statSN++)
        {
            ref Entry entry = ref _entries[Place(statSN)];
            if (entry.Task is { } task)
            {
                tasks.Add(task);
                _bytes -= entry.Bytes;
                entry = default;
            }
        }

        return tasks;
    }

    public void Clear()
    {
        while (_first != _next)
        {
            DropFirst();
        }
    }

    void Keep(uint statSN, in Entry entry)
    {
        if (_first == _next)
        {
            _first = _next = statSN;
        }

        if (_next - _first == MaxStatuses)
        {
            DropFirst();
        }

        _entries[Place(_next++)] = entry;
        _bytes += entry.Bytes;
        for (uint old = _first; _bytes > MaxBytes && old != _next; old++)
        {
            if (_entries[Place(old)].Bytes > 0)
            {
                Drop(old);
            }
        }
    }

    void DropFirst() => Drop(_first++);

    void Drop(uint statSN)
    {
        ref Entry place = ref _entries[Place(statSN)];
        Entry entry = place;
        place = default;
        _bytes -= entry.Bytes;
        if (entry.Task is { } task)
        {
            letGoOfTask(task);
        }
        else if (entry.Control is { } control)
        {
            letGoOfControl(control);
        }
    }

    static int Place(uint statSN) => (int)(statSN & (MaxStatuses - 1));

    struct Entry
    {
        public IscsiTask? Task;
        public ControlPdu? Control;
        public int Bytes;
    }
}
