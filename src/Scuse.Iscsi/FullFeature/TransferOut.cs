using Scuse.Iscsi.Negotiation;
using Scuse.Iscsi.Pdus;

namespace Scuse.Iscsi.FullFeature;

/// <summary>
/// Brings a session's tasks their data from the initiator: immediate, unsolicited, and asked for with R2Ts on the connection that the task is allegiant to.
/// RFC 7143 sections 4.2.5, 11.7 and 11.8.
/// </summary>
/// <remarks>
/// Data comes in the order it was asked for (DataSequenceInOrder and DataPDUInOrder are Yes). Where a part of a sequence is lost, the rest of the sequence is
/// skipped, and from ErrorRecoveryLevel 1 on asked for again behind what is asked for already: RFC 7143 section 7.1.4.1, within-command recovery.
/// </remarks>
internal sealed class TransferOut(SessionParameters parameters, SessionTasks tasks, SessionCounters counters)
{
    /// <summary>How often a task asks again for data that was lost; then it fails. No line that works loses so much.</summary>
    const int MaxRecoveryR2Ts = 16;

    uint _nextTransferTag;

    /// <summary>Whether lost data is asked for again.</summary>
    bool RecoversData => parameters.ErrorRecoveryLevel > 0;

    // ---- the core's side ----

    /// <summary>There is room for the task's data.</summary>
    public void Wanted(IscsiTask task)
    {
        task.State = IscsiTaskState.Collecting;
        task.DataWasTaken = true;
        task.OutCursor = new DataCursor(task.Scsi.DataOut);
        if (task.Staging is { } staging)
        {
            task.OutCursor.Write(staging.AsSpan(0, Math.Min(task.NextOffset, task.Scsi.DataOutLength)));
            tasks.DropStaging(task);
        }

        Progress(task);
    }

    /// <summary>The task has its status; it is sent once no unsolicited data of the task is on its way any more.</summary>
    public void Completed(IscsiTask task)
    {
        task.State = IscsiTaskState.Completed;
        tasks.DropStaging(task);
        AnswerWhenBurstIsOver(task);
    }

    // ---- the initiator's side ----

    /// <summary>Whether a Data-Out PDU continues its task's data in order: if not, one before it is missing. RFC 7143 section 7.9.</summary>
    public static bool IsInSequence(IscsiTask task, in DataOutPdu pdu) => pdu.DataSN == task.ExpDataSN && pdu.BufferOffset == (uint)task.NextOffset;

    /// <summary>
    /// Whether it is unsolicited data that is here already: an initiator that retries a command sends it all once more, since it cannot know whether the
    /// command is missing or held behind another one that is. RFC 7143 section 7.2.1.
    /// </summary>
    public bool IsOfRetry(IscsiTask task, in DataOutPdu pdu) =>
        RecoversData && !task.BurstOpen && pdu.TargetTransferTag == BasicHeader.ReservedTag;

    /// <summary>What is wrong with a Data-Out PDU beside its place in the sequence, or null. It belongs to the task by its tag.</summary>
    public string? Check(IscsiTask task, in DataOutPdu pdu)
    {
        bool solicited = pdu.TargetTransferTag != BasicHeader.ReservedTag;
        int length = pdu.Header.DataSegmentLength;
        int limit;
        if (!solicited)
        {
            if (!task.BurstOpen)
            {
                return "an unsolicited Data-Out came after the end of its burst";
            }

            limit = Math.Min(parameters.FirstBurstLength, task.Scsi.ExpectedDataOut);
        }
        else
        {
            if (task.State != IscsiTaskState.Collecting || task.R2TCount == 0
                || (task.R2Ts[task.FirstR2T].TargetTransferTag != pdu.TargetTransferTag && !TryBringForward(task, pdu.TargetTransferTag)))
            {
                return $"a Data-Out carries target transfer tag 0x{pdu.TargetTransferTag:X8}, which is not the next one asked for";
            }

            limit = task.R2Ts[task.FirstR2T].End;
        }

        if (task.LacksData || !IsInSequence(task, pdu))
        {
            return null; // its place is not known, or it is skipped: its length does not matter
        }

        if (length > limit - task.NextOffset)
        {
            return $"a Data-Out of {length} bytes at offset {pdu.BufferOffset} goes beyond {limit}";
        }

        return solicited && pdu.Header.Final && task.NextOffset + length != limit
            ? $"a Data-Out sequence ended at {task.NextOffset + length}; it was asked for up to {limit}"
            : null;
    }

    /// <summary>
    /// An initiator answers R2Ts in the order that it receives them: a later one comes first when an earlier one was lost on its way. Only between two
    /// sequences, and only where it can be had again.
    /// </summary>
    bool TryBringForward(IscsiTask task, uint targetTransferTag)
    {
        if (!RecoversData || task.LacksData || task.ExpDataSN > 0 || task.NextOffset != task.R2Ts[task.FirstR2T].Offset)
        {
            return false;
        }

        for (int i = 1; i < task.R2TCount; i++)
        {
            ref OpenR2T later = ref task.R2Ts[(task.FirstR2T + i) % task.R2Ts.Length];
            if (later.TargetTransferTag == targetTransferTag)
            {
                (later, task.R2Ts[task.FirstR2T]) = (task.R2Ts[task.FirstR2T], later);
                MoveTo(task, task.R2Ts[task.FirstR2T].Offset);
                return true;
            }
        }

        return false;
    }

    /// <summary>A part of the current sequence is missing: what else comes of it is skipped. False when the task cannot go on.</summary>
    public bool TryLoseRest(IscsiTask task)
    {
        if (!RecoversData)
        {
            return false;
        }

        task.LacksData = true;
        return true;
    }

    /// <summary>The rest of an unsolicited burst is not waited for.</summary>
    public static void GiveUpBurst(IscsiTask task)
    {
        task.BurstOpen = false;
        AnswerWhenBurstIsOver(task);
    }

    /// <summary>Takes bytes of the current segment.</summary>
    public void Store(IscsiTask task, ReadOnlySpan<byte> bytes)
    {
        if (task.State == IscsiTaskState.Collecting)
        {
            // What goes beyond the data that the device takes is skipped.
            int room = Math.Max(task.Scsi.DataOutLength - task.NextOffset, 0);
            task.OutCursor.Write(bytes[..Math.Min(room, bytes.Length)]);
        }
        else if (task.State is IscsiTaskState.Held or IscsiTaskState.Begun)
        {
            bytes.CopyTo(StagingOf(task).AsSpan(task.NextOffset));
        }

        Count(task, bytes.Length);
    }

    /// <summary>Where the rest of the current segment may go directly.</summary>
    public int GetBuffers(IscsiTask task, Span<Memory<byte>> buffers, int remaining)
    {
        if (task.State is IscsiTaskState.Held or IscsiTaskState.Begun)
        {
            buffers[0] = StagingOf(task).AsMemory(task.NextOffset, remaining);
            return 1;
        }

        if (task.State != IscsiTaskState.Collecting)
        {
            return 0;
        }

        int count = 0;
        int room = Math.Min(remaining, task.Scsi.DataOutLength - task.NextOffset);
        DataCursor ahead = task.OutCursor;
        while (room > 0 && count < buffers.Length)
        {
            Memory<byte> piece = ahead.Take(room);
            buffers[count++] = piece;
            room -= piece.Length;
        }

        return count;
    }

    /// <summary>Bytes of the current segment were received where <see cref="GetBuffers"/> said.</summary>
    public void Advance(IscsiTask task, int count)
    {
        if (task.State == IscsiTaskState.Collecting)
        {
            task.OutCursor.Skip(count);
        }

        Count(task, count);
    }

    /// <summary>A segment of the task is complete.</summary>
    public void SegmentEnded(IscsiTask task, bool solicited, bool final)
    {
        if (final)
        {
            SequenceEnded(task, solicited);
        }

        if (task.State == IscsiTaskState.Completed)
        {
            AnswerWhenBurstIsOver(task);
        }
        else if (task.State == IscsiTaskState.Collecting)
        {
            Progress(task);
        }
    }

    /// <summary>A segment of the task, from that offset on, does not match its digest: it is as if it had not come. RFC 7143 section 7.8.</summary>
    public void SegmentLost(IscsiTask task, int offset, bool solicited, bool final)
    {
        if (!task.LacksData)
        {
            counters.DataOutBytes -= task.NextOffset - offset;
            MoveTo(task, offset);
            task.LacksData = true;
            task.IsDeliveryFailed |= !RecoversData;
        }

        SegmentEnded(task, solicited, final);
    }

    // ---- without a connection, and with another one: RFC 7143 section 7.2.2 ----

    /// <summary>The task's connection is gone. What came counts; what was on its way does not come any more.</summary>
    public void Suspend(IscsiTask task)
    {
        task.SegmentOpen = task.BurstOpen = task.LacksData = false;
        task.ExpDataSN = 0;
        if (task.R2TCount > 0)
        {
            task.R2Ts[task.FirstR2T].Offset = task.NextOffset;
        }

        if (task.State == IscsiTaskState.Collecting)
        {
            Progress(task);
        }
    }

    /// <summary>The task has a connection again: what is missing is asked for on it, under the numbers that the open R2Ts had and with new tags.</summary>
    public void Resume(IscsiTask task)
    {
        for (int i = 0; i < task.R2TCount; i++)
        {
            ref OpenR2T r2t = ref task.R2Ts[(task.FirstR2T + i) % task.R2Ts.Length];
            r2t.TargetTransferTag = NextTransferTag();
            task.Phase!.Output.AddR2T(task, r2t);
        }

        Progress(task);
    }

    void SequenceEnded(IscsiTask task, bool solicited)
    {
        bool lacksData = task.LacksData;
        task.LacksData = false;
        task.ExpDataSN = 0;
        if (!solicited)
        {
            task.BurstOpen = false; // what it lacks is asked for with the rest
            return;
        }

        if (task.R2TCount == 0)
        {
            return;
        }

        OpenR2T ended = task.R2Ts[task.FirstR2T];
        task.FirstR2T = (task.FirstR2T + 1) % task.R2Ts.Length;
        task.R2TCount--;
        if (lacksData && RecoversData)
        {
            task.IsDeliveryFailed |= ++task.RecoveryR2Ts > MaxRecoveryR2Ts;
            if (!task.IsDeliveryFailed)
            {
                Ask(task, task.NextOffset, ended.End);
            }
        }

        if (task.R2TCount > 0)
        {
            MoveTo(task, task.R2Ts[task.FirstR2T].Offset);
        }
    }

    /// <summary>Hands the data over when it is all there, and asks for what is missing.</summary>
    public void Progress(IscsiTask task)
    {
        if (!task.Soliciting)
        {
            if (task.BurstOpen || task.SegmentOpen)
            {
                return;
            }

            task.Soliciting = true;
            task.SolicitedEnd = task.NextOffset;
        }

        int wanted = task.Scsi.DataOutLength;
        if (task.IsDeliveryFailed)
        {
            // RFC 7143 section 7.8: only when all data that was asked for has come, good or bad.
            if (task.R2TCount == 0)
            {
                task.Phase?.FailDelivery(task);
            }

            return;
        }

        if (task.R2TCount == 0 && task.SolicitedEnd >= wanted)
        {
            task.State = IscsiTaskState.Executing;
            task.Scsi.Target.DataArrived(task.Scsi);
            return;
        }

        while (task.R2TCount < parameters.MaxOutstandingR2T && task.SolicitedEnd < wanted && task.Phase is not null)
        {
            int start = task.SolicitedEnd;
            task.SolicitedEnd += Math.Min(parameters.MaxBurstLength, wanted - start);
            Ask(task, start, task.SolicitedEnd);
        }
    }

    void Ask(IscsiTask task, int offset, int end)
    {
        var r2t = new OpenR2T(NextTransferTag(), task.DataSN++, offset, end);
        task.R2Ts[(task.FirstR2T + task.R2TCount) % task.R2Ts.Length] = r2t;
        task.R2TCount++;
        if (task.R2TCount == 1)
        {
            MoveTo(task, offset);
        }

        task.Phase!.Output.AddR2T(task, r2t);
    }

    /// <summary>The next byte goes to that offset. Data in order needs no move.</summary>
    public static void MoveTo(IscsiTask task, int offset)
    {
        if (task.NextOffset == offset)
        {
            return;
        }

        task.NextOffset = offset;
        if (task.State == IscsiTaskState.Collecting)
        {
            task.OutCursor = new DataCursor(task.Scsi.DataOut);
            task.OutCursor.Skip(Math.Min(offset, task.Scsi.DataOutLength));
        }
    }

    static void AnswerWhenBurstIsOver(IscsiTask task)
    {
        if (!task.BurstOpen && !task.SegmentOpen && !task.IsQueued)
        {
            task.Phase?.Output.AddResponse(task);
        }
    }

    byte[] StagingOf(IscsiTask task) => tasks.StagingOf(task, Math.Min(parameters.FirstBurstLength, task.Scsi.ExpectedDataOut));

    void Count(IscsiTask task, int count)
    {
        task.NextOffset += count;
        counters.DataOutBytes += count;
    }

    uint NextTransferTag()
    {
        if (_nextTransferTag == BasicHeader.ReservedTag)
        {
            _nextTransferTag = 0;
        }

        return _nextTransferTag++;
    }
}
