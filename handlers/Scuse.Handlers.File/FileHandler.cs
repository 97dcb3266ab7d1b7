using System.Runtime.CompilerServices;
using Microsoft.Win32.SafeHandles;
using Scuse.Device;
using Scuse.Linux;

namespace Scuse.Handlers.File;

/// <summary>A disk in a file. It takes up room only where it has been written, if the file system knows holes.</summary>
/// <remarks>
/// <para>Writes go to the page cache and complete at once; a flush or FUA makes them durable (fdatasync, one for all who wait). Reads that the page cache can
/// answer complete at once; the others go by io_uring where the kernel has it, and else, as all that waits for the disk, by threads of their own. With direct access (O_DIRECT) nothing is cached, and all goes on beside it.</para>
/// <para>A full file system is SPACE ALLOCATION FAILED WRITE PROTECT (07/27/07), other failures are UNRECOVERED READ ERROR (03/11/00) and
/// WRITE ERROR (03/0C/00). A failed sync stays failed until the file is opened anew: the kernel reports lost writes only once, and a
/// second sync that succeeds would hide that they are lost.</para>
/// <para>The file is locked, so that no two handlers write to it.</para>
/// <para>Methods may be called on several threads at once. Of reads and writes of the same blocks that are under way at the same time the file system makes what it does for any two programs: with direct access the
/// disk keeps them apart block by block, and in the page cache a read may see a part of a write that is not answered yet.</para>
/// </remarks>
public sealed class FileHandler : BlockHandler
{
    const int ZerosLength = 1 << 20;
    const int UnknownAlignment = 4096; // what every file system takes that has direct access at all
    const int LockWaitMs = 2000;
    const int LockRetryMs = 20;

    static readonly TimeSpan s_followPeriod = TimeSpan.FromSeconds(1);

    static readonly DataBuffer s_zeros = new(new byte[ZerosLength]);

    readonly DiskFile _file;
    readonly DiskThreads _threads;
    readonly GroupedSync _sync;
    readonly DiskRing? _ring;
    readonly string _folder;
    readonly bool _isReadOnly;
    readonly bool _isThick;

    readonly TaskCompletionSource _closing = new(TaskCreationOptions.RunContinuationsAsynchronously);
    Task _watching = Task.CompletedTask;
    long _sizeBytes;

    FileHandler(DiskFile file, FileSpec spec, long sizeBytes, Func<SafeFileHandle, int> sync)
    {
        _file = file;
        _threads = new DiskThreads(spec.Threads ?? FileSpec.DefaultThreads);
        _ring = spec.Threads is null && !file.IsInMemory ? DiskRing.TryCreate(file.Handle) : null;
        _sync = new GroupedSync(_threads, () => sync(file.Handle));
        _folder = Path.GetDirectoryName(Path.GetFullPath(spec.Path)) ?? "/";
        _sizeBytes = sizeBytes;
        BlockSize = spec.BlockSize;
        _isThick = spec.IsThick;
        _isReadOnly = spec.IsReadOnly;
    }

    /// <summary>The file's length in whole blocks; with <c>size=</c> what that says.</summary>
    public override long SizeBytes => Interlocked.Read(ref _sizeBytes);

    /// <inheritdoc/>
    public override int BlockSize { get; }

    /// <inheritdoc/>
    public override bool IsReadOnly => _isReadOnly;

    /// <inheritdoc/>
    public override bool IsThreadSafe => true;

    /// <inheritdoc/>
    public override string Product => "file";

    /// <inheritdoc/>
    public override BlockDeviceFeatures Features =>
        BlockDeviceFeatures.Flush | BlockDeviceFeatures.WriteZeroes | (_isThick ? BlockDeviceFeatures.None : BlockDeviceFeatures.Unmap | BlockDeviceFeatures.Extents | BlockDeviceFeatures.Resources);

    /// <summary>
    /// Opens a file as a spec such as <c>/data/a.img?size=10G</c> says. With a size the file is created where there is none, and grown where
    /// it is shorter; without, it is as long as it is.
    /// </summary>
    /// <exception cref="FormatException">The spec is wrong; the message is one line for a person.</exception>
    /// <exception cref="IOException">The file cannot be used; the message is one line for a person.</exception>
    public static Task<FileHandler> OpenAsync(string spec, DeviceInfo device) => OpenAsync(spec, device, FileRange.Sync);

    /// <summary>Opens a file whose data <paramref name="sync"/> makes durable.</summary>
    internal static async Task<FileHandler> OpenAsync(string spec, DeviceInfo device, Func<SafeFileHandle, int> sync)
    {
        FileSpec parts = FileSpec.Parse(spec, device);
        SafeFileHandle file = OpenOrCreate(parts);
        try
        {
            await LockAsync(file, parts.Path, parts.IsReadOnly).ConfigureAwait(false);
            if (!FileRange.IsRegularFile(file))
            {
                throw new IOException($"'{parts.Path}' is not a regular file");
            }

            DiskFile disk = parts.IsDirect ? OpenDirect(file, parts) : new DiskFile(file);
            long size = FitSize(file, parts.Path, parts.SizeBytes, parts.BlockSize, parts.IsReadOnly);
            if (parts.IsThick && !parts.IsReadOnly)
            {
                Reserve(file, parts.Path, size);
            }

            var handler = new FileHandler(disk, parts, size, sync);
            if (parts.SizeBytes is null)
            {
                handler._watching = handler.FollowLengthAsync();
            }

            return handler;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public override ValueTask ReadAsync(long offset, DataBuffer into, CancellationToken aborted)
    {
        int done = _file.ReadCached(offset, into);
        return done == into.Length ? ValueTask.CompletedTask : ReadFromDiskAsync(offset + done, into.Slice(done));
    }

    /// <inheritdoc/>
    public override ValueTask WriteAsync(long offset, DataBuffer from, WriteFlags flags, CancellationToken aborted)
    {
        bool isForced = (flags & WriteFlags.ForceUnitAccess) != 0;
        if (_file.IsDirect)
        {
            return WriteToDiskAsync(offset, from, isForced);
        }

        WriteAll(offset, from);
        return isForced ? FlushAsync(aborted) : ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public override async ValueTask FlushAsync(CancellationToken aborted)
    {
        if (_sync.HasFailed)
        {
            throw ScsiException.MediumErrorWrite();
        }

        int result = await _sync.SyncAsync().ConfigureAwait(false);
        if (result < 0)
        {
            throw WriteFailure(-result, "fdatasync");
        }
    }

    /// <inheritdoc/>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public override async ValueTask UnmapAsync(long offset, long length, CancellationToken aborted)
    {
        await _threads;
        int result = FileRange.PunchHole(_file.Handle, offset, length);
        if (result == -Errno.EOPNOTSUPP || result == -Errno.ENOSYS)
        {
            WriteZeros(offset, length, aborted); // no holes here: at least it reads as zeros
        }
        else if (result < 0)
        {
            throw WriteFailure(-result, "fallocate");
        }
    }

    /// <inheritdoc/>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public override async ValueTask WriteZeroesAsync(long offset, long length, bool mayUnmap, CancellationToken aborted)
    {
        await _threads;
        int result = mayUnmap ? FileRange.PunchHole(_file.Handle, offset, length) : FileRange.ZeroRange(_file.Handle, offset, length);
        if (result == -Errno.EOPNOTSUPP || result == -Errno.ENOSYS)
        {
            WriteZeros(offset, length, aborted);
        }
        else if (result < 0)
        {
            throw WriteFailure(-result, "fallocate");
        }
    }

    /// <inheritdoc/>
    public override async ValueTask<BlockExtent> GetExtentAsync(long offset, long length, CancellationToken aborted)
    {
        await _threads;
        long data = FileRange.FindData(_file.Handle, offset);
        if (data == -Errno.ENXIO)
        {
            return new BlockExtent(IsMapped: false, length); // nothing but a hole from here on
        }

        if (data > offset)
        {
            // A block that holds data in a part of it holds data.
            long hole = (data - offset) / BlockSize * BlockSize;
            return hole > 0 ? new BlockExtent(IsMapped: false, Math.Min(length, hole)) : new BlockExtent(IsMapped: true, BlockSize);
        }

        long end = data < 0 ? data : FileRange.FindHole(_file.Handle, offset);
        return new BlockExtent(IsMapped: true, end > offset ? Math.Min(length, end - offset + BlockSize - 1) / BlockSize * BlockSize : length);
    }

    /// <summary>The room that the file takes up, and what its file system has left, which is not this disk's alone.</summary>
    public override async ValueTask<BlockResources> GetResourcesAsync(CancellationToken aborted)
    {
        await _threads;
        return new BlockResources(FileRange.GetAllocatedBytes(_file.Handle), new DriveInfo(_folder).AvailableFreeSpace, IsShared: true);
    }

    /// <summary>The file grows; it is not cut.</summary>
    public override async ValueTask ResizeAsync(long sizeBytes)
    {
        await _threads;
        long held = FileRange.GetLength(_file.Handle);
        if (sizeBytes < Math.Max(held, SizeBytes))
        {
            throw new NotSupportedException($"the file has {SizeText.Format(held)}, and {SizeText.Format(sizeBytes)} is less; it is not cut");
        }

        int result = _isReadOnly && sizeBytes > held ? -Errno.EROFS : _isThick ? FileRange.Allocate(_file.Handle, 0, sizeBytes) : FileRange.SetLength(_file.Handle, sizeBytes);
        if (result < 0)
        {
            throw new NotSupportedException($"the file cannot have {SizeText.Format(sizeBytes)}: {LinuxException.Text(-result)}");
        }

        Interlocked.Exchange(ref _sizeBytes, sizeBytes);
    }

    /// <inheritdoc/>
    public override async ValueTask CloseAsync()
    {
        _closing.TrySetResult();
        await _watching.ConfigureAwait(false);
        _ring?.Dispose();
        _threads.Close();
        _file.Dispose();
    }

    /// <summary>Somebody may make the file longer while it is served, and the disk with it. Looked at now and then: being told of changes by the kernel would cost something at every write.</summary>
    async Task FollowLengthAsync()
    {
        while (await Task.WhenAny(_closing.Task, Task.Delay(s_followPeriod)).ConfigureAwait(false) != _closing.Task)
        {
            long length = FileRange.GetLength(_file.Handle);
            long size = length - (length % BlockSize);
            bool isReserved = !_isThick || _isReadOnly || size <= SizeBytes || FileRange.Allocate(_file.Handle, 0, size) >= 0;
            if (size > 0 && size != SizeBytes && isReserved)
            {
                Interlocked.Exchange(ref _sizeBytes, size);
                SizeChanged();
            }
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    async ValueTask ReadFromDiskAsync(long offset, DataBuffer into)
    {
        if (_ring is not null && into.TryGetSingle(out Memory<byte> memory) && await _ring.TransferAsync(isWrite: false, offset, memory) == memory.Length)
        {
            return;
        }

        await _threads; // what the ring cannot do, and why
        int done = _file.ReadAll(offset, into, out int errno);
        if (done < into.Length)
        {
            // An end before the size says that somebody cut the file.
            throw ScsiException.MediumErrorRead((ulong)((offset + done) / BlockSize), errno != 0 ? new LinuxException("preadv", errno) : null);
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    async ValueTask WriteToDiskAsync(long offset, DataBuffer from, bool isForced)
    {
        if (_ring is null || !from.TryGetSingle(out Memory<byte> memory) || await _ring.TransferAsync(isWrite: true, offset, memory) != memory.Length)
        {
            await _threads;
            WriteAll(offset, from);
        }

        if (isForced)
        {
            await FlushAsync(default).ConfigureAwait(false);
        }
    }

    void WriteAll(long offset, DataBuffer from)
    {
        if (_file.WriteAll(offset, from, out int errno) < from.Length)
        {
            throw WriteFailure(errno, "pwritev");
        }
    }

    void WriteZeros(long offset, long length, CancellationToken aborted)
    {
        while (length > 0)
        {
            aborted.ThrowIfCancellationRequested();
            int piece = (int)Math.Min(length, ZerosLength);
            WriteAll(offset, s_zeros.Slice(0, piece));
            offset += piece;
            length -= piece;
        }
    }

    static ScsiException WriteFailure(int errno, string call)
    {
        LinuxException cause = new(call, errno);
        return errno is Errno.ENOSPC or Errno.EDQUOT or Errno.EFBIG ? ScsiException.SpaceExhausted(cause) : ScsiException.MediumErrorWrite(null, cause);
    }

    static SafeFileHandle OpenOrCreate(FileSpec spec)
    {
        (string path, bool readOnly) = (spec.Path, spec.IsReadOnly);
        while (true)
        {
            try
            {
                return FileRange.Open(path, readOnly);
            }
            catch (LinuxException absent) when (absent.Errno == Errno.ENOENT)
            {
                if (readOnly || spec.SizeBytes is null)
                {
                    string hint = readOnly ? "" : $"; give a size to create it: file:{path}?size=1G";
                    throw new IOException($"file '{path}' does not exist{hint}", absent);
                }
            }
            catch (LinuxException failure)
            {
                throw new IOException($"file '{path}' cannot be opened: {LinuxException.Text(failure.Errno)}", failure);
            }

            try
            {
                return FileRange.Open(path, create: true);
            }
            catch (LinuxException failure) when (failure.Errno != Errno.EEXIST)
            {
                throw new IOException($"file '{path}' cannot be created: {LinuxException.Text(failure.Errno)}", failure);
            }
            catch (LinuxException)
            {
                // Somebody created it in between; it is opened like any other.
            }
        }
    }

    /// <summary>The file with direct access.</summary>
    static DiskFile OpenDirect(SafeFileHandle file, FileSpec spec)
    {
        (int memory, int offset) = FileRange.GetDirectAlignment(file) ?? (UnknownAlignment, UnknownAlignment);
        if (memory == 0 || offset == 0 || FileRange.SetDirect(file) < 0)
        {
            throw NoDirect(spec.Path);
        }

        return spec.BlockSize % offset == 0
            ? new DiskFile(file, memory, offset)
            : throw new IOException($"file '{spec.Path}' can be accessed directly in units of {offset} bytes, and the block size is {spec.BlockSize}{(offset == 4096 ? "; give block=4096" : "")}");
    }

    static IOException NoDirect(string path) => new($"file '{path}' lies where there is no direct access; leave direct=1 out");

    static async Task LockAsync(SafeFileHandle file, string path, bool readOnly)
    {
        // A predecessor that was just killed holds its lock until the kernel is done with it.
        for (int waited = 0; !FileRange.TryLock(file, exclusive: !readOnly); waited += LockRetryMs)
        {
            if (waited >= LockWaitMs)
            {
                throw new IOException($"file '{path}' is in use by another handler (it is locked)");
            }

            await Task.Delay(LockRetryMs).ConfigureAwait(false);
        }
    }

    /// <summary>All the room that the disk can need, so that no write finds none later.</summary>
    static void Reserve(SafeFileHandle file, string path, long size)
    {
        if (FileRange.Allocate(file, 0, size) is int result and < 0)
        {
            throw new IOException($"file '{path}': {SizeText.Format(size)} cannot be reserved: {LinuxException.Text(-result)}");
        }
    }

    static long FitSize(SafeFileHandle file, string path, long? asked, int block, bool readOnly)
    {
        long held = FileRange.GetLength(file);
        long size = asked ?? held;
        if (size < held)
        {
            throw new IOException($"file '{path}' has {SizeText.Format(held)}, and size={SizeText.Format(size)} is less; it is not cut");
        }

        if (size == 0)
        {
            throw new IOException($"file '{path}' is empty; give a size: file:{path}?size=1G");
        }

        if (size % block != 0)
        {
            throw new IOException($"file '{path}' has {size} bytes, which is not a multiple of the block size of {block}");
        }

        if (size > held)
        {
            if (readOnly)
            {
                throw new IOException($"file '{path}' has {SizeText.Format(held)}, and is to be read only: it cannot grow to {SizeText.Format(size)}");
            }

            if (FileRange.SetLength(file, size) is int result and < 0)
            {
                throw new IOException($"file '{path}' cannot have {SizeText.Format(size)}: {LinuxException.Text(-result)}");
            }
        }

        return size;
    }
}
