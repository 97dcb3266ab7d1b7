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

/// <summary>Makes the answer to a task: Data-In PDUs and the SCSI Response, or a last Data-In with the status in it. RFC 7143 sections 11.4, 11.7.</summary>
internal sealed class TransferIn(SessionParameters parameters, ConnectionParameters connection, SessionTasks tasks, SessionCounters counters)
{
    /// <summary>No Data-In PDU is larger than this: it bounds the pieces made at a time.</summary>
    const int MaxDataInBytes = 256 * 1024;

    int HeaderDigestLength => connection.HeaderDigest ? Crc32C.Length : 0;

    /// <summary>Makes one PDU; <paramref name="statSN"/> is for the one with the status.</summary>
    public AnswerProgress EncodeNext(IscsiTask task, PieceWriter writer, uint statSN)
    {
        ScsiTask scsi = task.Scsi;
        if (!task.InStarted)
        {
            task.InStarted = true;
            task.InTotal = Math.Min(Math.Min(scsi.DataInLength, scsi.ExpectedDataIn), scsi.DataIn.Length);
            task.InCursor = new DataCursor(scsi.DataIn);
        }

        return task.InSent < task.InTotal ? EncodeDataIn(task, writer, statSN) : EncodeResponse(task, writer, statSN);
    }

    AnswerProgress EncodeDataIn(IscsiTask task, PieceWriter writer, uint statSN)
    {
        ScsiTask scsi = task.Scsi;
        int length = Math.Min(task.InTotal - task.InSent, Math.Min(connection.InitiatorMaxRecvDataSegmentLength, MaxDataInBytes));
        length = Math.Min(length, parameters.MaxBurstLength - task.InSequenceBytes);
        bool isLast = task.InSent + length == task.InTotal;

        // Status may ride on the last Data-In when there is nothing to say beside it. RFC 7143 section 11.7.3.
        bool withStatus = isLast && !task.IsBidirectional && scsi.Status == ScsiStatus.Good && scsi.SenseLength == 0;
        task.InSequenceBytes += length;
        byte flags = 0;
        if (isLast || task.InSequenceBytes == parameters.MaxBurstLength)
        {
            flags = BasicHeader.FinalBit; // the end of a sequence
            task.InSequenceBytes = 0;
        }

        uint residualCount = 0;
        if (withStatus)
        {
            Residual residual = Residual.Of(scsi, isBidirectional: false, task.DataWasTaken);
            flags |= (byte)(DataInPdu.StatusBit | residual.Flags); // O and U lie where the SCSI Response has them
            residualCount = residual.Count;
            tasks.Answered(task);
        }

        Span<byte> pdu = writer.AddRun(BasicHeader.Length + HeaderDigestLength);
        DataInPdu.WriteTo(pdu, flags, (byte)scsi.Status, task.InitiatorTaskTag, task.DataSN++, (uint)task.InSent, residualCount, length);
        SequenceNumbers.Write(pdu, withStatus ? statSN : 0, tasks.Window.ExpCmdSN, tasks.Window.MaxCmdSN);
        if (connection.HeaderDigest)
        {
            Crc32C.Seal(pdu);
        }

        task.InSent += length;
        counters.DataInBytes += length;
        uint sum = Crc32C.Initial;
        for (int left = length; left > 0;)
        {
            Memory<byte> piece = task.InCursor.Take(left);
            left -= piece.Length;
            sum = connection.DataDigest ? Crc32C.Append(sum, piece.Span) : sum;
            writer.AddData(piece, lastOf: withStatus && left == 0 ? task : null);
        }

        if (connection.DataDigest)
        {
            writer.AddPaddingAndDigest(length, sum);
        }
        else
        {
            writer.AddPadding(length);
        }

        return withStatus ? AnswerProgress.AnsweredWithMemory : AnswerProgress.More;
    }

    AnswerProgress EncodeResponse(IscsiTask task, PieceWriter writer, uint statSN)
    {
        ScsiTask scsi = task.Scsi;
        tasks.Answered(task);
        Residual residual = Residual.Of(scsi, task.IsBidirectional, task.DataWasTaken);
        int segment = scsi.SenseLength == 0 ? 0 : ScsiResponsePdu.SenseLengthFieldLength + scsi.SenseLength;
        bool needsMemory = task.InTotal > 0;
        int headerLength = BasicHeader.Length + HeaderDigestLength;
        int segmentRun = segment == 0 ? 0 : segment + BasicHeader.PaddingFor(segment) + (connection.DataDigest ? Crc32C.Length : 0);
        int runLength = headerLength + segmentRun;
        Span<byte> run = writer.AddRun(runLength, lastOf: needsMemory ? task : null);
        ScsiResponsePdu.WriteTo(
            run, residual.Flags, (byte)scsi.Status, task.InitiatorTaskTag, task.DataSN, residual.BidirectionalReadCount, residual.Count, segment);
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

        return needsMemory ? AnswerProgress.AnsweredWithMemory : AnswerProgress.Answered;
    }
}
