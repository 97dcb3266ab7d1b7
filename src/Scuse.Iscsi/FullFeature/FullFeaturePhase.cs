using System.Buffers.Binary;
using Scuse.Iscsi.Input;
using Scuse.Iscsi.Negotiation;
using Scuse.Iscsi.Output;
using Scuse.Iscsi.Pdus;
using Scuse.Scsi;
using Scuse.Target;

namespace Scuse.Iscsi.FullFeature;

/// <summary>A connection after login: brings each PDU to the part that deals with it. RFC 7143 section 4.2.</summary>
/// <remarks>Touched only by the owning reactor.</remarks>
internal sealed class FullFeaturePhase
{
    /// <summary>The sense code for an iSCSI condition "protocol service CRC error". RFC 7143 section 11.4.7.2.</summary>
    const ushort ProtocolServiceCrcError = 0x4705;

    readonly IscsiSession _session;
    readonly GatherSink _gather;
    readonly PinnedBufferPool _pool;
    readonly CommandReceiver _commands;
    readonly TaskManager _taskManager;
    readonly TextExchange _text;
    readonly SnackReceiver _snacks;

    public FullFeaturePhase(
        IscsiConnection connection, IscsiSession session, TextNegotiation negotiation, OutputQueue output, GatherSink gather, PinnedBufferPool pool)
    {
        ConnectionParameters parameters = negotiation.Parameters.Connection;
        Connection = connection;
        _session = session;
        Output = output;
        _gather = gather;
        _pool = pool;
        Keepalive = new Keepalive(output, session.Server.Options, parameters);
        DataSink = new TaskDataSink(session.TransferOut);
        _commands = new CommandReceiver(this, session, DataSink);
        _taskManager = new TaskManager(this, session, output);
        _text = new TextExchange(this, session, negotiation, output);
        output.Window = session.Tasks.Window;
        output.Tasks = session.Tasks;
        output.TransferIn = new TransferIn(session.Parameters, parameters, session.Tasks, session.Counters);
        output.Digests = parameters;
        ExpStatSN = output.StatSNBehindQueue; // whoever goes on has had the login's answer
        if (session.Parameters.ErrorRecoveryLevel > 0)
        {
            output.Unacknowledged = new SentStatuses(session.Tasks.LetGo, output.LetGo);
        }

        _snacks = new SnackReceiver(this, session);
    }

    public IscsiConnection Connection { get; }

    public OutputQueue Output { get; }

    public TaskDataSink DataSink { get; }

    /// <summary>What the initiator has acknowledged: the statuses before this number.</summary>
    public uint ExpStatSN { get; private set; }

    /// <summary>Whether answers still find their way: the transport is there.</summary>
    public bool IsOpen => !Connection.IsClosed;

    public Keepalive Keepalive { get; }

    CommandWindow Window => _session.Tasks.Window;

    // ---- PDUs ----

    /// <summary>See <see cref="IPduHandler.OnHeader"/>.</summary>
    public ISegmentSink OnHeader(ReadOnlySpan<byte> headers, bool isUnchecked)
    {
        var header = new BasicHeader(headers);
        ExpStatSN = SerialNumber.IsBefore(ExpStatSN, header.ExpStatSN) ? header.ExpStatSN : ExpStatSN;
        Output.Unacknowledged?.Acknowledge(ExpStatSN);
        if (_session.Fence.IsUp)
        {
            _session.Fence.Acknowledged(this);
        }

        switch (header.Opcode)
        {
            case Opcode.ScsiCommand when isUnchecked:
                return _gather.Begin(headers); // a command is not begun, nor its number taken, before its data is known to be right
            case Opcode.ScsiCommand:
                return _commands.OnCommand(headers);
            case Opcode.DataOut:
                return _commands.OnDataOut(headers);
            case Opcode.NopOut or Opcode.TaskManagementRequest or Opcode.TextRequest or Opcode.LogoutRequest:
                return _gather.Begin(headers);
            case Opcode.SnackRequest:
                _snacks.Execute(headers);
                return SkipSink.Instance;
            case Opcode.LoginRequest:
                Reject(RejectReason.ProtocolError, headers);
                Connection.Fail("a Login Request came in full feature phase");
                return SkipSink.Instance;
            default:
                Reject(RejectReason.CommandNotSupported, headers);
                _session.Order.TakeNumber(header, header.Immediate ? Arrival.Execute : Window.Classify(header.CmdSN));
                return SkipSink.Instance;
        }
    }

    /// <summary>
    /// A data segment does not match its digest: the PDU is rejected and does not count. RFC 7143 section 7.8. The number of a discarded request
    /// stays open until the request comes again, which at ErrorRecoveryLevel 0 never happens: there the session is begun anew.
    /// </summary>
    public void OnDataDigestError(ReadOnlySpan<byte> headers, ISegmentSink sink)
    {
        var header = new BasicHeader(headers);
        Reject(RejectReason.DataDigestError, headers);
        sink.Discard();
        if (_session.Parameters.ErrorRecoveryLevel == 0 && header.Opcode is not (Opcode.DataOut or Opcode.SnackRequest) && !header.Immediate)
        {
            Connection.Fail($"the data of a PDU with opcode 0x{(byte)header.Opcode:X2} does not match its digest");
        }
    }

    /// <summary>A PDU that is acted on as a whole is here.</summary>
    public void OnGathered(GatheredPdu pdu)
    {
        var header = new BasicHeader(pdu.Headers);
        if (header.Opcode == Opcode.ScsiCommand)
        {
            _commands.OnWholeCommand(pdu);
            Return(pdu.Data);
            return;
        }

        Arrival arrival = header.Immediate ? Arrival.Execute : Window.Classify(header.CmdSN);
        switch (arrival)
        {
            case Arrival.Ignore:
                _session.Counters.IgnoredRequests++;
                Return(pdu.Data);
                break;
            case Arrival.Hold:
                _session.Order.Hold(this, header.CmdSN, pdu);
                break;
            default:
                if (!header.Immediate)
                {
                    Window.Advance();
                }

                Execute(pdu);
                _session.Order.Run();
                break;
        }
    }

    /// <summary>
    /// Data of the task is missing: the task ends with a CHECK CONDITION and the session goes on. What still comes for it is skipped.
    /// RFC 7143 section 7.8, the way of a target that does not ask for the data again.
    /// </summary>
    public void FailDelivery(IscsiTask task)
    {
        if (task.State == IscsiTaskState.Completed)
        {
            TransferOut.GiveUpBurst(task);
            return;
        }

        var residual = new Residual(
            (byte)(ScsiResponsePdu.UnderflowBit | (task.IsBidirectional ? ScsiResponsePdu.BidirectionalUnderflowBit : 0)),
            (uint)task.Scsi.ExpectedDataOut, task.IsBidirectional ? (uint)task.Scsi.ExpectedDataIn : 0);
        uint tag = task.InitiatorTaskTag, expDataSN = task.DataSN;
        bool inDescriptorFormat = _session.Target!.UsesDescriptorSense(_session.Nexus!, task.Lun);
        if (task.State == IscsiTaskState.Held)
        {
            _session.Order.Drop(task);
        }
        else
        {
            _session.AbortUnheard(task);
        }

        AnswerWithSense(tag, residual, expDataSN, new SenseData(SenseKey.AbortedCommand, ProtocolServiceCrcError), inDescriptorFormat);
    }

    public void Reject(RejectReason reason, ReadOnlySpan<byte> headers)
    {
        _session.Counters.Rejects++;
        ControlPdu pdu = Output.Rent(takesStatSN: true);
        RejectPdu.WriteTo(pdu.Header, reason, BasicHeader.Length);
        Output.SetData(pdu, headers[..BasicHeader.Length]);
        Output.Add(pdu);
    }

    /// <summary>Answers for a task that the core does not have any more.</summary>
    public void AnswerWithSense(uint initiatorTaskTag, Residual residual, uint expDataSN, SenseData sense, bool inDescriptorFormat)
    {
        Span<byte> data = stackalloc byte[ScsiResponsePdu.SenseLengthFieldLength + SenseData.MaxDescriptorLength];
        Span<byte> body = data[ScsiResponsePdu.SenseLengthFieldLength..];
        int length = inDescriptorFormat ? sense.WriteDescriptor(body) : sense.WriteFixed(body);
        BinaryPrimitives.WriteUInt16BigEndian(data, (ushort)length);
        data = data[..(ScsiResponsePdu.SenseLengthFieldLength + length)];
        ControlPdu pdu = Output.Rent(takesStatSN: true);
        ScsiResponsePdu.WriteTo(
            pdu.Header, residual.Flags, (byte)ScsiStatus.CheckCondition, initiatorTaskTag, expDataSN, residual.BidirectionalReadCount, residual.Count,
            data.Length);
        Output.SetData(pdu, data);
        Output.Add(pdu);
    }

    /// <summary>The commands before a task management function are all here.</summary>
    public void PerformFunction(ReadOnlySpan<byte> headers) => _taskManager.Perform(headers);

    /// <summary>The core has done a task management function that came by this connection.</summary>
    public void OnTaskManagementCompleted(TaskManagementRequest request, TaskManagementResponse response, PendingFunction pending) =>
        _taskManager.Completed(request, response, pending);

    /// <summary>Tells the initiator of an event. RFC 7143 section 11.9.</summary>
    public void SendAsync(AsyncEvent what, ushort parameter1, ushort parameter2, ushort parameter3)
    {
        ControlPdu pdu = Output.Rent(takesStatSN: true);
        AsyncMessagePdu.WriteTo(pdu.Header, (byte)what, lun: 0, parameter1, parameter2, parameter3, dataSegmentLength: 0);
        Output.Add(pdu);
    }

    // ---- whole PDUs ----

    /// <summary>A request is next.</summary>
    public void Execute(GatheredPdu pdu)
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

    /// <summary>Ends the session, this connection or another one of it. RFC 7143 section 11.14.</summary>
    void Logout(ReadOnlySpan<byte> headers)
    {
        var request = new LogoutRequestPdu(headers);
        IscsiConnection? meant = request.Reason == LogoutRequestPdu.CloseSession ? Connection : _session.Find(request.ConnectionId);
        byte response = request.Reason switch
        {
            LogoutRequestPdu.CloseSession => LogOut(Connection, wholeSession: true),
            LogoutRequestPdu.CloseConnection when meant is not null => LogOut(meant, wholeSession: false),
            LogoutRequestPdu.CloseConnection when _session.Suspended.TryDrop(request.ConnectionId) => LogoutResponsePdu.Closed,
            LogoutRequestPdu.CloseConnection => LogoutResponsePdu.ConnectionIdNotFound,
            LogoutRequestPdu.RemoveConnectionForRecovery => LogOutForRecovery(meant, request.ConnectionId),
            _ => LogoutResponsePdu.CleanupFailed,
        };
        ControlPdu pdu = Output.Rent(takesStatSN: true);
        LogoutResponsePdu.WriteTo(
            pdu.Header, response, request.Header.InitiatorTaskTag, (ushort)_session.Parameters.DefaultTime2WaitSeconds,
            (ushort)_session.Parameters.DefaultTime2RetainSeconds);
        Output.Add(pdu);
        if (response == LogoutResponsePdu.Closed && meant == Connection)
        {
            Connection.LoggedOut();
        }
    }

    byte LogOut(IscsiConnection meant, bool wholeSession)
    {
        if (wholeSession || (_session.Connections.Count == 1 && meant == Connection))
        {
            _session.End();
            foreach (IscsiConnection other in _session.Connections.Where(other => other != Connection).ToList())
            {
                other.FailNow("the session was logged out by another connection");
            }
        }
        else
        {
            _session.Remove(meant);
            if (meant != Connection)
            {
                meant.FailNow("logged out by another connection");
            }
        }

        return LogoutResponsePdu.Closed;
    }

    /// <summary>Another connection is taken for dead; its tasks can be claimed from now on. RFC 7143 section 11.14, reason 2.</summary>
    byte LogOutForRecovery(IscsiConnection? meant, ushort connectionId)
    {
        if (_session.Parameters.ErrorRecoveryLevel < 2)
        {
            return LogoutResponsePdu.RecoveryNotSupported;
        }

        if (meant == Connection)
        {
            return LogoutResponsePdu.CleanupFailed; // what it says comes by the connection that it says is dead
        }

        if (meant is not null)
        {
            _session.LogOutForRecovery(meant);
            meant.FailNow("logged out for recovery by another connection");
        }
        else if (_session.Suspended.Find(connectionId) is null)
        {
            return LogoutResponsePdu.ConnectionIdNotFound;
        }

        _session.Suspended.LogOut(connectionId);
        return LogoutResponsePdu.Closed;
    }

    public void Return(byte[]? data)
    {
        if (data is not null)
        {
            _pool.Return(data);
        }
    }
}
