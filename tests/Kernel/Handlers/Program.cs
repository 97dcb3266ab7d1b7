using Scuse;
using Scuse.Handlers.File;
using Scuse.Handlers.Memory;
using Scuse.Kernel.Handlers;

// The built-in handlers and one of an author's, in one program: memory, file and sparse, with the options of every handler. And what a daemon promises the kernel: promise 1, promise 0.
if (args.Length == 0)
{
    Console.Error.WriteLine("usage: kernel-handlers memory|file|sparse OPTION..., kernel-handlers promise 0|1");
    return 2;
}

string[] options = ["--name", args[0], .. args[1..]];
return args[0] switch
{
    "memory" => await MemoryProgram.RunAsync("", options),
    "file" => await FileProgram.RunAsync("", options),
    "sparse" => await Handler.RunAsync(options, static device => new SparseDisk(device.SizeBytes)),
    "promise" => Promise.Make(args is [_, "1"]),
    _ => 2,
};

/// <summary>What an author may write: a disk of pieces that are there once they are written, and whose every command takes its time. It knows of no kernel.</summary>
sealed class SparseDisk(long sizeBytes) : BlockHandler
{
    const int PieceBytes = 64 * 1024;

    readonly Dictionary<long, byte[]> _pieces = [];
    long _sizeBytes = sizeBytes;

    public override long SizeBytes => Interlocked.Read(ref _sizeBytes);

    public override string Product => "sparse";

    public override async ValueTask ReadAsync(long offset, DataBuffer into, CancellationToken aborted)
    {
        await Task.Yield();
        for (int at = 0; at < into.Length;)
        {
            (long piece, long start) = Math.DivRem(offset + at, PieceBytes);
            int length = (int)Math.Min(into.Length - at, PieceBytes - start);
            lock (_pieces)
            {
                if (_pieces.TryGetValue(piece, out byte[]? bytes))
                {
                    into.CopyFrom(bytes.AsSpan((int)start, length), at);
                }
                else
                {
                    into.Slice(at, length).Clear();
                }
            }

            at += length;
        }
    }

    public override async ValueTask WriteAsync(long offset, DataBuffer from, WriteFlags flags, CancellationToken aborted)
    {
        await Task.Yield();
        for (int at = 0; at < from.Length;)
        {
            (long piece, long start) = Math.DivRem(offset + at, PieceBytes);
            int length = (int)Math.Min(from.Length - at, PieceBytes - start);
            lock (_pieces)
            {
                if (!_pieces.TryGetValue(piece, out byte[]? bytes))
                {
                    _pieces.Add(piece, bytes = new byte[PieceBytes]);
                }

                from.Slice(at, length).CopyTo(bytes.AsSpan((int)start, length));
            }

            at += length;
        }
    }

    /// <summary>Whole pieces are forgotten; of others the part is cleared.</summary>
    public override ValueTask UnmapAsync(long offset, long length, CancellationToken aborted)
    {
        lock (_pieces)
        {
            for (long end = offset + length; offset < end;)
            {
                (long piece, long start) = Math.DivRem(offset, PieceBytes);
                int part = (int)Math.Min(end - offset, PieceBytes - start);
                if (part == PieceBytes)
                {
                    _pieces.Remove(piece);
                }
                else if (_pieces.TryGetValue(piece, out byte[]? bytes))
                {
                    bytes.AsSpan((int)start, part).Clear();
                }

                offset += part;
            }
        }

        return ValueTask.CompletedTask;
    }

    public override ValueTask OnTaskManagementAsync(TaskManagementNotice notice)
    {
        Console.Error.WriteLine(notice.Function);
        return ValueTask.CompletedTask;
    }

    public override ValueTask ResizeAsync(long sizeBytes)
    {
        Interlocked.Exchange(ref _sizeBytes, sizeBytes);
        return ValueTask.CompletedTask;
    }
}
