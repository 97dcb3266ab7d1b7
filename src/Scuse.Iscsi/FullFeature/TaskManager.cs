using Scuse.Iscsi.Output;
using Scuse.Iscsi.Pdus;
using Scuse.Target;

namespace Scuse.Iscsi.FullFeature;

/// <summary>A task management function that the core is at, and where its answer goes.</summary>
internal sealed record PendingFunction(FullFeaturePhase Phase, uint InitiatorTaskTag);

/// <summary>Task management requests and their answers. RFC 7143 sections 11.5 and 11.6, RFC 7144.</summary>
internal sealed class TaskManager(FullFeaturePhase phase, IscsiSession session, OutputQueue output)
{
    const int LevelOfRfc7144 = 2;

    public void Execute(ReadOnlySpan<byte> headers)
    {
        session.Counters.TaskManagementRequests++;
        if (!MustWait(new TaskManagementRequestPdu(headers)))
        {
            Perform(headers);
        }
        else if (!session.Order.TryDefer(phase, headers))
        {
            phase.Reject(RejectReason.TooManyImmediateCommands, headers);
        }
    }

    /// <summary>
    /// A function for many tasks is for those that were sent before it, too, which other connections may still bring. RFC 7143 section 4.2.3.3, step b. By a
    /// single connection they cannot come later.
    /// </summary>
    bool MustWait(in TaskManagementRequestPdu pdu)
    {
        CommandWindow window = session.Tasks.Window;
        return pdu.Header.Immediate && session.Connections.Count > 1
            && IsForManyTasks((TaskManagementFunction)pdu.Function)
            && SerialNumber.IsBefore(window.ExpCmdSN, pdu.Header.CmdSN) && SerialNumber.IsWithin(pdu.Header.CmdSN, window.ExpCmdSN, window.MaxCmdSN + 1);
    }

    /// <summary>Has a function done now.</summary>
    public void Perform(ReadOnlySpan<byte> headers)
    {
        var pdu = new TaskManagementRequestPdu(headers);
        BasicHeader header = pdu.Header;
        if (session.Target is null)
        {
            phase.Reject(RejectReason.ProtocolError, headers);
            return;
        }

        var function = (TaskManagementFunction)pdu.Function;
        ScsiTask? referenced = null;
        switch (function)
        {
            case TaskManagementFunction.AbortTask when session.Tasks.Find(pdu.ReferencedTaskTag) is { } task:
                if (task.State == IscsiTaskState.Held)
                {
                    session.Order.Drop(task);
                    Answer(header.InitiatorTaskTag, TaskManagementResponse.FunctionComplete);
                    return;
                }

                referenced = task.Scsi;
                break;
            case TaskManagementFunction.AbortTask:
                Answer(header.InitiatorTaskTag, AbortOfUnknown(pdu));
                return;
            case TaskManagementFunction.TaskReassign:
                Reassign(pdu);
                return;
            case TaskManagementFunction.QueryTask when session.Parameters.ProtocolLevel >= LevelOfRfc7144:
                if (session.Tasks.Find(pdu.ReferencedTaskTag) is not { } queried)
                {
                    Answer(header.InitiatorTaskTag, TaskManagementResponse.FunctionComplete);
                    return;
                }

                if (queried.State == IscsiTaskState.Held)
                {
                    Answer(header.InitiatorTaskTag, TaskManagementResponse.FunctionSucceeded); // it is here, and will begin
                    return;
                }

                referenced = queried.Scsi;
                break;
            case TaskManagementFunction.QueryTaskSet or TaskManagementFunction.QueryAsynchronousEvent when session.Parameters.ProtocolLevel >= LevelOfRfc7144:
                break;
            case TaskManagementFunction.NexusReset when session.Parameters.ProtocolLevel >= LevelOfRfc7144:
                DropHeldBefore(pdu, wholeTarget: true);
                break;
            case < TaskManagementFunction.AbortTask or > TaskManagementFunction.TaskReassign:
                Answer(header.InitiatorTaskTag, TaskManagementResponse.FunctionNotSupported);
                return;
            case TaskManagementFunction.ClearAca:
                break; // what is held has come to no task set yet
            default:
                DropHeldBefore(pdu, wholeTarget: function >= TaskManagementFunction.TargetWarmReset);
                break;
        }

        session.Target.Manage(new TaskManagementRequest
        {
            Nexus = session.Nexus!,
            Transport = session,
            Function = function,
            Lun = header.Lun,
            Referenced = referenced,
            TransportState = new PendingFunction(phase, header.InitiatorTaskTag),
        });
    }

    /// <summary>The core has done a function.</summary>
    public void Completed(TaskManagementRequest request, TaskManagementResponse response, PendingFunction pending)
    {
        if (!IsForManyTasks(request.Function))
        {
            Answer(pending.InitiatorTaskTag, response, request.AdditionalResponseInformation);
            return;
        }

        session.Fence.Raise(phase, () =>
        {
            Answer(pending.InitiatorTaskTag, response, request.AdditionalResponseInformation);
            if (request.Function == TaskManagementFunction.TargetColdReset && response == TaskManagementResponse.FunctionComplete)
            {
                // RFC 7143 section 11.5.1: a cold reset also ends all connections of all sessions.
                IscsiServer.CloseSessionsOf(session.Node!, "the target was reset by a TARGET COLD RESET");
            }
        });
    }

    static bool IsForManyTasks(TaskManagementFunction function) =>
        function is TaskManagementFunction.AbortTaskSet or TaskManagementFunction.NexusReset
            or (>= TaskManagementFunction.ClearTaskSet and <= TaskManagementFunction.TargetColdReset);

    /// <summary>A task of a connection that is gone becomes allegiant to this one; the answer comes before whatever is sent for it.</summary>
    void Reassign(in TaskManagementRequestPdu pdu)
    {
        if (session.Parameters.ErrorRecoveryLevel < 2)
        {
            Answer(pdu.Header.InitiatorTaskTag, TaskManagementResponse.ReassignmentNotSupported);
            return;
        }

        TaskManagementResponse response = session.Suspended.TryClaim(pdu.ReferencedTaskTag, phase, out IscsiTask? task);
        Answer(pdu.Header.InitiatorTaskTag, response);
        if (response == TaskManagementResponse.FunctionComplete)
        {
            session.Suspended.Resume(task!, pdu.ExpDataSN);
        }
    }

    /// <summary>
    /// A task that is not there may have ended, or its command may not have arrived: then its number is taken as received, so that it never runs.
    /// RFC 7143 section 11.6.1.
    /// </summary>
    TaskManagementResponse AbortOfUnknown(in TaskManagementRequestPdu pdu)
    {
        CommandWindow window = session.Tasks.Window;
        uint referenced = pdu.RefCmdSN;
        if (!SerialNumber.IsWithin(referenced, window.ExpCmdSN, window.MaxCmdSN) || !SerialNumber.IsBefore(referenced, pdu.Header.CmdSN))
        {
            return TaskManagementResponse.TaskDoesNotExist;
        }

        window.TakeAhead(referenced);
        session.Order.Run();
        return TaskManagementResponse.FunctionComplete;
    }

    /// <summary>Tasks that are held ahead of a gap and older than the request are aborted with the others: they never ran.</summary>
    void DropHeldBefore(in TaskManagementRequestPdu pdu, bool wholeTarget)
    {
        if (session.Order.Held == 0)
        {
            return;
        }

        foreach (IscsiTask task in session.Tasks.Snapshot())
        {
            if (task.State == IscsiTaskState.Held && (wholeTarget || task.Lun == pdu.Header.Lun) && SerialNumber.IsBefore(task.CmdSN, pdu.Header.CmdSN))
            {
                session.Order.Drop(task);
            }
        }
    }

    void Answer(uint initiatorTaskTag, TaskManagementResponse response, int additionalInformation = 0)
    {
        ControlPdu pdu = output.Rent(takesStatSN: true);
        TaskManagementResponsePdu.WriteTo(pdu.Header, (byte)response, initiatorTaskTag, additionalInformation);
        output.Add(pdu);
    }
}
