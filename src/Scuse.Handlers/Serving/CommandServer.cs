using System.Runtime.CompilerServices;
using Scuse.Attach;
using Scuse.Device;
using Scuse.Ring.Attach;
using Scuse.Scsi;

// The awaiters are consumed once: here when the task is complete, else by Finish after their one notification.
#pragma warning disable CA2012

namespace Scuse.Serving;

/// <summary>What stands between the serving loop and an author's handler.</summary>
abstract class CommandServer
{
    /// <summary>What the target is told once the device is open.</summary>
    internal abstract ReadyMessage Ready { get; }

    internal int BlockSize => Ready.BlockSize;

    /// <summary>Whether its commands may be started on several threads at once: those of each ring on its own.</summary>
    internal abstract bool IsThreadSafe { get; }

    /// <summary>
    /// From now on the target is told of every new size, at once if it has another than <paramref name="known"/> already; with null nobody is told. The size goes into <see cref="Ready"/> either way.
    /// </summary>
    internal virtual void TellSizes(Action<long>? tell, long known)
    {
    }

    /// <summary>Gives the device another size, which then is in <see cref="Ready"/>.</summary>
    /// <exception cref="NotSupportedException">It has the size that it has.</exception>
    internal virtual ValueTask ResizeAsync(long sizeBytes) => throw new NotSupportedException("this kind of device cannot be resized");

    /// <summary>Starts a command; true when its result is in the slot already, otherwise the slot comes to <see cref="Finish"/> later.</summary>
    internal abstract bool TryStart(CommandSlot slot);

    /// <summary>Takes the result of a command that did not complete at once.</summary>
    internal abstract void Finish(CommandSlot slot);

    /// <summary>Has a command end in what an exception says.</summary>
    internal abstract void Fail(CommandSlot slot, Exception failure);

    /// <summary>Memory of the handler's own that the target may send from, if any; it goes with <see cref="Ready"/>.</summary>
    internal virtual SharedMemory? OwnMemory => null;

    /// <summary>What the rings that are served next can do: they are alike. Called for each of them, before any is served.</summary>
    internal virtual void SetAbilities(bool canKeepBuffers, bool hasOwnMemory)
    {
    }

    /// <summary>Tells the handler of task management. Called on the ring's serving thread.</summary>
    internal abstract void Notify(TaskManagementNotice notice);

    internal abstract ValueTask CloseAsync();

    /// <exception cref="InvalidOperationException">No target would take a device of that shape.</exception>
    protected static void CheckShape(long sizeBytes, int blockSize)
    {
        if (blockSize is not (512 or 4096))
        {
            throw new InvalidOperationException($"the block size is {blockSize}; 512 and 4096 are possible");
        }

        if (sizeBytes <= 0 || sizeBytes % blockSize != 0)
        {
            throw new InvalidOperationException($"the size of {sizeBytes} bytes is not a positive multiple of the block size of {blockSize}");
        }
    }
}

/// <summary>Starts commands whose execution ends in a <typeparamref name="TResult"/>, and takes the result, at once or later.</summary>
abstract class CommandServer<TResult>(ErrorLog log) : CommandServer
{
    // Locked where used: notices that the handler has not done with yet.
    readonly List<Task> _notices = [];

    internal override bool TryStart(CommandSlot slot)
    {
        try
        {
            ValueTaskAwaiter<TResult> awaiter = ExecuteAsync(slot.Scsi).GetAwaiter();
            if (awaiter.IsCompleted)
            {
                SetResult(slot, awaiter.GetResult());
                return true;
            }

            AwaiterOf(slot) = awaiter; // before the completion can come
            slot.CompleteAfter(ref awaiter);
            return false;
        }
        catch (Exception failure)
        {
            Fail(slot, failure);
            return true;
        }
    }

    internal override void Finish(CommandSlot slot)
    {
        try
        {
            SetResult(slot, AwaiterOf(slot).GetResult());
        }
        catch (Exception failure)
        {
            Fail(slot, failure);
        }
    }

    internal override void Notify(TaskManagementNotice notice)
    {
        try
        {
            ValueTask told = OnTaskManagementAsync(notice);
            if (told.IsCompletedSuccessfully)
            {
                told.GetAwaiter().GetResult(); // gives a pooled source back
                return;
            }

            lock (_notices)
            {
                _notices.RemoveAll(static notice => notice.IsCompleted);
                _notices.Add(LogFailureOf(told));
            }
        }
        catch (Exception failure)
        {
            log.Failed("task management", failure);
        }
    }

    internal override async ValueTask CloseAsync()
    {
        Task[] notices;
        lock (_notices)
        {
            notices = [.. _notices];
        }

        await Task.WhenAll(notices).ConfigureAwait(false);
        await CloseHandlerAsync().ConfigureAwait(false);
    }

    protected abstract ValueTask<TResult> ExecuteAsync(in ScsiCommand command);

    protected abstract ValueTask OnTaskManagementAsync(TaskManagementNotice notice);

    protected abstract ValueTask CloseHandlerAsync();

    /// <summary>Where the slot keeps the awaiter of a command that did not complete at once.</summary>
    protected abstract ref ValueTaskAwaiter<TResult> AwaiterOf(CommandSlot slot);

    protected abstract void SetResult(CommandSlot slot, TResult result);

    async Task LogFailureOf(ValueTask told)
    {
        try
        {
            await told.ConfigureAwait(false);
        }
        catch (Exception failure)
        {
            log.Failed("task management", failure);
        }
    }

    internal override void Fail(CommandSlot slot, Exception failure) =>
        slot.SetResult(BlockDeviceAdapter.Translate("command", failure, log, slot.Scsi.Aborted), UsesDescriptorSense);

    /// <summary>Whether sense data is to come in descriptor format.</summary>
    protected virtual bool UsesDescriptorSense => false;
}

/// <summary>A block handler behind a device server of its own, so that every CDB works at either pass level.</summary>
sealed class BlockCommandServer : CommandServer<ScsiResult>
{
    /// <summary>
    /// Smaller reads are copied into their buffers. From a page on nothing was lost by the place, at any size measured: with a light initiator it made 1.04 to 1.13 times as many
    /// reads as the copy, from 4 KiB to 1 MiB, for 0.75 to 0.81 of the processor time where many were under way. What is smaller is mostly what several hosts have for signs of life: of a copy none of them sees a part.
    /// </summary>
    const int LeastInPlaceBytes = 4096;

    readonly BlockHandler _handler;
    readonly BlockDeviceAdapter _device;
    readonly DeviceServer _server;
    readonly bool _isBehindKernel;

    // Set where there is nobody else to tell it: behind a kernel. 1: the next command hears that the capacity has changed.
    int _capacityAttention;

    // Under the lock: sizes are told in their order.
    readonly Lock _sizeLock = new();
    Action<long>? _tellSize;
    bool _answersInPlace;
    volatile ReadyMessage _ready;

    internal BlockCommandServer(BlockHandler handler, DeviceInfo device, string askedLevel, ErrorLog log)
        : base(log)
    {
        _handler = handler;
        _isBehindKernel = device.IsBehindKernel;
        BlockDeviceFeatures features = handler.Features | (handler.IsReadOnly || device.ReadOnly ? BlockDeviceFeatures.ReadOnly : BlockDeviceFeatures.None);
        if (features.HasFlag(BlockDeviceFeatures.ReadOnly))
        {
            features &= ~BlockDeviceFeatures.WriteZeroes; // what is thin stays so, though nothing can be unmapped
        }

        if (!features.HasFlag(BlockDeviceFeatures.Unmap))
        {
            features &= ~(BlockDeviceFeatures.Extents | BlockDeviceFeatures.Resources); // all of it is mapped
        }

        int blockSize = handler.BlockSize;
        long sizeBytes = handler.SizeBytes;
        CheckShape(sizeBytes, blockSize);
        BlockDeviceInfo info = new()
        {
            SizeBytes = sizeBytes,
            BlockSize = blockSize,
            Features = features,
            Serial = device.Serial.Length > 0 ? device.Serial : device.Name,
            AtomicWriteBytes = handler.AtomicWriteBytes,
        };
        if (handler.Product.Length > 0)
        {
            info = info with { Product = handler.Product };
        }

        if (handler.MaxTransferBytes > 0)
        {
            info = info with { MaxTransferBytes = handler.MaxTransferBytes };
        }

        _device = new BlockDeviceAdapter(handler, info, log);
        _server = new DeviceServer(_device, keepsAtomicCommandsApart: true)
        {
            TimeSource = TimeProvider.System,
            TellsResources = askedLevel != ReadyMessage.LevelAll, // to the target, which watches thresholds; nobody does so at level all
            HasCopyManager = !device.IsBehindKernel, // the target's, which copies at this level too
            StartInBackground = static work => ThreadPool.QueueUserWorkItem(static work => work(), work, preferLocal: false),
        };
        string level = askedLevel.Length > 0 ? askedLevel : ReadyMessage.LevelIo;
        OwnMemory = level == ReadyMessage.LevelIo ? handler.OwnMemory : null;
        string[] abilities = [ReadyMessage.RingWaitFlags, ReadyMessage.RingTaskManagement, ReadyMessage.RingServiceTimes];
        _ready = new ReadyMessage
        {
            SizeBytes = sizeBytes,
            BlockSize = blockSize,
            Level = level,
            Features = Names(features, handler.IsVolatile),
            Ring = OwnMemory is null ? abilities : [.. abilities, ReadyMessage.RingOwnMemory],
            MemoryBytes = OwnMemory?.LengthBytes ?? 0,
            Product = handler.Product,
            MaxTransferBytes = handler.MaxTransferBytes,
            AtomicWriteBytes = handler.AtomicWriteBytes,
        };
        handler.SizeHasChanged = SizeHasChanged;
    }

    internal override ReadyMessage Ready => _ready;

    internal override bool IsThreadSafe => _handler.IsThreadSafe;

    void SizeHasChanged()
    {
        lock (_sizeLock)
        {
            long sizeBytes = _handler.SizeBytes;
            CheckShape(sizeBytes, BlockSize);
            if (sizeBytes != _ready.SizeBytes)
            {
                _ready = _ready with { SizeBytes = sizeBytes };
                _device.Info = _device.Info with { SizeBytes = sizeBytes };
                Volatile.Write(ref _capacityAttention, _isBehindKernel ? 1 : 0);
                _tellSize?.Invoke(sizeBytes);
            }
        }
    }

    internal override async ValueTask ResizeAsync(long sizeBytes)
    {
        CheckShape(sizeBytes, BlockSize);
        await _handler.ResizeAsync(sizeBytes).ConfigureAwait(false);
        SizeHasChanged();
    }

    internal override void TellSizes(Action<long>? tell, long known)
    {
        lock (_sizeLock)
        {
            _tellSize = tell;
            if (_ready.SizeBytes != known)
            {
                tell?.Invoke(_ready.SizeBytes);
            }
        }
    }

    internal override SharedMemory? OwnMemory { get; }

    internal override bool TryStart(CommandSlot slot) =>
        (_answersInPlace && slot.Scsi.DataIn.Length >= LeastInPlaceBytes && TryAnswerInPlace(slot)) || base.TryStart(slot);

    /// <summary>A read whose data stands in the handler's own memory is answered with the place. False for anything else, which goes its usual way.</summary>
    bool TryAnswerInPlace(CommandSlot slot)
    {
        int length = slot.Scsi.DataIn.Length;
        if (!_server.TryCheckTransfer(slot.Scsi.Cdb.Span, out long offset, out int wanted, out bool isWrite, out bool isDurable, out _)
            || isWrite || isDurable || length > wanted)
        {
            return false;
        }

        try
        {
            long place = _handler.Locate(offset, length);
            if (place < 0)
            {
                return false;
            }

            if (length > OwnMemory!.LengthBytes - place)
            {
                throw new InvalidOperationException($"Locate named place {place} for {length} bytes, in a memory of {OwnMemory.LengthBytes}");
            }

            _server.Statistics.Count(isWrite: false, length);
            slot.SetPlace(place);
        }
        catch (Exception failure)
        {
            Fail(slot, failure);
        }

        return true;
    }

    protected override ValueTask<ScsiResult> ExecuteAsync(in ScsiCommand command) =>
        TakesCapacityAttention(command.Cdb.Span)
            ? new(ScsiResult.Check(SenseKey.UnitAttention, AdditionalSense.CapacityDataChanged))
            : _server.ExecuteAsync(new DeviceCommand(command.Cdb, command.DataOut, command.DataIn, command.Aborted));

    // The kernel does not tell who sent a command: the first that comes hears of it, whosever it is. SAM-5 clause 5.14 says which commands hear of nothing.
    bool TakesCapacityAttention(ReadOnlySpan<byte> cdb) =>
        Volatile.Read(ref _capacityAttention) != 0 && cdb[0] is not (OperationCode.Inquiry or OperationCode.ReportLuns or OperationCode.RequestSense)
        && Interlocked.Exchange(ref _capacityAttention, 0) != 0;

    protected override ref ValueTaskAwaiter<ScsiResult> AwaiterOf(CommandSlot slot) => ref slot.Block;

    protected override void SetResult(CommandSlot slot, ScsiResult result) => slot.SetResult(result, UsesDescriptorSense);

    // At pass level io no MODE SELECT comes this far.
    protected override bool UsesDescriptorSense => _server.Control.DescriptorSense;

    // A target that comes is a device server's power on.
    internal override void SetAbilities(bool canKeepBuffers, bool hasOwnMemory)
    {
        _answersInPlace = hasOwnMemory && OwnMemory is not null;
        _server.Reset();
    }

    protected override ValueTask OnTaskManagementAsync(TaskManagementNotice notice)
    {
        if (notice.Function is TaskManagementFunction.LogicalUnitReset or TaskManagementFunction.TargetWarmReset or TaskManagementFunction.TargetColdReset)
        {
            _server.Reset();
        }

        return _handler.OnTaskManagementAsync(notice);
    }

    protected override async ValueTask CloseHandlerAsync()
    {
        await _server.StopBackgroundAsync().ConfigureAwait(false);
        await _handler.CloseAsync().ConfigureAwait(false);
    }

    static string[] Names(BlockDeviceFeatures features, bool isVolatile)
    {
        List<string> names = [];
        if (features.HasFlag(BlockDeviceFeatures.Flush))
        {
            names.Add(ReadyMessage.FeatureFlush);
        }

        if (features.HasFlag(BlockDeviceFeatures.Unmap))
        {
            names.Add(ReadyMessage.FeatureUnmap);
        }

        if (features.HasFlag(BlockDeviceFeatures.WriteZeroes))
        {
            names.Add(ReadyMessage.FeatureWriteZeroes);
        }

        if (features.HasFlag(BlockDeviceFeatures.Extents))
        {
            names.Add(ReadyMessage.FeatureExtents);
        }

        if (features.HasFlag(BlockDeviceFeatures.Resources))
        {
            names.Add(ReadyMessage.FeatureResources);
        }

        if (features.HasFlag(BlockDeviceFeatures.ReadOnly))
        {
            names.Add(ReadyMessage.FeatureReadOnly);
        }

        if (isVolatile)
        {
            names.Add(ReadyMessage.FeatureVolatile);
        }

        return [.. names];
    }
}

/// <summary>A handler that answers CDBs itself.</summary>
sealed class RawCommandServer : CommandServer<CommandResult>
{
    readonly CommandHandler _handler;

    internal RawCommandServer(CommandHandler handler, ErrorLog log)
        : base(log)
    {
        _handler = handler;
        CheckShape(handler.SizeBytes, handler.BlockSize);
        Ready = new ReadyMessage
        {
            SizeBytes = handler.SizeBytes,
            BlockSize = handler.BlockSize,
            Level = ReadyMessage.LevelAll,
            Features = handler.IsVolatile ? [ReadyMessage.FeatureVolatile] : [],
            Ring = [ReadyMessage.RingWaitFlags, ReadyMessage.RingTaskManagement, ReadyMessage.RingKeepBuffers, ReadyMessage.RingServiceTimes],
            MaxTransferBytes = handler.MaxTransferBytes,
        };
    }

    internal override ReadyMessage Ready { get; }

    internal override bool IsThreadSafe => _handler.IsThreadSafe;

    protected override ValueTask<CommandResult> ExecuteAsync(in ScsiCommand command) => _handler.ExecuteAsync(command);

    protected override ref ValueTaskAwaiter<CommandResult> AwaiterOf(CommandSlot slot) => ref slot.Raw;

    protected override void SetResult(CommandSlot slot, CommandResult result) => slot.SetResult(result);

    internal override void SetAbilities(bool canKeepBuffers, bool hasOwnMemory) => _handler.CanKeepBuffers = canKeepBuffers;

    protected override ValueTask OnTaskManagementAsync(TaskManagementNotice notice) => _handler.OnTaskManagementAsync(notice);

    protected override ValueTask CloseHandlerAsync() => _handler.CloseAsync();
}
