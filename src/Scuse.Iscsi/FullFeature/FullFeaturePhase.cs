using System.Buffers.Binary;
using Scuse.Iscsi.Input;
using Scuse.Iscsi.Output;
using Scuse.Iscsi.Pdus;
using Scuse.Scsi;
using Scuse.Target;

namespace Scuse.Iscsi.FullFeature;

/// <summary>A connection after login: brings each PDU to the part that deals with it. RFC 7143 section 4.2.</summary>
/// <remarks>Touched only by the owning reactor.</remarks>
internal sealed class FullFeaturePhase
{
    readonly IscsiSession _session;
    readonly OutputQueue _output;
    readonly GatherSink _gather;
    readonly PinnedBufferPool _pool;
    readonly ushort _connectionId;
    readonly TransferOut _transferOut;
    readonly TaskDataSink _dataSink;
    readonly CommandReceiver _commands;
    readonly TaskManager _taskManager;
    readonly TextExchange _text;
    bool _isRunningHeld;

    public FullFeaturePhase(IscsiConnection connection, IscsiSession session, OutputQueue output, GatherSink gather, PinnedBufferPool pool, ushort connectionId)
    {
        Connection = connection;
        _session = session;
        _output = output;
        _gather = gather;
        _pool = pool;
        _connectionId = connectionId;
        Held = new HeldRequests(session.Tasks.Window.Size);
        Keepalive = new Keepalive(output, session.Server.Options, session.Parameters);
        _transferOut = new TransferOut(session.Parameters, session.Tasks, output, pool, session.Counters);
        _dataSink = new TaskDataSink(_transferOut);
        _commands = new CommandReceiver(this, session, _transferOut, _dataSink);
        _taskManager = new TaskManager(this, session, output);
        _text = new TextExchange(this, session, output, connection.LocalAddress);
        output.Window = session.Tasks.Window;
        output.Tasks = session.Tasks;
        output.TransferIn = new TransferIn(session.Parameters, session.Tasks, session.Counters);
    }

    public IscsiConnection Connection { get; }

    public HeldRequests Held { get; }

    public Keepalive Keepalive { get; }

    CommandWindow Window => _session.Tasks.Window;

    // ---- PDUs ----

    public ISegmentSink OnHeader(ReadOnlySpan<byte> headers)
    {
        var header = new BasicHeader(headers);
        switch (header.Opcode)
        {
            case Opcode.ScsiCommand:
                return _commands.OnCommand(headers);
            case Opcode.DataOut:
                return _commands.OnDataOut(headers);
            case Opcode.NopOut or Opcode.TaskManagementRequest or Opcode.TextRequest or Opcode.LogoutRequest:
                return _gather.Begin(headers);
            case Opcode.SnackRequest:
                Reject(RejectReason.SnackReject, headers); // ErrorRecoveryLevel 0 knows no SNACK
                return SkipSink.Instance;
            case Opcode.LoginRequest:
                Reject(RejectReason.ProtocolError, headers);
                Connection.Fail("a Login Request came in full feature phase");
                return SkipSink.Instance;
            default:
                Reject(RejectReason.CommandNotSupported, headers);
                TakeNumber(header, header.Immediate ? Arrival.Execute : Window.Classify(header.CmdSN));
                return SkipSink.Instance;
        }
    }

    /// <summary>A PDU that is acted on as a whole is here.</summary>
    public void OnGathered(GatheredPdu pdu)
    {
        var header = new BasicHeader(pdu.Headers);
        Arrival arrival = header.Immediate ? Arrival.Execute : Window.Classify(header.CmdSN);
        switch (arrival)
        {
            case Arrival.Ignore:
                _session.Counters.IgnoredRequests++;
                Return(pdu.Data);
                break;
            case Arrival.Hold:
                Window.TakeAhead(header.CmdSN);
                Held.Hold(header.CmdSN, pdu);
                break;
            default:
                if (!header.Immediate)
                {
                    Window.Advance();
                }

                Execute(pdu);
                RunHeld();
                break;
        }
    }

    /// <summary>Runs what was held, as far as there is no gap.</summary>
    public void RunHeld()
    {
        if (_isRunningHeld)
        {
            return; // called from a request that was held: the loop below goes on with the next
        }

        _isRunningHeld = true;
        while (Window.NextIsTaken && Connection.IsReceiving)
        {
            if (!Held.TryTake(Window.ExpCmdSN, out IscsiTask? task, out GatheredPdu? pdu))
            {
                Window.Advance(); // aborted since
            }
            else if (task is not null)
            {
                _commands.Start(task);
            }
            else
            {
                Window.Advance();
                Execute(pdu!.Value);
            }
        }

        _isRunningHeld = false;
    }

    /// <summary>A request that is not carried out uses its number up.</summary>
    public void TakeNumber(in BasicHeader header, Arrival arrival)
    {
        if (header.Immediate || arrival == Arrival.Ignore)
        {
            return;
        }

        if (arrival == Arrival.Hold)
        {
            Window.TakeAhead(header.CmdSN);
            return;
        }

        Window.Advance();
        RunHeld();
    }

    /// <summary>A held task is not to run; its number stays taken.</summary>
    public void DropHeld(IscsiTask task)
    {
        Held.TryTake(task.CmdSN, out _, out _);
        _dataSink.Forget(task);
        _session.Tasks.Release(task);
    }

    public void Reject(RejectReason reason, ReadOnlySpan<byte> headers)
    {
        _session.Counters.Rejects++;
        ControlPdu pdu = _output.Rent(takesStatSN: true);
        RejectPdu.WriteTo(pdu.Header, reason, BasicHeader.Length);
        _output.SetData(pdu, headers[..BasicHeader.Length]);
        _output.Add(pdu);
    }

    /// <summary>Answers for a task that the core does not have any more.</summary>
    public void AnswerWithSense(uint initiatorTaskTag, Residual residual, uint expDataSN, SenseData sense, bool inDescriptorFormat)
    {
        Span<byte> data = stackalloc byte[ScsiResponsePdu.SenseLengthFieldLength + SenseData.MaxDescriptorLength];
        Span<byte> body = data[ScsiResponsePdu.SenseLengthFieldLength..];
        int length = inDescriptorFormat ? sense.WriteDescriptor(body) : sense.WriteFixed(body);
        BinaryPrimitives.WriteUInt16BigEndian(data, (ushort)length);
        data = data[..(ScsiResponsePdu.SenseLengthFieldLength + length)];
        ControlPdu pdu = _output.Rent(takesStatSN: true);
        ScsiResponsePdu.WriteTo(
            pdu.Header, residual.Flags, (byte)ScsiStatus.CheckCondition, initiatorTaskTag, expDataSN, residual.BidirectionalReadCount, residual.Count,
            data.Length);
        _output.SetData(pdu, data);
        _output.Add(pdu);
    }

    // ---- the core's calls ----

    public void OnDataOutWanted(IscsiTask task) => _transferOut.Wanted(task);

    public void OnCompleted(IscsiTask task) => _transferOut.Completed(task);

    public void OnAborted(IscsiTask task)
    {
        bool wasClosed = Window.IsClosed;
        _dataSink.Forget(task);
        _session.Tasks.Forget(task);
        if (wasClosed)
        {
            // No answer will carry the new MaxCmdSN when another initiator aborted the task.
            Keepalive.SendNumbers();
        }
    }

    public void OnTaskManagementCompleted(TaskManagementRequest request, TaskManagementResponse response) => _taskManager.Completed(request, response);

    /// <summary>
    /// The session has ended and its nexus is gone: lets go of every task. What is in the output queue stays there until it is sent or dropped.
    /// </summary>
    public void DropTasks()
    {
        foreach (IscsiTask task in _session.Tasks.Snapshot())
        {
            _dataSink.Forget(task);
            if (task.IsWithCore)
            {
                _session.Tasks.Forget(task);
            }
            else if (task.State == IscsiTaskState.Held)
            {
                DropHeld(task);
            }
            else if (!task.IsQueued)
            {
                _session.Tasks.Release(task);
            }
        }
    }

    // ---- whole PDUs ----

    void Execute(GatheredPdu pdu)
    {
        switch (new BasicHeader(pdu.Headers).Opcode)
        {
            case Opcode.NopOut:
                if (Keepalive.OnNopOut(pdu.Headers, pdu.Data, pdu.DataLength))
                {
                    return; // the data goes back with the answer
                }

                break;
            case Opcode.TaskManagementRequest:
                _taskManager.Execute(pdu.Headers);
                break;
            case Opcode.TextRequest:
                _text.Execute(pdu.Headers, pdu.Text);
                break;
            case Opcode.LogoutRequest:
                Logout(pdu.Headers);
                break;
        }

        Return(pdu.Data);
    }

    /// <summary>RFC 7143 section 11.14. With one connection a session, closing the connection closes the session.</summary>
    void Logout(ReadOnlySpan<byte> headers)
    {
        var request = new LogoutRequestPdu(headers);
        byte response = request.Reason switch
        {
            LogoutRequestPdu.CloseSession => LogoutResponsePdu.Closed,
            LogoutRequestPdu.CloseConnection when request.ConnectionId == _connectionId => LogoutResponsePdu.Closed,
            LogoutRequestPdu.CloseConnection => LogoutResponsePdu.ConnectionIdNotFound,
            LogoutRequestPdu.RemoveConnectionForRecovery => LogoutResponsePdu.RecoveryNotSupported,
            _ => LogoutResponsePdu.CleanupFailed,
        };
        if (response == LogoutResponsePdu.Closed)
        {
            Connection.EndSession();
        }

        ControlPdu pdu = _output.Rent(takesStatSN: true);
        LogoutResponsePdu.WriteTo(
            pdu.Header, response, request.Header.InitiatorTaskTag, (ushort)_session.Parameters.DefaultTime2WaitSeconds,
            (ushort)_session.Parameters.DefaultTime2RetainSeconds);
        _output.Add(pdu);
        if (response == LogoutResponsePdu.Closed)
        {
            Connection.LoggedOut();
        }
    }

    void Return(byte[]? data)
    {
        if (data is not null)
        {
            _pool.Return(data);
        }
    }
}
