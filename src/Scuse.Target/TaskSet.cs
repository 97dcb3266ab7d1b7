namespace Scuse.Target;

/// <summary>The tasks of a logical unit in the order of their arrival. SAM-5 clause 8.</summary>
/// <remarks>A list through the tasks themselves, so that coming and going costs nothing. Touched only by the owning thread.</remarks>
sealed class TaskSet
{
    public ScsiTask? First { get; private set; }

    ScsiTask? _last;

    public int Count { get; private set; }

    public void Add(ScsiTask task)
    {
        task.Previous = _last;
        task.Next = null;
        if (_last is null)
        {
            First = task;
        }
        else
        {
            _last.Next = task;
        }

        _last = task;
        Count++;
    }

    public void Remove(ScsiTask task)
    {
        if (task.Previous is null)
        {
            First = task.Next;
        }
        else
        {
            task.Previous.Next = task.Next;
        }

        if (task.Next is null)
        {
            _last = task.Previous;
        }
        else
        {
            task.Next.Previous = task.Previous;
        }

        task.Previous = null;
        task.Next = null;
        Count--;
    }
}
