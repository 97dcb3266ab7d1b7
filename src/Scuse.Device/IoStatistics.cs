namespace Scuse.Device;

/// <summary>How much was read and written since the start or the last LOG SELECT: READ and WRITE in all their lengths. SPC-4 clause 7.3.9.</summary>
/// <remarks>May be counted by several threads at once.</remarks>
public sealed class IoStatistics
{
    volatile IoStatistics[] _parts = [];
    long _reads;
    long _writes;
    long _readBytes;
    long _writtenBytes;

    /// <summary>How many READ commands.</summary>
    public long Reads => Volatile.Read(ref _reads) + _parts.Sum(static part => part.Reads);

    /// <summary>How many WRITE commands.</summary>
    public long Writes => Volatile.Read(ref _writes) + _parts.Sum(static part => part.Writes);

    /// <summary>How much they asked for, in bytes.</summary>
    public long ReadBytes => Volatile.Read(ref _readBytes) + _parts.Sum(static part => part.ReadBytes);

    /// <summary>How much they brought, in bytes.</summary>
    public long WrittenBytes => Volatile.Read(ref _writtenBytes) + _parts.Sum(static part => part.WrittenBytes);

    /// <summary>One more place to count in, for a thread that is to share it with no other; it is part of what is told here. Not from several threads at once.</summary>
    public IoStatistics NewPart()
    {
        var part = new IoStatistics();
        _parts = [.. _parts, part];
        return part;
    }

    /// <summary>Counts a command that was found to be in order.</summary>
    public void Count(bool isWrite, int lengthBytes)
    {
        if (isWrite)
        {
            Interlocked.Increment(ref _writes);
            Interlocked.Add(ref _writtenBytes, lengthBytes);
        }
        else
        {
            Interlocked.Increment(ref _reads);
            Interlocked.Add(ref _readBytes, lengthBytes);
        }
    }

    /// <summary>Begins anew.</summary>
    internal void Reset()
    {
        Volatile.Write(ref _reads, 0);
        Volatile.Write(ref _writes, 0);
        Volatile.Write(ref _readBytes, 0);
        Volatile.Write(ref _writtenBytes, 0);
        Array.ForEach(_parts, static part => part.Reset());
    }
}
