using Scuse.Iscsi.Input;
using Scuse.Iscsi.Negotiation;
using Scuse.Iscsi.Output;
using Scuse.Iscsi.Pdus;

namespace Scuse.Iscsi.FullFeature;

/// <summary>Brings a task's data from the initiator: immediate, unsolicited, and asked for with R2Ts. RFC 7143 sections 4.2.5, 11.7 and 11.8.</summary>
internal sealed class TransferOut(
    SessionParameters parameters, SessionTasks tasks, OutputQueue output, PinnedBufferPool pool, SessionCounters counters)
{
    uint _nextTransferTag;

    // ---- the core's side ----

    /// <summary>There is room for the task's data.</summary>
    public void Wanted(IscsiTask task)
    {
        task.State = IscsiTaskState.Collecting;
        task.DataWasTaken = true;
        task.OutCursor = new DataCursor(task.Scsi.DataOut);
        if (task.Staging is { } staging)
        {
            task.OutCursor.Write(staging.AsSpan(0, Math.Min(task.ReceivedBytes, task.Scsi.DataOutLength)));
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
    public static bool IsInSequence(IscsiTask task, in DataOutPdu pdu) => pdu.DataSN == task.ExpDataSN && pdu.BufferOffset == (uint)task.ReceivedBytes;

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
            if (task.State != IscsiTaskState.Collecting || task.R2TCount == 0 || task.R2Ts[task.FirstR2T].TargetTransferTag != pdu.TargetTransferTag)
            {
                return $"a Data-Out carries target transfer tag 0x{pdu.TargetTransferTag:X8}, which is not the next one asked for";
            }

            limit = task.R2Ts[task.FirstR2T].End;
        }

        if (!IsInSequence(task, pdu))
        {
            return null; // its place is not known, so neither is whether its length fits
        }

        if (length > limit - task.ReceivedBytes)
        {
            return $"a Data-Out of {length} bytes at offset {pdu.BufferOffset} goes beyond {limit}";
        }

        return solicited && pdu.Header.Final && task.ReceivedBytes + length != limit
            ? $"a Data-Out sequence ended at {task.ReceivedBytes + length}; it was asked for up to {limit}"
            : null;
    }

    /// <summary>The rest of an unsolicited burst is not waited for.</summary>
    public void GiveUpBurst(IscsiTask task)
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
            int room = Math.Max(task.Scsi.DataOutLength - task.ReceivedBytes, 0);
            task.OutCursor.Write(bytes[..Math.Min(room, bytes.Length)]);
        }
        else if (task.State is IscsiTaskState.Held or IscsiTaskState.Begun)
        {
            bytes.CopyTo(StagingOf(task).AsSpan(task.ReceivedBytes));
        }

        Count(task, bytes.Length);
    }

    /// <summary>Where the rest of the current segment may go directly.</summary>
    public int GetBuffers(IscsiTask task, Span<Memory<byte>> buffers, int remaining)
    {
        if (task.State is IscsiTaskState.Held or IscsiTaskState.Begun)
        {
            buffers[0] = StagingOf(task).AsMemory(task.ReceivedBytes, remaining);
            return 1;
        }

        if (task.State != IscsiTaskState.Collecting)
        {
            return 0;
        }

        int count = 0;
        int room = Math.Min(remaining, task.Scsi.DataOutLength - task.ReceivedBytes);
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
            task.ExpDataSN = 0;
            if (!solicited)
            {
                task.BurstOpen = false;
            }
            else if (task.R2TCount > 0)
            {
                task.FirstR2T = (task.FirstR2T + 1) % task.R2Ts.Length;
                task.R2TCount--;
            }
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

    /// <summary>Hands the data over when it is all there, and asks for what is missing.</summary>
    void Progress(IscsiTask task)
    {
        if (task.BurstOpen || (task.SegmentOpen && !task.Soliciting))
        {
            return;
        }

        int wanted = task.Scsi.DataOutLength;
        if (task.R2TCount == 0 && task.ReceivedBytes >= wanted)
        {
            task.State = IscsiTaskState.Executing;
            task.Scsi.Target.DataArrived(task.Scsi);
            return;
        }

        if (!task.Soliciting)
        {
            task.Soliciting = true;
            task.SolicitedEnd = task.ReceivedBytes;
        }

        while (task.R2TCount < parameters.MaxOutstandingR2T && task.SolicitedEnd < wanted)
        {
            int length = Math.Min(parameters.MaxBurstLength, wanted - task.SolicitedEnd);
            uint tag = NextTransferTag();
            output.AddR2T(task, tag, task.SolicitedEnd, length);
            task.SolicitedEnd += length;
            task.R2Ts[(task.FirstR2T + task.R2TCount) % task.R2Ts.Length] = new OpenR2T(tag, task.SolicitedEnd);
            task.R2TCount++;
        }
    }

    void AnswerWhenBurstIsOver(IscsiTask task)
    {
        if (!task.BurstOpen && !task.SegmentOpen && !task.IsQueued)
        {
            output.AddResponse(task);
        }
    }

    byte[] StagingOf(IscsiTask task) => task.Staging ??= pool.Rent(Math.Min(parameters.FirstBurstLength, task.Scsi.ExpectedDataOut));

    void Count(IscsiTask task, int count)
    {
        task.ReceivedBytes += count;
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
