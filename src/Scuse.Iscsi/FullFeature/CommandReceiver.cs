using Scuse.Iscsi.Input;
using Scuse.Iscsi.Pdus;
using Scuse.Scsi;
using Scuse.Target;

namespace Scuse.Iscsi.FullFeature;

/// <summary>Takes SCSI Command and Data-Out PDUs in. RFC 7143 sections 11.3 and 11.7.</summary>
internal sealed class CommandReceiver(FullFeaturePhase phase, IscsiSession session, TaskDataSink dataSink)
{
    const byte LargestAttribute = (byte)TaskAttribute.Aca;

    SessionTasks Tasks => session.Tasks;

    public ISegmentSink OnCommand(ReadOnlySpan<byte> headers)
    {
        var command = new ScsiCommandPdu(headers);
        BasicHeader header = command.Header;
        Arrival arrival = header.Immediate ? Arrival.Execute : Tasks.Window.Classify(header.CmdSN);
        if (arrival == Arrival.Ignore && session.Suspended.Any && TryTakeUp(header))
        {
            arrival = Arrival.Hold;
        }

        if (arrival == Arrival.Ignore)
        {
            session.Counters.IgnoredRequests++;
            return SkipSink.Instance;
        }

        if (!AdditionalHeaders.TryRead(headers[BasicHeader.Length..], out AdditionalHeaders additional))
        {
            return Refuse(headers, arrival, RejectReason.InvalidPduField);
        }

        if (WhatIsWrong(command, additional) is { } reason)
        {
            return Refuse(headers, arrival, reason);
        }

        IscsiTask task = Create(command, additional);
        int segment = header.DataSegmentLength;
        ISegmentSink sink = segment > 0 ? dataSink.Begin(task, solicited: false, command.Final) : SkipSink.Instance;
        if (arrival == Arrival.Hold)
        {
            session.Order.Hold(task);
        }
        else
        {
            session.Order.Start(task);
        }

        return sink;
    }

    /// <summary>
    /// A retry on another connection, once the first one is logged out, takes the place of a command that is still held ahead of a gap: it is this
    /// connection's from now on. RFC 7143 section 7.2.1.
    /// </summary>
    bool TryTakeUp(in BasicHeader header)
    {
        if (Tasks.Find(header.InitiatorTaskTag) is not { State: IscsiTaskState.Held, Lost.IsLoggedOut: true } held || held.CmdSN != header.CmdSN)
        {
            return false;
        }

        session.Order.Drop(held); // its number stays taken
        return true;
    }

    /// <summary>A command with the whole of its immediate data, which was kept back until its digest was known.</summary>
    public void OnWholeCommand(GatheredPdu pdu)
    {
        ISegmentSink sink = OnCommand(pdu.AllHeaders);
        sink.Store(pdu.Text);
        sink.End();
    }

    public ISegmentSink OnDataOut(ReadOnlySpan<byte> headers)
    {
        var pdu = new DataOutPdu(headers);
        IscsiTask? task = Tasks.Find(pdu.Header.InitiatorTaskTag);
        if (task is null || task.Phase != phase || (task.State == IscsiTaskState.Completed && !task.BurstOpen))
        {
            // Data for a task that was aborted, or refused, or never let in: the initiator may not know yet. Or for one of another connection, which
            // alone may bring its data: RFC 7143 section 4.2.5.1.
            session.Counters.IgnoredDataOuts++;
            return SkipSink.Instance;
        }

        if (session.TransferOut.IsOfRetry(task, pdu))
        {
            session.Counters.IgnoredDataOuts++;
            return SkipSink.Instance;
        }

        if (session.TransferOut.Check(task, pdu) is { } problem)
        {
            // RFC 7143 section 7.7: what cannot be made sense of ends in session recovery.
            phase.Reject(RejectReason.ProtocolError, headers);
            phase.Connection.Fail(problem);
            return SkipSink.Instance;
        }

        if (!task.LacksData && !TransferOut.IsInSequence(task, pdu) && !session.TransferOut.TryLoseRest(task))
        {
            phase.Reject(RejectReason.ProtocolError, headers);
            phase.FailDelivery(task);
            return SkipSink.Instance;
        }

        task.ExpDataSN++;
        return dataSink.Begin(task, pdu.TargetTransferTag != BasicHeader.ReservedTag, pdu.Header.Final);
    }

    /// <summary>Rejects a command; its number counts as used all the same. RFC 7143 section 4.2.2.1.</summary>
    SkipSink Refuse(ReadOnlySpan<byte> headers, Arrival arrival, RejectReason reason)
    {
        phase.Reject(reason, headers);
        session.Order.TakeNumber(new BasicHeader(headers), arrival);
        return SkipSink.Instance;
    }

    RejectReason? WhatIsWrong(in ScsiCommandPdu command, in AdditionalHeaders additional)
    {
        BasicHeader header = command.Header;
        uint expected = command.ExpectedDataTransferLength;
        int segment = header.DataSegmentLength;
        Negotiation.SessionParameters parameters = session.Parameters;
        if (session.Target is null)
        {
            return RejectReason.ProtocolError; // a discovery session has no logical units. RFC 7143 section 4.3
        }

        if (header.InitiatorTaskTag == BasicHeader.ReservedTag || expected > int.MaxValue
            || additional.BidirectionalReadDataLength is > int.MaxValue)
        {
            return RejectReason.InvalidPduField;
        }

        if (Tasks.Find(header.InitiatorTaskTag) is not null)
        {
            return RejectReason.TaskInProgress;
        }

        if (header.Immediate && !Tasks.HasRoomForImmediate)
        {
            return RejectReason.TooManyImmediateCommands;
        }

        if (segment > 0 && (!command.Write || !parameters.ImmediateData || (uint)segment > expected || segment > parameters.FirstBurstLength))
        {
            return RejectReason.ProtocolError;
        }

        // F=0 announces unsolicited Data-Out PDUs. RFC 7143 section 11.3.1.
        return !command.Final && (!command.Write || parameters.InitialR2T) ? RejectReason.ProtocolError : null;
    }

    IscsiTask Create(in ScsiCommandPdu command, in AdditionalHeaders additional)
    {
        BasicHeader header = command.Header;
        int expected = (int)command.ExpectedDataTransferLength;
        IscsiTask task = Tasks.Rent();
        task.Phase = phase;
        task.InitiatorTaskTag = header.InitiatorTaskTag;
        task.CmdSN = header.CmdSN;
        task.Lun = header.Lun;
        task.Immediate = header.Immediate;
        task.IsBidirectional = command.Read && command.Write;
        task.BurstOpen = !command.Final;

        ScsiTask scsi = session.Target!.Rent(session.Nexus!);
        scsi.Transport = session;
        scsi.TransportState = task;
        scsi.Nexus = session.Nexus!;
        scsi.Lun = header.Lun;
        scsi.Tag = header.InitiatorTaskTag;
        scsi.Attribute = command.Attribute <= LargestAttribute ? (TaskAttribute)command.Attribute : TaskAttribute.Untagged;
        scsi.ExpectedDataOut = command.Write ? expected : 0;
        scsi.ExpectedDataIn = !command.Read ? 0 : command.Write ? (int)(additional.BidirectionalReadDataLength ?? 0) : expected;
        scsi.TakesDataInWhereItLies = !phase.Connection.Parameters.DataDigest && session.Parameters.ErrorRecoveryLevel == 0;
        scsi.SetCdb(command.Cdb, additional.ExtendedCdb);
        task.Scsi = scsi;
        Tasks.Add(task);
        return task;
    }
}
