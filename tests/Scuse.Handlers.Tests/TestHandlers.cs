namespace Scuse.Handlers.Tests;

/// <summary>A small disk in an array; what its methods do besides is up to the test.</summary>
class ArrayDisk(DeviceInfo device) : BlockHandler
{
    public byte[] Bytes { get; } = new byte[device.SizeBytes];

    public TaskCompletionSource Closed { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public override ValueTask ReadAsync(long offset, DataBuffer into, CancellationToken aborted)
    {
        into.CopyFrom(Bytes.AsSpan((int)offset, into.Length));
        return ValueTask.CompletedTask;
    }

    public override ValueTask WriteAsync(long offset, DataBuffer from, WriteFlags flags, CancellationToken aborted)
    {
        from.CopyTo(Bytes.AsSpan((int)offset, from.Length));
        return ValueTask.CompletedTask;
    }

    public override ValueTask CloseAsync()
    {
        Closed.SetResult();
        return ValueTask.CompletedTask;
    }
}

/// <summary>A disk that can do everything, and notes what it was asked.</summary>
sealed class FullDisk(DeviceInfo device) : ArrayDisk(device)
{
    public List<string> Calls { get; } = [];

    public override ValueTask WriteAsync(long offset, DataBuffer from, WriteFlags flags, CancellationToken aborted)
    {
        Calls.Add($"write {offset}+{from.Length} {flags}");
        return base.WriteAsync(offset, from, flags, aborted);
    }

    public override ValueTask FlushAsync(CancellationToken aborted)
    {
        Calls.Add("flush");
        return ValueTask.CompletedTask;
    }

    public override ValueTask UnmapAsync(long offset, long length, CancellationToken aborted)
    {
        Calls.Add($"unmap {offset}+{length}");
        Bytes.AsSpan((int)offset, (int)length).Clear();
        return ValueTask.CompletedTask;
    }

    public override ValueTask WriteZeroesAsync(long offset, long length, bool mayUnmap, CancellationToken aborted)
    {
        Calls.Add($"zero {offset}+{length} {(mayUnmap ? "may unmap" : "keep")}");
        Bytes.AsSpan((int)offset, (int)length).Clear();
        return ValueTask.CompletedTask;
    }
}

/// <summary>A disk whose reads wait for the test.</summary>
sealed class WaitingDisk(DeviceInfo device) : ArrayDisk(device)
{
    public Dictionary<long, TaskCompletionSource> Gates { get; } = [];

    int _started, _aborted;

    public CancellationToken LastAborted { get; private set; }

    public bool IsSafe { get; init; }

    public override bool IsThreadSafe => IsSafe;

    /// <summary>How many reads have begun, and how many of those were aborted.</summary>
    public int Started => Volatile.Read(ref _started);

    public int Aborted => Volatile.Read(ref _aborted);

    public List<TaskManagementNotice> Notices { get; } = [];

    public override ValueTask OnTaskManagementAsync(TaskManagementNotice notice)
    {
        Notices.Add(notice);
        return ValueTask.CompletedTask;
    }

    public TaskCompletionSource Gate(long offset)
    {
        lock (Gates)
        {
            if (!Gates.TryGetValue(offset, out TaskCompletionSource? gate))
            {
                Gates[offset] = gate = new(TaskCreationOptions.RunContinuationsAsynchronously);
            }

            return gate;
        }
    }

    public override async ValueTask ReadAsync(long offset, DataBuffer into, CancellationToken aborted)
    {
        LastAborted = aborted;
        Interlocked.Increment(ref _started);
        try
        {
            await Gate(offset).Task.WaitAsync(aborted);
        }
        catch (OperationCanceledException)
        {
            Interlocked.Increment(ref _aborted);
            throw;
        }

        await base.ReadAsync(offset, into, aborted);
    }
}

/// <summary>A disk whose reads do what the test says.</summary>
sealed class ScriptedDisk(DeviceInfo device, Func<ValueTask> read) : ArrayDisk(device)
{
    public override ValueTask ReadAsync(long offset, DataBuffer into, CancellationToken aborted) => read();
}

/// <summary>A raw device that does what the test says.</summary>
/// <summary>A disk of zeros that can be given another size.</summary>
sealed class GrowingDisk(DeviceInfo device) : BlockHandler
{
    long _size = device.SizeBytes;

    public override long SizeBytes => _size;

    public void GrowTo(long size)
    {
        _size = size;
        SizeChanged();
    }

    public override ValueTask ReadAsync(long offset, DataBuffer into, CancellationToken aborted)
    {
        into.Clear();
        return ValueTask.CompletedTask;
    }

    public override ValueTask WriteAsync(long offset, DataBuffer from, WriteFlags flags, CancellationToken aborted) => ValueTask.CompletedTask;
}

sealed class RawDevice(Func<ScsiCommand, CommandResult> execute) : CommandHandler
{
    public List<TaskManagementNotice> Notices { get; } = [];

    public bool CanKeep => CanKeepBuffers;

    public override ValueTask<CommandResult> ExecuteAsync(ScsiCommand command) => new(execute(command));

    public override ValueTask OnTaskManagementAsync(TaskManagementNotice notice)
    {
        Notices.Add(notice);
        return ValueTask.CompletedTask;
    }
}

/// <summary>A disk that works on task management for as long as the test says.</summary>
sealed class NoticedDisk(DeviceInfo device) : ArrayDisk(device)
{
    public TaskCompletionSource Gate { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public override async ValueTask OnTaskManagementAsync(TaskManagementNotice notice) => await Gate.Task;
}
