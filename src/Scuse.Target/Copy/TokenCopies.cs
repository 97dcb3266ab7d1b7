using System.Buffers;
using System.Buffers.Binary;
using Scuse.Device;
using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>POPULATE TOKEN and WRITE USING TOKEN, once their parameter lists are read: offloaded data transfer. SBC-3; in SBC-5 clause 4.28.</summary>
/// <remarks>
/// Whoever has a token may copy with it, but reads and writes only what the nexus that does so could read and write itself. Pieces are read and written as an EXTENDED COPY's are. Before each piece is written it is
/// made sure that nobody has written to the token's blocks.
/// </remarks>
sealed class TokenCopies(ScsiTarget target, RodTokens tokens)
{
    /// <summary>What is read, then written, at a time.</summary>
    const int PieceBytes = 512 << 10;

    public async ValueTask<ScsiResult> PopulateAsync(CopyOperation operation, TokenParameterList list, CancellationToken aborted)
    {
        using var transfer = new CopyTransfer(target, operation.Nexus, aborted);
        ScsiResult refusal = await transfer.RunAsync(operation.Unit, isWrite: false, 0, 0, Memory<byte>.Empty);
        if (!refusal.IsGood)
        {
            return refusal; // stopped, being formatted: as a read would end
        }

        operation.CommandsDone++;
        if (list.BlockCount == 0)
        {
            return ScsiResult.Good; // of nothing there is no token
        }

        if (tokens.Create(operation.Unit, list.Ranges, list.Type, list.InactivitySeconds, operation.Nexus) is not { } token)
        {
            return ScsiResult.Check(SenseKey.IllegalRequest, AdditionalSense.InsufficientResourcesToCreateRodToken);
        }

        operation.BytesCopied = token.LengthBytes;
        operation.Token = token.Bytes.ToArray();
        return ScsiResult.Good;
    }

    public async ValueTask<ScsiResult> WriteAsync(CopyOperation operation, TokenParameterList list, CancellationToken aborted)
    {
        if (!TryFind(list, operation.Nexus, out RodToken? token, out SenseData refusal))
        {
            return ScsiResult.Check(refusal);
        }

        int blockBytes = operation.Unit.Backstore.Info.BlockSize;
        if (token is not null && list.OffsetIntoRod >= (ulong)(token.LengthBytes + blockBytes - 1) / (uint)blockBytes)
        {
            return ScsiResult.Check(SenseData.InvalidFieldInParameterList(TokenParameterList.OffsetIntoRodOffset));
        }

        if (token is not null)
        {
            RodTokens.Use(token);
        }

        try
        {
            return await WriteAsync(operation, list, token, blockBytes, aborted);
        }
        finally
        {
            if (token is not null)
            {
                tokens.Used(token, list.DeletesToken);
            }
        }
    }

    /// <summary>The token that is meant; null is the zero token.</summary>
    bool TryFind(TokenParameterList list, Nexus nexus, out RodToken? token, out SenseData refusal)
    {
        token = null;
        uint type = BinaryPrimitives.ReadUInt32BigEndian(list.Token.AsSpan(RodToken.TypeOffset));
        ushort code =
            BinaryPrimitives.ReadUInt16BigEndian(list.Token.AsSpan(RodToken.LengthOffset)) != RodToken.LengthField ? AdditionalSense.InvalidTokenLength
            : type is not (ThirdPartyCopyLimits.BlockDeviceZero or ThirdPartyCopyLimits.PointInTimeDefault or ThirdPartyCopyLimits.PointInTimeChangeVulnerable)
                ? AdditionalSense.UnsupportedTokenType
            : AdditionalSense.None;
        if (code == AdditionalSense.None && type != ThirdPartyCopyLimits.BlockDeviceZero)
        {
            token = tokens.Find(list.Token, nexus, out code);
        }

        refusal = new SenseData(SenseKey.IllegalRequest, code);
        return code == AdditionalSense.None;
    }

    async ValueTask<ScsiResult> WriteAsync(CopyOperation operation, TokenParameterList list, RodToken? token, int blockBytes, CancellationToken aborted)
    {
        using var transfer = new CopyTransfer(target, operation.Nexus, aborted);
        ScsiResult refusal = await transfer.RunAsync(operation.Unit, isWrite: true, 0, 0, Memory<byte>.Empty);
        if (!refusal.IsGood)
        {
            return refusal; // stopped, write protected: as a write would end
        }

        long from = token is null ? 0 : (long)list.OffsetIntoRod * blockBytes;
        byte[] memory = ArrayPool<byte>.Shared.Rent(PieceBytes);
        try
        {
            foreach (BlockRun range in list.Ranges)
            {
                long written = await WriteRangeAsync(operation, transfer, range, token, from, memory, aborted);
                from += written;
                if (written < (long)range.BlockCount * blockBytes)
                {
                    break;
                }
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(memory);
        }

        long blocks = operation.BytesCopied / blockBytes;
        if (blocks == list.BlockCount)
        {
            return ScsiResult.Good;
        }

        operation.HasResidual = true;
        return ScsiResult.Check(new SenseData(blocks == 0 ? SenseKey.IllegalRequest : SenseKey.CopyAborted, AdditionalSense.CopyTargetDeviceDataUnderrun) { Information = (ulong)blocks });
    }

    /// <summary>How many bytes of the range have been written: all, up to the end of what the token stands for, or up to what went wrong.</summary>
    static async ValueTask<long> WriteRangeAsync(
        CopyOperation operation, CopyTransfer transfer, BlockRun range, RodToken? token, long from, byte[] memory, CancellationToken aborted)
    {
        BlockDeviceInfo info = operation.Unit.Backstore.Info;
        int most = Math.Min(PieceBytes, info.MaxTransferBytes);
        most = Math.Max(info.BlockSize, most - (most % info.BlockSize));
        long length = (long)range.BlockCount * info.BlockSize;
        long done = 0;
        while (done < length && !aborted.IsCancellationRequested)
        {
            int wanted = (int)Math.Min(most, length - done);
            int whole = token is null ? wanted : (int)Math.Min(wanted, WholeBlocks(token.LengthBytes - from - done, info.BlockSize));
            if (whole <= 0)
            {
                break;
            }

            Memory<byte> piece = memory.AsMemory(0, whole);
            piece.Span.Clear(); // what the token does not reach into is zeros
            if (token is not null && !await ReadAsync(operation, transfer, token, from + done, piece, aborted))
            {
                break;
            }

            ScsiResult result = aborted.IsCancellationRequested || token is { State: not RodTokenState.Valid }
                ? ScsiResult.Check(SenseKey.AbortedCommand, AdditionalSense.None)
                : await transfer.RunAsync(operation.Unit, isWrite: true, range.Lba + (ulong)(done / info.BlockSize), (uint)(whole / info.BlockSize), piece);
            if (!result.IsGood)
            {
                break;
            }

            operation.CommandsDone++;
            operation.BytesCopied += whole;
            done += whole;
        }

        return done;
    }

    static long WholeBlocks(long bytes, int blockSize) => (bytes + blockSize - 1) / blockSize * blockSize;

    /// <summary>Reads data of the token from a byte on, as far as there is some.</summary>
    static async ValueTask<bool> ReadAsync(CopyOperation operation, CopyTransfer transfer, RodToken token, long from, Memory<byte> into, CancellationToken aborted)
    {
        BlockDeviceInfo source = token.Source.Backstore.Info;
        int most = Math.Max(source.BlockSize, Math.Min(PieceBytes, source.MaxTransferBytes) / source.BlockSize * source.BlockSize);
        byte[]? scratch = null;
        try
        {
            for (int at = 0; at < into.Length && TryLocate(token, from + at, out ulong lba, out int skip, out long rest);)
            {
                int length = (int)Math.Min(Math.Min(into.Length - at, rest), most - skip);
                int covered = (int)WholeBlocks(skip + length, source.BlockSize);
                bool isAligned = skip == 0 && covered == length;
                Memory<byte> room = isAligned ? into.Slice(at, length) : (scratch ??= ArrayPool<byte>.Shared.Rent(PieceBytes)).AsMemory(0, covered);
                ScsiResult read = await transfer.RunAsync(token.Source, isWrite: false, lba, (uint)(covered / source.BlockSize), room);
                if (!read.IsGood || aborted.IsCancellationRequested || token.State != RodTokenState.Valid)
                {
                    return false;
                }

                operation.CommandsDone++;
                if (!isAligned)
                {
                    room.Slice(skip, length).CopyTo(into[at..]);
                }

                at += length;
            }

            return token.State == RodTokenState.Valid;
        }
        finally
        {
            if (scratch is not null)
            {
                ArrayPool<byte>.Shared.Return(scratch);
            }
        }
    }

    /// <summary>Where a byte of the data is, and how many follow in the same range.</summary>
    static bool TryLocate(RodToken token, long offset, out ulong lba, out int skip, out long rest)
    {
        foreach (BlockRun range in token.Ranges)
        {
            long length = (long)range.BlockCount * token.BlockBytes;
            if (offset < length)
            {
                lba = range.Lba + (ulong)(offset / token.BlockBytes);
                skip = (int)(offset % token.BlockBytes);
                rest = length - offset;
                return true;
            }

            offset -= length;
        }

        (lba, skip, rest) = (0, 0, 0);
        return false;
    }
}
