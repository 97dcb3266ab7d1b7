using Scuse.Scsi;

namespace Scuse.Device.Tests;

/// <summary>What the device server may ask of a device.</summary>
enum Call
{
    Read,
    Write,
    WriteWithFua,
    Flush,
    Unmap,
    WriteZeroes,
    WriteZeroesMayUnmap,
    Rent,
}

/// <summary>A block device in memory that notes its calls, fails on request, and completes at once or later as told.</summary>
sealed class MemoryDevice(BlockDeviceInfo info) : IBlockDevice
{
    readonly Queue<(Call Call, ScsiResult Result)> _failures = new();

    public BlockDeviceInfo Info { get; set; } = info;

    public byte[] Bytes { get; } = new byte[info.SizeBytes];

    /// <summary>The calls so far, without those for working memory; null notes none.</summary>
    public List<(Call Call, long Offset, long Length)>? Calls { get; set; } = [];

    /// <summary>Completes every call on another thread, after a while.</summary>
    public bool IsLate { get; set; }

    /// <summary>Holds back every flush until it is set.</summary>
    public TaskCompletionSource? FlushGate { get; set; }

    /// <summary>Holds back every read until it is set.</summary>
    public TaskCompletionSource? ReadGate { get; set; }

    /// <summary>Is shown what each write brings, before it is stored.</summary>
    public Action<DataBuffer>? Written { get; set; }

    /// <summary>Changes what a read returns, to plant a fault.</summary>
    public Action<DataBuffer>? Spoil { get; set; }

    public int RentedBuffers { get; private set; }

    public int LongestRent { get; private set; }

    /// <summary>The next <paramref name="call"/> ends like this and does nothing.</summary>
    public void FailNext(Call call, ScsiResult result) => _failures.Enqueue((call, result));

    public ValueTask<ScsiResult> ReadAsync(long offset, DataBuffer into, CancellationToken aborted) =>
        ReadGate is { } gate ? ReadAfterAsync(gate, offset, into) : ReadNow(offset, into);

    async ValueTask<ScsiResult> ReadAfterAsync(TaskCompletionSource gate, long offset, DataBuffer into)
    {
        await gate.Task;
        return await ReadNow(offset, into);
    }

    ValueTask<ScsiResult> ReadNow(long offset, DataBuffer into) =>
        Complete(Call.Read, offset, into.Length, (Device: this, offset, into), static s =>
        {
            int at = (int)s.offset;
            foreach (Memory<byte> piece in s.into)
            {
                s.Device.Bytes.AsSpan(at, piece.Length).CopyTo(piece.Span);
                at += piece.Length;
            }

            s.Device.Spoil?.Invoke(s.into);
        });

    public ValueTask<ScsiResult> WriteAsync(long offset, DataBuffer from, bool forceUnitAccess, CancellationToken aborted) =>
        Complete(forceUnitAccess ? Call.WriteWithFua : Call.Write, offset, from.Length, (Device: this, offset, from), static s =>
        {
            s.Device.Written?.Invoke(s.from);
            s.from.CopyTo(s.Device.Bytes.AsSpan((int)s.offset, s.from.Length));
        });

    public async ValueTask<ScsiResult> FlushAsync(CancellationToken aborted)
    {
        if (FlushGate is { } gate)
        {
            await gate.Task;
        }

        return await Complete(Call.Flush, 0, 0, this, static _ => { });
    }

    public ValueTask<ScsiResult> UnmapAsync(long offset, long length, CancellationToken aborted) =>
        Complete(Call.Unmap, offset, length, (Device: this, offset, length), static s => s.Device.Bytes.AsSpan((int)s.offset, (int)s.length).Clear());

    public ValueTask<ScsiResult> WriteZeroesAsync(long offset, long length, bool mayUnmap, CancellationToken aborted) =>
        Complete(mayUnmap ? Call.WriteZeroesMayUnmap : Call.WriteZeroes, offset, length, (Device: this, offset, length), static s =>
            s.Device.Bytes.AsSpan((int)s.offset, (int)s.length).Clear());

    /// <summary>What it says is mapped; null for all of it.</summary>
    public Func<long, BlockExtent>? Extents { get; set; }

    public ValueTask<BlockExtent> GetExtentAsync(long offset, long length, CancellationToken aborted) => new(Extents?.Invoke(offset) ?? new BlockExtent(true, length));

    /// <summary>What it says of the room behind it; null: it cannot tell.</summary>
    public BlockResources? Resources { get; set; }

    public ValueTask<BlockResources?> GetResourcesAsync(CancellationToken aborted) => new(Resources);

    // In pieces of odd lengths, and dirty, as real working memory may be.
    public async ValueTask<WorkBuffer> RentAsync(int length, CancellationToken aborted)
    {
        if (IsLate)
        {
            await Task.Yield();
        }

        RentedBuffers++;
        LongestRent = Math.Max(LongestRent, length);
        byte[] memory = new byte[length + 100];
        memory.AsSpan().Fill(0xDB);
        int cut = Math.Min(777, length);
        return new WorkBuffer(new DataBuffer([memory.AsMemory(0, cut), memory.AsMemory(cut)], 2, length + 100), _ => RentedBuffers--, null);
    }

    ValueTask<ScsiResult> Complete<T>(Call call, long offset, long length, T state, Action<T> work)
    {
        Calls?.Add((call, offset, length));
        if (_failures.TryPeek(out (Call Call, ScsiResult Result) failure) && failure.Call == call)
        {
            _failures.Dequeue();
            return IsLate ? LaterAsync(failure.Result, state, static _ => { }) : new(failure.Result);
        }

        if (IsLate)
        {
            return LaterAsync(ScsiResult.Good, state, work);
        }

        work(state);
        return new(ScsiResult.Good);
    }

    static async ValueTask<ScsiResult> LaterAsync<T>(ScsiResult result, T state, Action<T> work)
    {
        await Task.Yield();
        work(state);
        return result;
    }
}
