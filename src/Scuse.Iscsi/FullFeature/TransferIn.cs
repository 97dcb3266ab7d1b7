using System.Buffers.Binary;
using Scuse.Iscsi.Negotiation;
using Scuse.Iscsi.Output;
using Scuse.Iscsi.Pdus;
using Scuse.Scsi;
using Scuse.Target;

namespace Scuse.Iscsi.FullFeature;

/// <summary>How far a task's answer has come.</summary>
internal enum AnswerProgress
{
    /// <summary>More PDUs follow.</summary>
    More,

    /// <summary>It is all there, and the task's memory is still to be sent; a piece says when it has been.</summary>
    AnsweredWithMemory,

    /// <summary>It is all there, and nothing of the task is needed any more.</summary>
    Answered,
}

/// <summary>A run of a task's Data-In PDUs that is sent again, by their numbers.</summary>
internal sealed class DataAgain(IscsiTask task, uint first, uint end)
{
    public IscsiTask Task => task;

    public uint Next { get; set; } = first;

    public uint End => end;
}

/// <summary>Makes the answer to a task: Data-In PDUs and the SCSI Response, or a last Data-In with the status in it. RFC 7143 sections 11.4, 11.7.</summary>
internal sealed class TransferIn(SessionParameters parameters, ConnectionParameters connection, SessionTasks tasks, SessionCounters counters)
{
    /// <summary>No Data-In PDU is larger than this: it bounds the pieces made at a time.</summary>
    const int MaxDataInBytes = 256 * 1024;

    int HeaderDigestLength => connection.HeaderDigest ? Crc32C.Length : 0;

    /// <summary>How much of a task's data one PDU takes now.</summary>
    int SegmentLength => Math.Min(connection.InitiatorMaxRecvDataSegmentLength, MaxDataInBytes);

    /// <summary>Makes one PDU; <paramref name="statSN"/> is for the one with the status.</summary>
    public AnswerProgress EncodeNext(IscsiTask task, PieceWriter writer, uint statSN)
    {
        ScsiTask scsi = task.Scsi;
        if (!task.InStarted)
        {
            task.InStarted = true;
            task.InTotal = Math.Min(Math.Min(scsi.DataInLength, scsi.ExpectedDataIn), scsi.DataIn.Length);
            task.InCursor = new DataCursor(scsi.DataIn);
            task.InSegmentLength = SegmentLength;
            task.FirstDataInSN = task.CutDataSN = task.DataSN;
        }

        return task.InSent < task.InTotal ? EncodeDataIn(task, writer, statSN) : EncodeResponse(task, writer, statSN);
    }

    AnswerProgress EncodeDataIn(IscsiTask task, PieceWriter writer, uint statSN)
    {
        ScsiTask scsi = task.Scsi;
        int length = Math.Min(task.InTotal - task.InSent, task.InSegmentLength);
        length = Math.Min(length, parameters.MaxBurstLength - task.InSequenceBytes);
        bool isLast = task.InSent + length == task.InTotal;

        // Status may ride on the last Data-In when there is nothing to say beside it. RFC 7143 section 11.7.3. Not when the response has to carry a SNACK tag.
        bool withStatus = isLast && !task.IsBidirectional && scsi.Status == ScsiStatus.Good && scsi.SenseLength == 0 && task.SnackTag is null;
        task.InSequenceBytes += length;
        bool endsBurst = isLast || task.InSequenceBytes == parameters.MaxBurstLength;
        if (endsBurst)
        {
            task.InSequenceBytes = 0;
        }

        if (withStatus)
        {
            tasks.Answered(task);
            task.StatusIsInData = true;
        }

        int offset = task.InSent;
        task.InSent += length;
        WriteDataIn(task, writer, ref task.InCursor, task.DataSN++, offset, length, endsBurst, withStatus, statSN, lastOf: withStatus ? task : null);
        return withStatus ? AnswerProgress.AnsweredWithMemory : AnswerProgress.More;
    }

    void WriteDataIn(
        IscsiTask task, PieceWriter writer, ref DataCursor cursor, uint dataSN, int offset, int length, bool endsBurst, bool withStatus, uint statSN,
        IscsiTask? lastOf)
    {
        ScsiTask scsi = task.Scsi;
        byte flags = endsBurst ? BasicHeader.FinalBit : (byte)0;
        uint residualCount = 0;
        if (withStatus)
        {
            Residual residual = Residual.Of(scsi, isBidirectional: false, task.DataWasTaken);
            flags |= (byte)(DataInPdu.StatusBit | residual.Flags); // O and U lie where the SCSI Response has them
            residualCount = residual.Count;
        }

        Span<byte> pdu = writer.AddRun(BasicHeader.Length + HeaderDigestLength);
        DataInPdu.WriteTo(pdu, flags, (byte)scsi.Status, task.InitiatorTaskTag, dataSN, (uint)offset, residualCount, length);
        if (parameters.ErrorRecoveryLevel > 0 && endsBurst && offset + length < task.InTotal)
        {
            DataInPdu.AskForAcknowledgment(pdu, task.Lun, targetTransferTag: task.InitiatorTaskTag);
        }

        SequenceNumbers.Write(pdu, withStatus ? statSN : 0, tasks.Window.ExpCmdSN, tasks.Window.MaxCmdSN);
        if (connection.HeaderDigest)
        {
            Crc32C.Seal(pdu);
        }

        counters.DataInBytes += length;
        uint sum = Crc32C.Initial;
        for (int left = length; left > 0;)
        {
            Memory<byte> piece = cursor.Take(left);
            sum = connection.DataDigest ? Crc32C.Append(sum, piece.Span) : sum;
            writer.AddDataIn(piece, task, offset + length - left, lastOf: left == piece.Length ? lastOf : null);
            left -= piece.Length;
        }

        if (connection.DataDigest)
        {
            writer.AddPaddingAndDigest(length, sum);
        }
        else
        {
            writer.AddPadding(length);
        }
    }

    AnswerProgress EncodeResponse(IscsiTask task, PieceWriter writer, uint statSN)
    {
        tasks.Answered(task);
        bool needsMemory = task.InTotal > 0;
        WriteResponse(task, writer, statSN, lastOf: needsMemory ? task : null);
        return needsMemory ? AnswerProgress.AnsweredWithMemory : AnswerProgress.Answered;
    }

    void WriteResponse(IscsiTask task, PieceWriter writer, uint statSN, IscsiTask? lastOf)
    {
        ScsiTask scsi = task.Scsi;
        Residual residual = Residual.Of(scsi, task.IsBidirectional, task.DataWasTaken);
        int segment = scsi.SenseLength == 0 ? 0 : ScsiResponsePdu.SenseLengthFieldLength + scsi.SenseLength;
        int headerLength = BasicHeader.Length + HeaderDigestLength;
        int segmentRun = segment == 0 ? 0 : segment + BasicHeader.PaddingFor(segment) + (connection.DataDigest ? Crc32C.Length : 0);
        Span<byte> run = writer.AddRun(headerLength + segmentRun, lastOf);
        ScsiResponsePdu.WriteTo(
            run, residual.Flags, (byte)scsi.Status, task.InitiatorTaskTag, task.DataSN, residual.BidirectionalReadCount, residual.Count, segment,
            task.SnackTag ?? 0);
        SequenceNumbers.Write(run, statSN, tasks.Window.ExpCmdSN, tasks.Window.MaxCmdSN);
        if (connection.HeaderDigest)
        {
            Crc32C.Seal(run[..headerLength]);
        }

        if (segment > 0)
        {
            Span<byte> data = run[headerLength..];
            data.Clear();
            BinaryPrimitives.WriteUInt16BigEndian(data, (ushort)scsi.SenseLength);
            scsi.Sense.CopyTo(data[ScsiResponsePdu.SenseLengthFieldLength..]);
            if (connection.DataDigest)
            {
                Crc32C.Seal(data);
            }
        }
    }

    // ---- what is sent again: RFC 7143 section 11.16 ----

    /// <summary>Makes one of the Data-In PDUs to be sent again; the last one says when the run lets go of the task. False when there are no more.</summary>
    public bool EncodeAgain(DataAgain again, PieceWriter writer)
    {
        IscsiTask task = again.Task;
        uint dataSN = again.Next++;
        (int offset, int length) = Place(task, dataSN);
        var cursor = new DataCursor(task.Scsi.DataIn);
        cursor.Skip(offset);
        int end = offset + length;
        WriteDataIn(
            task, writer, ref cursor, dataSN, offset, length, endsBurst: end == task.InTotal || end % parameters.MaxBurstLength == 0,
            withStatus: task.StatusIsInData && end == task.InTotal, task.StatSN, lastOf: again.Next == again.End ? task : null);
        return again.Next != again.End;
    }

    /// <summary>The status of a task once more, under the number that it has; always as a SCSI Response.</summary>
    public void EncodeResponseAgain(IscsiTask task, PieceWriter writer) => WriteResponse(task, writer, task.StatSN, lastOf: null);

    /// <summary>Where in the task's data a Data-In PDU lies: the cut is the same each time. It has to be one of the present cut.</summary>
    (int Offset, int Length) Place(IscsiTask task, uint dataSN)
    {
        int burst = parameters.MaxBurstLength, segment = task.InSegmentLength;
        int offset = task.CutOffset, index = (int)(dataSN - task.CutDataSN);
        int leftInBurst = burst - (offset % burst);
        int inFirstBurst = CountOf(leftInBurst, segment);
        if (index >= inFirstBurst)
        {
            index -= inFirstBurst;
            offset += leftInBurst + (index / CountOf(burst, segment) * burst);
            leftInBurst = burst;
            index %= CountOf(burst, segment);
        }

        offset += index * segment;
        leftInBurst -= index * segment;
        return (Math.Min(offset, task.InTotal), Math.Min(Math.Min(segment, leftInBurst), Math.Max(task.InTotal - offset, 0)));
    }

    /// <summary>How many PDUs the present cut makes of the data.</summary>
    uint CountInCut(IscsiTask task)
    {
        int burst = parameters.MaxBurstLength, segment = task.InSegmentLength;
        int left = task.InTotal - task.CutOffset;
        int first = Math.Min(left, burst - (task.CutOffset % burst));
        left -= first;
        return (uint)(CountOf(first, segment) + (left / burst * CountOf(burst, segment)) + CountOf(left % burst, segment));
    }

    static int CountOf(int length, int segment) => (length + segment - 1) / segment;

    /// <summary>
    /// Has what is not acknowledged of the data cut anew, since the initiator's MaxRecvDataSegmentLength has changed, and all of that counts as not sent.
    /// RFC 7143 section 11.16.3, R-Data SNACK. An answered task gets the numbers that its data will have.
    /// </summary>
    public void CutAnew(IscsiTask task)
    {
        CutFrom(task, Math.Max(task.AcknowledgedDataSN, task.FirstDataInSN));
        if (task.State == IscsiTaskState.Answered)
        {
            task.InSent = task.InTotal;
            task.DataSN += CountInCut(task);
        }
    }

    /// <summary>
    /// The answer is made again for another connection, from the first Data-In that is not acknowledged; a number that cannot be is passed over.
    /// RFC 7143 section 11.5.6.
    /// </summary>
    public void StartAgain(IscsiTask task, uint expDataSN)
    {
        if (!task.InStarted)
        {
            return;
        }

        if (expDataSN > task.AcknowledgedDataSN && expDataSN <= task.DataSN)
        {
            task.AcknowledgedDataSN = expDataSN;
        }

        CutFrom(task, Math.Max(task.AcknowledgedDataSN, task.FirstDataInSN));
    }

    /// <summary>From that DataSN on the data counts as not sent, and is cut as the connection has it now.</summary>
    void CutFrom(IscsiTask task, uint dataSN)
    {
        (int offset, _) = Place(task, dataSN);
        task.CutOffset = task.InSent = offset;
        task.CutDataSN = task.DataSN = dataSN;
        task.InSegmentLength = SegmentLength;
        task.InSequenceBytes = offset % parameters.MaxBurstLength;
        task.InCursor = new DataCursor(task.Scsi.DataIn);
        task.InCursor.Skip(offset);
        task.StatusIsInData = false;
    }
}
