namespace Scuse.Simulation.Storms;

/// <summary>What is stored, block by block: each block is one value, repeated. With a volatile cache over it where the disk has one.</summary>
sealed class Medium(int blocks)
{
    readonly ulong[] _current = new ulong[blocks];
    readonly ulong[] _durable = new ulong[blocks];
    readonly ulong[] _previous = new ulong[blocks];

    public int Blocks => blocks;

    public ulong Read(int block) => _current[block];

    /// <summary>What the block held before it was last written: stale data, for handlers that are to be found out.</summary>
    public ulong ReadStale(int block) => _previous[block];

    public void Write(int block, ulong value)
    {
        _previous[block] = _current[block];
        _current[block] = value;
    }

    /// <summary>One block of the cache is written back, as caches do at any time.</summary>
    public void WriteBack(int block) => _durable[block] = _current[block];

    public void Flush() => _current.CopyTo(_durable, 0);

    /// <summary>The cache is gone.</summary>
    public void LoseCache() => _durable.CopyTo(_current, 0);
}
