using System.Buffers;
using System.Buffers.Binary;
using Scuse.Device;
using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>
/// The copy manager: EXTENDED COPY between the logical units of this target, LID1 and LID4 (SPC-4 clauses 5.17, 6.4 and 6.5), and who runs copies by token.
/// </summary>
/// <remarks>
/// A nexus copies between logical units that it sees and only as it could itself with reads and writes: what a designator names is sought among those alone.
/// A copy moves a piece at a time, with one piece of memory; between pieces everybody else goes on. It is not atomic. A raw handler's own designators are not known
/// here, only those that go with the serial number.
/// </remarks>
sealed class CopyManager(ScsiTarget target)
{
    /// <summary>What is read, then written, at a time.</summary>
    const int PieceBytes = 512 << 10;

    const int ListIdentifierOffset = 6, ParameterListLengthOffset = 10;
    const byte BlockDevice = 0x00;

    /// <summary>How many copies there may be at a time, of all nexuses: each has a piece of memory. That one nexus alone cannot have them all, the limit for each sees to.</summary>
    const int MaxUnderWay = 8 * ThirdPartyCopyLimits.MaxConcurrentCopies;

    readonly TokenCopies _tokenCopies = new(target, target.Tokens);
    readonly List<CopyOperation> _background = [];
    int _underWay;

    /// <summary>Does a THIRD-PARTY COPY OUT command. <paramref name="aborted"/> ends the copy as soon as the device has let go of the piece that it has.</summary>
    public ValueTask<ScsiResult> ExecuteAsync(ScsiTask task, CancellationToken aborted)
    {
        byte serviceAction = (byte)(task.Cdb[1] & ServiceAction.Mask);
        if (serviceAction is not (ServiceAction.ExtendedCopyLid1 or ServiceAction.ExtendedCopyLid4 or ServiceAction.PopulateToken or ServiceAction.WriteUsingToken))
        {
            return new(ScsiResult.Check(SenseData.InvalidFieldInCdb(1)));
        }

        if (BinaryPrimitives.ReadUInt32BigEndian(task.Cdb[ParameterListLengthOffset..]) == 0)
        {
            return new(ScsiResult.Good); // no error: nothing is copied
        }

        byte[] bytes = task.DataOut.ToArray();
        LogicalUnit unit = task.LogicalUnit!;
        if (serviceAction is ServiceAction.ExtendedCopyLid1 or ServiceAction.ExtendedCopyLid4)
        {
            return CopyParameterList.TryParse(bytes, serviceAction == ServiceAction.ExtendedCopyLid4, out CopyParameterList list, out SenseData refusal)
                ? RunAsync(new CopyOperation(unit, task.Nexus, list.ListIdentifier, serviceAction), list.IsIdentified, isImmediate: false, (operation, ending) => CopyAsync(operation, list, ending), aborted)
                : new(ScsiResult.Check(refusal));
        }

        return ExecuteWithToken(unit, task.Nexus, serviceAction, BinaryPrimitives.ReadUInt32BigEndian(task.Cdb[ListIdentifierOffset..]), bytes, aborted);
    }

    ValueTask<ScsiResult> ExecuteWithToken(LogicalUnit unit, Nexus nexus, byte serviceAction, uint listIdentifier, byte[] bytes, CancellationToken aborted)
    {
        bool populates = serviceAction == ServiceAction.PopulateToken;
        BlockDeviceInfo info = unit.Backstore.Info;
        if (populates
            ? !TokenParameterList.TryParsePopulate(bytes, info, out TokenParameterList list, out SenseData refusal)
            : !TokenParameterList.TryParseWrite(bytes, info, out list, out refusal))
        {
            return new(ScsiResult.Check(refusal));
        }

        return RunAsync(
            new CopyOperation(unit, nexus, listIdentifier, serviceAction),
            isIdentified: true,
            list.IsImmediate,
            populates ? (operation, ending) => _tokenCopies.PopulateAsync(operation, list, ending) : (operation, ending) => _tokenCopies.WriteAsync(operation, list, ending),
            aborted);
    }

    /// <summary>
    /// Runs a copy that is known by its list identifier, if it has one, from now on. With <paramref name="isImmediate"/> it goes on by itself, until it is done or what would have ended its command
    /// ends it.
    /// </summary>
    ValueTask<ScsiResult> RunAsync(
        CopyOperation operation, bool isIdentified, bool isImmediate, Func<CopyOperation, CancellationToken, ValueTask<ScsiResult>> copy, CancellationToken aborted)
    {
        CopyOperations known = operation.Nexus.Copies;
        if (isIdentified && known.Find(operation.Unit, operation.ListIdentifier) is { Result: null })
        {
            return new(ScsiResult.Check(SenseKey.IllegalRequest, AdditionalSense.OperationInProgress));
        }

        if (operation.Nexus.CopiesUnderWay == ThirdPartyCopyLimits.MaxConcurrentCopies || _underWay == MaxUnderWay)
        {
            return new(ScsiResult.With(ScsiStatus.Busy));
        }

        if (isIdentified)
        {
            known.Add(operation);
        }

        if (!isImmediate)
        {
            return RunAsync(operation, copy, aborted);
        }

        operation.Background = new CancellationTokenSource();
        _background.Add(operation);
        _ = RunInBackgroundAsync(operation, copy);
        return new(ScsiResult.Good);
    }

    async ValueTask<ScsiResult> RunAsync(CopyOperation operation, Func<CopyOperation, CancellationToken, ValueTask<ScsiResult>> copy, CancellationToken aborted)
    {
        _underWay++;
        operation.Nexus.CopiesUnderWay++;
        ScsiResult result = ScsiResult.Check(SenseKey.CopyAborted, AdditionalSense.None);
        try
        {
            result = await copy(operation, aborted);
            return result;
        }
        finally
        {
            _underWay--;
            operation.Nexus.CopiesUnderWay--;
            operation.Result = result;
        }
    }

    // There is nobody to tell of an exception, but the result says that it has failed.
    async Task RunInBackgroundAsync(CopyOperation operation, Func<CopyOperation, CancellationToken, ValueTask<ScsiResult>> copy)
    {
        CancellationTokenSource background = operation.Background!;
        try
        {
            await RunAsync(operation, copy, background.Token);
        }
        finally
        {
            _background.Remove(operation);
            if (background.IsCancellationRequested)
            {
                operation.Result = ScsiResult.With(ScsiStatus.TaskAborted);
            }
        }
    }

    /// <summary>What would have aborted the commands of a nexus in a logical unit, or of all, ends its copies in the background there. What the device has of them goes on to its end.</summary>
    public void EndBackground(LogicalUnit unit, Func<Nexus, bool> isMeant)
    {
        for (int i = _background.Count - 1; i >= 0; i--)
        {
            if (i < _background.Count && _background[i].Unit == unit && isMeant(_background[i].Nexus))
            {
                _background[i].Background!.Cancel(); // perhaps it ends at once
            }
        }
    }

    async ValueTask<ScsiResult> CopyAsync(CopyOperation operation, CopyParameterList list, CancellationToken aborted)
    {
        Nexus nexus = operation.Nexus;
        LogicalUnit?[] units = [.. list.Devices.Select(device => Find(nexus, device))];
        for (int i = 0; i < units.Length; i++)
        {
            if (units[i] is { } unit && list.Devices[i].BlockBytes != 0 && list.Devices[i].BlockBytes != unit.Backstore.Info.BlockSize)
            {
                const int blockLengthOffset = 29;
                return ScsiResult.Check(SenseData.InvalidFieldInParameterList(list.Devices[i].Offset + blockLengthOffset));
            }
        }

        using var transfer = new CopyTransfer(target, nexus, aborted);
        byte[] memory = ArrayPool<byte>.Shared.Rent(PieceBytes);
        try
        {
            for (int index = 0; index < list.Segments.Count; index++)
            {
                operation.SegmentsProcessed = index + 1;
                if (!TryLocate(list.Segments[index], list, units, out CopyRange range, out ushort failure))
                {
                    return Failed(index, failure);
                }

                failure = await CopyAsync(operation, range, transfer, memory, aborted);
                if (failure != AdditionalSense.None || aborted.IsCancellationRequested)
                {
                    return Failed(index, failure);
                }
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(memory);
        }

        return ScsiResult.Good;
    }

    /// <summary>COPY ABORTED, with the number of the segment in the COMMAND-SPECIFIC INFORMATION field. SPC-4 clause 5.17.7.4.</summary>
    static ScsiResult Failed(int segment, ushort code) => ScsiResult.Check(new SenseData(SenseKey.CopyAborted, code) { CommandSpecific = (ulong)segment });

    /// <summary>The logical unit that is meant, among those that the nexus sees.</summary>
    LogicalUnit? Find(Nexus nexus, CopyDevice device)
    {
        if (device.IsNull || device.DeviceType != BlockDevice)
        {
            return null;
        }

        foreach (LogicalUnit unit in target.UnitsVisibleTo(nexus))
        {
            if (unit.Backstore.IsOpen
                && LogicalUnitDesignators.Match(unit.Backstore.Info, device.CodeSet, device.Association, device.DesignatorType, device.Designator))
            {
                return unit;
            }
        }

        return null;
    }

    static bool TryLocate(CopySegment segment, CopyParameterList list, LogicalUnit?[] units, out CopyRange range, out ushort failure)
    {
        range = default;
        if (segment.Source >= units.Length || segment.Destination >= units.Length)
        {
            failure = AdditionalSense.UnreachableCopyTarget;
            return false;
        }

        if (units[segment.Source] is not { } source || units[segment.Destination] is not { } destination)
        {
            bool isOther = list.Devices[segment.Source].DeviceType != BlockDevice || list.Devices[segment.Destination].DeviceType != BlockDevice;
            failure = isOther ? AdditionalSense.IncorrectCopyTargetDeviceType : AdditionalSense.CopyTargetDeviceNotReachable;
            return false;
        }

        int sourceBlock = source.Backstore.Info.BlockSize, destinationBlock = destination.Backstore.Info.BlockSize;
        long length = segment.Count * segment.CountedIn switch
        {
            CopyUnit.SourceBlocks => sourceBlock,
            CopyUnit.DestinationBlocks => destinationBlock,
            _ => 1L,
        };

        // Parts of blocks are not copied.
        int largest = Math.Max(sourceBlock, destinationBlock);
        if (length % largest != 0 || segment.SourceOffset % sourceBlock != 0 || segment.DestinationOffset % destinationBlock != 0)
        {
            failure = AdditionalSense.InexactSegment;
            return false;
        }

        if (length > ThirdPartyCopyLimits.MaxSegmentBytes)
        {
            failure = AdditionalSense.InvalidFieldInParameterList;
            return false;
        }

        ulong sourceLba = segment.SourceLba + (uint)(segment.SourceOffset / sourceBlock);
        ulong destinationLba = segment.DestinationLba + (uint)(segment.DestinationOffset / destinationBlock);
        if (!IsOn(source, segment.SourceLba, sourceLba, length / sourceBlock) || !IsOn(destination, segment.DestinationLba, destinationLba, length / destinationBlock))
        {
            failure = AdditionalSense.CopyTargetDeviceNotReachable;
            return false;
        }

        range = new CopyRange(source, destination, sourceLba, destinationLba, length);
        failure = AdditionalSense.None;
        return true;
    }

    static bool IsOn(LogicalUnit unit, ulong asked, ulong lba, long blockCount)
    {
        ulong capacity = unit.Backstore.Info.BlockCount;
        return lba >= asked && lba <= capacity && (ulong)blockCount <= capacity - lba;
    }

    /// <summary>Copies a range; the result is what went wrong, or none.</summary>
    static async ValueTask<ushort> CopyAsync(CopyOperation operation, CopyRange range, CopyTransfer transfer, byte[] memory, CancellationToken aborted)
    {
        BlockDeviceInfo source = range.Source.Backstore.Info, destination = range.Destination.Backstore.Info;
        int largest = Math.Max(source.BlockSize, destination.BlockSize);
        int most = Math.Min(PieceBytes, Math.Min(source.MaxTransferBytes, destination.MaxTransferBytes));
        most = Math.Max(largest, most - (most % largest));

        // Where the two overlap, what is yet to be read must not be written over.
        bool isBackwards = range.Source == range.Destination && range.DestinationLba > range.SourceLba;
        for (long done = 0; done < range.LengthBytes;)
        {
            int length = (int)Math.Min(most, range.LengthBytes - done);
            long at = isBackwards ? range.LengthBytes - done - length : done;
            Memory<byte> piece = memory.AsMemory(0, length);
            ScsiResult read = await transfer.RunAsync(
                range.Source, isWrite: false, range.SourceLba + (ulong)(at / source.BlockSize), (uint)(length / source.BlockSize), piece);
            if (aborted.IsCancellationRequested || !read.IsGood)
            {
                return AdditionalSense.ThirdPartyDeviceFailure;
            }

            ScsiResult written = await transfer.RunAsync(
                range.Destination, isWrite: true, range.DestinationLba + (ulong)(at / destination.BlockSize), (uint)(length / destination.BlockSize), piece);
            if (aborted.IsCancellationRequested || !written.IsGood)
            {
                return AdditionalSense.ThirdPartyDeviceFailure;
            }

            done += length;
            operation.CommandsDone += 2;
            operation.BytesCopied += length;
        }

        return AdditionalSense.None;
    }

    readonly record struct CopyRange(LogicalUnit Source, LogicalUnit Destination, ulong SourceLba, ulong DestinationLba, long LengthBytes);
}
