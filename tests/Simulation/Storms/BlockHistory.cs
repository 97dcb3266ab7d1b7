namespace Scuse.Simulation.Storms;

/// <summary>The simulation has found something that must not be.</summary>
sealed class StormException(string message) : Exception(message);

/// <summary>
/// Which values a block may hold, given what initiators sent and what they were told; nothing of what handlers or the engine did goes in here.
/// </summary>
/// <remarks>
/// A write may take effect from when it is sent until it is answered, also several times, as it does when it is repeated to a next handler: initiators that
/// care about the order of two writes, or of a read and a write, wait for the first. One that failed, was aborted, or whose session was lost may have taken
/// effect or not, but as seen by commands sent after that it is over. What an answered write has replaced never comes back.
/// </remarks>
sealed class BlockHistory
{
    readonly List<Operation> _candidates = [];
    readonly List<Operation> _open = [];
    readonly List<Operation> _mayBeDurable = [];
    readonly List<(Operation Read, List<Operation> View)> _reads = [];

    public BlockHistory(Operation beginning)
    {
        _candidates.Add(beginning);
        _mayBeDurable.Add(beginning);
    }

    public void WriteBegins(Operation write)
    {
        _open.Add(write);
        _mayBeDurable.Add(write);
        foreach ((_, List<Operation> view) in _reads)
        {
            view.Add(write);
        }
    }

    /// <summary>The write was answered with GOOD: it took effect, and what ended before it began is history.</summary>
    public void WriteIsDone(Operation write)
    {
        _open.Remove(write);
        _candidates.RemoveAll(other => other.EndedAt < write.InvokedAt);
        _candidates.Add(write);
    }

    /// <summary>Nobody knows whether the write took effect, but it is over.</summary>
    public void WriteIsUnknown(Operation write)
    {
        if (_open.Remove(write))
        {
            _candidates.Add(write);
        }
    }

    /// <summary>The initiator was told that the write was not executed.</summary>
    public void WriteIsRefused(Operation write)
    {
        _open.Remove(write);
        _mayBeDurable.Remove(write);
    }

    public List<Operation> ReadBegins(Operation read)
    {
        List<Operation> view = [.. _candidates, .. _open];
        _reads.Add((read, view));
        return view;
    }

    public void ReadEnds(Operation read) => _reads.RemoveAll(entry => entry.Read == read);

    /// <summary>Null when the value is one that the block may have shown; else what it may have shown.</summary>
    public string? ReadReturned(Operation read, List<Operation> view, int block, ulong value)
    {
        ReadEnds(read);
        if (!view.Exists(write => write.ValueAt(block) == value))
        {
            return string.Join(", ", view.Select(write => $"{write.ValueAt(block):X} of {write}"));
        }

        // At some time since the read began the block had this value; after that only writes can change it that were not over by then.
        List<Operation> seen = view.FindAll(write => write.ValueAt(block) == value && !write.IsOpen);
        _candidates.RemoveAll(other => other.EndedAt < read.InvokedAt && !seen.Contains(other));
        foreach (Operation write in seen)
        {
            if (!_candidates.Contains(write))
            {
                _candidates.Add(write);
            }
        }

        return null;
    }

    public List<Operation> FlushBegins() => [.. _candidates, .. _open];

    /// <summary>The flush was answered with GOOD: what it found, or what came later, is what a lost cache leaves.</summary>
    public void FlushIsDone(Operation flush, List<Operation> view) =>
        _mayBeDurable.RemoveAll(write => write.EndedAt < flush.InvokedAt && !view.Contains(write));

    /// <summary>The volatile cache is gone.</summary>
    public void CacheIsLost()
    {
        foreach (Operation write in _mayBeDurable)
        {
            if (!write.IsOpen && !_candidates.Contains(write))
            {
                _candidates.Add(write);
            }

            foreach ((_, List<Operation> view) in _reads)
            {
                if (!view.Contains(write))
                {
                    view.Add(write);
                }
            }
        }
    }

    /// <summary>How many writes may be the one that shows.</summary>
    public int Candidates => _candidates.Count;
}
