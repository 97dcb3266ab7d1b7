using System.Runtime.CompilerServices;
using Scuse.Linux;
using Scuse.Ring;
using Scuse.Scsi;

namespace Scuse.Serving;

/// <summary>Why a slot was handed back to its serving thread.</summary>
enum SlotStage
{
    /// <summary>Its task has completed: the result is to be taken and answered.</summary>
    Running,

    /// <summary>It has a result, whose answer waited for the kept buffers to be given back.</summary>
    Withheld,

    /// <summary>It was answered, and its kept buffers are given back.</summary>
    Kept,
}

/// <summary>
/// One command under way: the entry taken from the ring, its buffers, and its answer. Reused for commands of any ring of its thread, so that commands
/// allocate nothing.
/// </summary>
#pragma warning disable CA1001 // a token source without a timer or a wait handle holds nothing that needs disposing
sealed class CommandSlot
#pragma warning restore CA1001
{
    readonly ServingThread _thread;
    readonly Action _completed;
    readonly byte[] _sense = new byte[RingAbi.SenseBytes];

    // Data-Out or Data-In first, then Data-In of a bidirectional command.
    Memory<byte>[] _segments = new Memory<byte>[8];
    Memory<byte>[] _bidiSegments = [];
    CancellationTokenSource _aborted = new();
    ValueTaskAwaiter<ScsiResult> _block;
    ValueTaskAwaiter<CommandResult> _raw;

    internal CommandSlot(ServingThread thread)
    {
        _thread = thread;
        _completed = () => _thread.Complete(this);
    }

    internal HandlerCommand Command { get; } = new();

    /// <summary>The ring that the command came from.</summary>
    internal ServedRing Ring { get; private set; } = null!;

    internal SlotStage Stage { get; set; }

    /// <summary>When it was taken, on the clock of <see cref="System.Diagnostics.Stopwatch"/>; only where the target is told how long commands take.</summary>
    internal long TakenAt { get; set; }

    internal ScsiCommand Scsi { get; private set; }

    /// <summary>The task of a block handler's command that did not complete at once.</summary>
    internal ref ValueTaskAwaiter<ScsiResult> Block => ref _block;

    /// <summary>The task of a raw handler's command that did not complete at once.</summary>
    internal ref ValueTaskAwaiter<CommandResult> Raw => ref _raw;

    internal ScsiStatus Status { get; private set; }

    internal ReadOnlySpan<byte> Sense => _sense.AsSpan(0, SenseLength);

    internal ResponseFlags Flags { get; private set; }

    internal uint ReadLength { get; private set; }

    /// <summary>Where in the handler's own memory the data stands; with <see cref="ResponseFlags.OwnMemory"/>.</summary>
    internal long Place { get; private set; }

    /// <summary>The hold on the buffers that came with the result, if any.</summary>
    internal KeptBuffers? Keep { get; private set; }

    /// <summary>The next in whichever list the slot is: the free ones or the completed ones.</summary>
    internal CommandSlot? Next { get; set; }

    int SenseLength { get; set; }

    /// <summary>Makes the buffers from the extents of the command just taken.</summary>
    internal void Prepare(ServedRing ring, MappedRegion region, int blockSize)
    {
        Ring = ring;
        DataBuffer data = Collect(region, Command.Data, ref _segments);
        TransferDirection direction = CdbTransfer.Describe(Command.Cdb, blockSize).Direction;
        DataBuffer dataOut, dataIn;
        if (!Command.BidiDataIn.IsEmpty)
        {
            dataOut = data;
            dataIn = Collect(region, Command.BidiDataIn, ref _bidiSegments);
        }
        else
        {
            dataOut = direction == TransferDirection.In ? default : data;
            dataIn = direction == TransferDirection.Out ? default : data;
        }

        Scsi = new ScsiCommand(Command.CdbMemory, dataOut, dataIn, direction, _aborted.Token);
    }

    internal void SetResult(ScsiResult result, bool descriptorSense = false)
    {
        Status = result.Status;
        SenseLength = result.Status != ScsiStatus.CheckCondition ? 0
            : descriptorSense ? result.Sense.WriteDescriptor(_sense)
            : result.Sense.WriteFixed(_sense);
        Flags = ResponseFlags.None;
        ReadLength = 0;
        Keep = null;
        if (result.IsGood && CarriesDataIn)
        {
            SetReadLength(result.DataInLength);
        }
    }

    /// <summary>The result of a read whose data stands in the handler's own memory.</summary>
    internal void SetPlace(long place)
    {
        SetResult(ScsiResult.GoodWith(Scsi.DataIn.Length));
        Flags = ResponseFlags.OwnMemory;
        Place = place;
    }

    internal void SetResult(in CommandResult result)
    {
        Status = result.Status;
        SenseLength = 0;
        Flags = result.IsUnknownOperation ? ResponseFlags.UnknownOp : ResponseFlags.None;
        ReadLength = 0;
        Keep = result.KeepBuffers;
        if (result.Status == ScsiStatus.CheckCondition)
        {
            SenseLength = result.SenseBytes.IsEmpty ? result.Sense.WriteFixed(_sense) : Math.Min(_sense.Length, result.SenseBytes.Length);
            result.SenseBytes.Span[..Math.Min(SenseLength, result.SenseBytes.Length)].CopyTo(_sense);
        }

        if (result.DataInLength is { } length && CarriesDataIn)
        {
            SetReadLength(length);
        }
    }

    /// <summary>Clears what was not filled of the Data-In.</summary>
    internal void ClearRest() => Scsi.DataIn.Slice((int)Math.Min(ReadLength, (uint)Scsi.DataIn.Length)).Clear();

    /// <summary>The command's buffers, which outlived its result, are not needed any more. Called on any thread, once.</summary>
    internal void ReleaseKept() => _thread.Complete(this);

    /// <summary>Calls <see cref="ServingThread.Complete"/> once the task behind the awaiter has completed.</summary>
    internal void CompleteAfter<TAwaiter>(ref TAwaiter awaiter)
        where TAwaiter : ICriticalNotifyCompletion => awaiter.UnsafeOnCompleted(_completed);

    /// <summary>Tells the handler that nobody waits for the answer. What it does about that runs on another thread.</summary>
    internal void Cancel() => _ = _aborted.CancelAsync();

    /// <summary>Makes the slot ready for another command.</summary>
    internal void Reset()
    {
        Ring = null!;
        Stage = SlotStage.Running;
        Keep = null;
        Scsi = default;
        Block = default;
        Raw = default;
        if (!_aborted.TryReset())
        {
            _aborted = new CancellationTokenSource();
        }
    }

    // An operation code that tells no direction may be anything; what it returned is then the handler's word alone.
    bool CarriesDataIn => !Scsi.DataIn.IsEmpty && Scsi.Direction is not (TransferDirection.Out or TransferDirection.None);

    void SetReadLength(int length)
    {
        if (length != Scsi.DataIn.Length)
        {
            Flags |= ResponseFlags.ReadLength;
            ReadLength = (uint)length;
        }
    }

    static DataBuffer Collect(MappedRegion region, ReadOnlySpan<DataExtent> extents, ref Memory<byte>[] segments)
    {
        int count = 0;
        long total = 0;
        foreach (DataExtent extent in extents)
        {
            total += extent.Length;
            if (total > int.MaxValue)
            {
                throw new RingFormatException($"a command has more than {int.MaxValue} bytes of data");
            }

            if (extent.Length == 0)
            {
                continue;
            }

            // An extent beyond 1 GiB takes a second piece.
            if (count + 2 > segments.Length)
            {
                Array.Resize(ref segments, Math.Max(8, segments.Length * 2));
            }

            count += region.Slice(extent.Offset, extent.Length, segments.AsSpan(count));
        }

        return count == 0 ? default : new DataBuffer(segments, count, (int)total);
    }
}
