using Scuse.Iscsi.Output;
using Scuse.Iscsi.Pdus;

namespace Scuse.Iscsi.FullFeature;

/// <summary>Sends again what a SNACK asks for, as far as it is there; acknowledges data. RFC 7143 section 11.16.</summary>
internal sealed class SnackReceiver(FullFeaturePhase phase, IscsiSession session)
{
    SentStatuses? Unacknowledged => phase.Output.Unacknowledged;

    public void Execute(ReadOnlySpan<byte> headers)
    {
        var snack = new SnackPdu(headers);
        bool isDone = Unacknowledged is not null && snack.Type switch
        {
            SnackType.DataOrR2T => TrySendDataOrR2Ts(snack),
            SnackType.Status => TrySendStatuses(snack),
            SnackType.DataAck => TryAcknowledge(snack),
            SnackType.ResegmentedData => TrySendAnew(snack),
            _ => false,
        };
        if (!isDone)
        {
            bool isAck = Unacknowledged is not null && snack.Type == SnackType.DataAck;
            phase.Reject(isAck ? RejectReason.InvalidDataAck : RejectReason.SnackReject, headers);
        }
    }

    /// <summary>A task of this connection that has data to send, or had until its status is acknowledged.</summary>
    IscsiTask? Find(uint initiatorTaskTag)
    {
        IscsiTask? task = session.Tasks.Find(initiatorTaskTag);
        return task is not null && task.Phase == phase ? task : Unacknowledged!.FindTask(initiatorTaskTag);
    }

    bool TrySendStatuses(in SnackPdu snack)
    {
        // Zero and zero: all that is not acknowledged.
        SentStatuses table = Unacknowledged!;
        uint first = snack.BegRun == 0 && snack.RunLength == 0 ? table.First : snack.BegRun;
        uint end = snack.RunLength == 0 ? table.Next : first + snack.RunLength;
        if (!SerialNumber.IsWithin(first, table.First, table.Next) || !SerialNumber.IsWithin(end, first, table.Next))
        {
            return false;
        }

        bool isWhole = true;
        for (uint statSN = first; statSN != end; statSN++)
        {
            if (table.TryFind(statSN, out _, out _))
            {
                phase.Output.AddStatusAgain(statSN);
            }
            else
            {
                isWhole = false;
            }
        }

        return isWhole;
    }

    bool TrySendDataOrR2Ts(in SnackPdu snack)
    {
        if (Find(snack.Header.InitiatorTaskTag) is not { } task)
        {
            return false;
        }

        uint first = snack.BegRun, sent = task.DataSN;
        uint end = snack.RunLength == 0 ? sent : first + snack.RunLength;
        uint firstData = task.InStarted ? task.FirstDataInSN : sent;
        if (end > sent || end < first || first < Math.Max(task.AcknowledgedDataSN, task.CutDataSN > task.FirstDataInSN ? task.CutDataSN : 0) || (task.InStarted && task.InSegmentLength > SegmentLengthNow))
        {
            return false;
        }

        for (uint r2tSN = first; r2tSN < end && r2tSN < firstData; r2tSN++)
        {
            if (!TrySendR2T(task, r2tSN))
            {
                return false;
            }
        }

        first = Math.Max(first, firstData);
        if (first < end)
        {
            phase.Output.AddDataAgain(new DataAgain(task, first, end));
        }

        return true;
    }

    int SegmentLengthNow => phase.Connection.Parameters.InitiatorMaxRecvDataSegmentLength;

    /// <summary>An R2T is sent again while data for it is still to come.</summary>
    bool TrySendR2T(IscsiTask task, uint r2tSN)
    {
        for (int i = 0; i < task.R2TCount; i++)
        {
            OpenR2T r2t = task.R2Ts[(task.FirstR2T + i) % task.R2Ts.Length];
            if (r2t.R2TSN == r2tSN)
            {
                phase.Output.AddR2TAgain(task, r2t);
                return true;
            }
        }

        return false;
    }

    /// <summary>The tag that Data-In with the A bit carried is the task's.</summary>
    bool TryAcknowledge(in SnackPdu snack)
    {
        if (snack.RunLength != 0 || Find(snack.Tag) is not { InStarted: true } task
            || snack.BegRun < Math.Max(task.FirstDataInSN, task.AcknowledgedDataSN) || snack.BegRun > task.DataSN)
        {
            return false;
        }

        task.AcknowledgedDataSN = snack.BegRun;
        return true;
    }

    /// <summary>All data of a task that is not acknowledged, in a new cut, and its status with the mark of the request.</summary>
    bool TrySendAnew(in SnackPdu snack)
    {
        if (snack.BegRun != 0 || snack.RunLength != 0 || snack.Tag is 0 or BasicHeader.ReservedTag
            || Find(snack.Header.InitiatorTaskTag) is not { InStarted: true } task || task.Resends > 0)
        {
            return false;
        }

        bool isAnswered = task.State == IscsiTaskState.Answered;
        task.SnackTag = snack.Tag;
        phase.Output.TransferIn!.CutAnew(task);
        if (isAnswered)
        {
            if (task.CutDataSN < task.DataSN)
            {
                phase.Output.AddDataAgain(new DataAgain(task, task.CutDataSN, task.DataSN));
            }

            phase.Output.AddStatusAgain(task.StatSN);
        }

        return true;
    }
}
