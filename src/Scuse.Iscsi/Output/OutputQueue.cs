using Scuse.Iscsi.FullFeature;
using Scuse.Iscsi.Input;
using Scuse.Iscsi.Negotiation;
using Scuse.Iscsi.Pdus;

namespace Scuse.Iscsi.Output;

/// <summary>
/// What a connection has to send. PDUs are made only when the socket can take them, so that they carry the newest numbers and
/// at most one ring of headers is in use, however much is waiting.
/// </summary>
/// <remarks>Touched only by the owning reactor.</remarks>
internal sealed class OutputQueue(PinnedBufferPool pool, PieceWriterPool writers, Action appeared)
{
    /// <summary>How many control PDUs that were sent are kept for the next ones.</summary>
    const int MaxSpare = 16;

    readonly Queue<OutputEntry> _entries = new();
    readonly Stack<ControlPdu> _spare = new();
    PieceWriter? _writer; // while something is on its way
    int _sentOfFirst;
    bool _isHeldBack;
    int _passing; // entries that are sent although others are held back

    enum Kind
    {
        Response,
        R2T,
        Control,
        StatusAgain,
        DataAgain,
    }

    /// <summary>The next status number of the connection.</summary>
    public uint StatSN { get; set; }

    /// <summary>Set when login settles it.</summary>
    public CommandWindow? Window { get; set; }

    /// <summary>Set when the session begins.</summary>
    public SessionTasks? Tasks { get; set; }

    /// <summary>Set when the session begins.</summary>
    public TransferIn? TransferIn { get; set; }

    /// <summary>What PDUs of full feature phase have; those of login never have digests. Set when the session begins.</summary>
    public ConnectionParameters Digests { get; set; } = new();

    /// <summary>What was sent and is not acknowledged; null where it is not kept. Set when the session begins.</summary>
    public SentStatuses? Unacknowledged { get; set; }

    /// <summary>Control PDUs, and whatever is to be sent again, that are not sent yet.</summary>
    public int ControlCount { get; private set; }

    /// <summary>How many bytes of memory their data segments hold.</summary>
    public int ControlBytes { get; private set; }

    public bool HasOutput => _writer is not null || (_entries.Count > 0 && MayEncode);

    bool MayEncode => !_isHeldBack || _passing > 0;

    /// <summary>The StatSN that the next status would have once all that is queued is sent. Rare work: it goes through the queue.</summary>
    public uint StatSNBehindQueue
    {
        get
        {
            uint statSN = StatSN;
            foreach (OutputEntry entry in _entries)
            {
                statSN += entry.Kind == Kind.Response || entry is { Kind: Kind.Control, Control.TakesStatSN: true } ? 1u : 0;
            }

            return statSN;
        }
    }

    /// <summary>What is queued now is still sent; what comes later waits for <see cref="GoOn"/>.</summary>
    public void HoldBack()
    {
        _isHeldBack = true;
        _passing = _entries.Count;
    }

    /// <summary>Nothing is held back any more.</summary>
    public void GoOn()
    {
        if (_isHeldBack)
        {
            _isHeldBack = false;
            if (_entries.Count > 0)
            {
                appeared();
            }
        }
    }

    /// <summary>An empty control PDU to fill in and give to <see cref="Add"/>.</summary>
    public ControlPdu Rent(bool takesStatSN)
    {
        ControlPdu pdu = _spare.TryPop(out ControlPdu? spare) ? spare : new ControlPdu();
        pdu.TakesStatSN = takesStatSN;
        return pdu;
    }

    /// <summary>A copy of bytes as the data segment of a control PDU.</summary>
    public void SetData(ControlPdu pdu, ReadOnlySpan<byte> data)
    {
        if (!data.IsEmpty)
        {
            pdu.Data = pool.Rent(data.Length);
            data.CopyTo(pdu.Data);
            pdu.DataLength = data.Length;
        }
    }

    public void Add(ControlPdu pdu)
    {
        ControlCount++;
        ControlBytes += pdu.HeldBytes;
        Enqueue(new OutputEntry { Kind = Kind.Control, Control = pdu });
    }

    /// <summary>The data, status and sense of a completed task.</summary>
    public void AddResponse(IscsiTask task)
    {
        task.IsQueued = true;
        Enqueue(new OutputEntry { Kind = Kind.Response, Task = task });
    }

    public void AddR2T(IscsiTask task, in OpenR2T r2t) =>
        Enqueue(new OutputEntry { Kind = Kind.R2T, Task = task, Generation = task.Generation, R2T = r2t });

    /// <summary>An R2T once more.</summary>
    public void AddR2TAgain(IscsiTask task, in OpenR2T r2t)
    {
        ControlCount++;
        Enqueue(new OutputEntry { Kind = Kind.R2T, Task = task, Generation = task.Generation, R2T = r2t, IsAgain = true });
    }

    /// <summary>What was sent under a StatSN, once more.</summary>
    public void AddStatusAgain(uint statSN)
    {
        ControlCount++;
        Enqueue(new OutputEntry { Kind = Kind.StatusAgain, StatSN = statSN });
    }

    /// <summary>Data-In PDUs of a task, once more.</summary>
    public void AddDataAgain(DataAgain again)
    {
        ControlCount++;
        again.Task.Holders++;
        again.Task.Resends++;
        Enqueue(new OutputEntry { Kind = Kind.DataAgain, Again = again });
    }

    /// <summary>The data of a task lies elsewhere now: what is not sent yet is taken from there.</summary>
    public void DataInMoved(IscsiTask task)
    {
        if (task.InStarted)
        {
            task.InCursor = new DataCursor(task.Scsi.DataIn);
            task.InCursor.Skip(task.InSent);
            _writer?.Repoint(task, task.Scsi.DataIn, ref _sentOfFirst);
        }
    }

    /// <summary>Names what to send next; see <see cref="IscsiConnection.GetSendBuffers"/>.</summary>
    public int GetBuffers(Span<Memory<byte>> buffers)
    {
        if (!HasOutput)
        {
            return 0;
        }

        PieceWriter writer = _writer ??= writers.Rent();
        while (writer.Pieces.Count < buffers.Length && writer.HasRoom && MayEncode && _entries.TryPeek(out OutputEntry entry))
        {
            Encode(entry, writer);
        }

        int count = Math.Min(buffers.Length, writer.Pieces.Count);
        for (int i = 0; i < count; i++)
        {
            buffers[i] = i == 0 ? writer.Pieces[0].Memory[_sentOfFirst..] : writer.Pieces[i].Memory;
        }

        GiveBackWriter();
        return count;
    }

    public void Sent(int count)
    {
        while (count > 0)
        {
            PieceWriter writer = _writer!;
            int left = writer.Pieces[0].Memory.Length - _sentOfFirst;
            if (count < left)
            {
                _sentOfFirst += count;
                return;
            }

            count -= left;
            _sentOfFirst = 0;
            Finish(writer.RemoveFirst());
        }

        GiveBackWriter();
    }

    void GiveBackWriter()
    {
        if (_writer is { IsEmpty: true } writer)
        {
            _writer = null;
            writers.Return(writer);
        }
    }

    /// <summary>
    /// Takes out the answered tasks that the initiator has not acknowledged, with those that are being answered once more; the caller is one of their holders
    /// now. Rare work: it allocates.
    /// </summary>
    public List<IscsiTask> TakeAnswered()
    {
        List<IscsiTask> tasks = Unacknowledged?.TakeTasks() ?? [];
        foreach (OutputEntry entry in _entries)
        {
            if (entry.Kind == Kind.Response && entry.Task!.State == IscsiTaskState.Answered)
            {
                entry.Task.Holders++;
                tasks.Add(entry.Task);
            }
        }

        return tasks;
    }

    /// <summary>Drops everything; completed tasks are released, unless they are suspended.</summary>
    public void Clear()
    {
        _sentOfFirst = 0;
        while (_writer is { IsEmpty: false } writer)
        {
            Finish(writer.RemoveFirst());
        }

        GiveBackWriter();

        while (_entries.TryDequeue(out OutputEntry entry))
        {
            if (entry.Kind == Kind.Response)
            {
                if (entry.Task!.Lost is null)
                {
                    Tasks!.Abandon(entry.Task);
                }
            }
            else if (entry.Again is { } again)
            {
                again.Task.Resends--;
                Tasks!.LetGo(again.Task);
            }
            else if (entry.Control is { } control)
            {
                Return(control);
            }
        }

        ControlCount = ControlBytes = 0;
        _isHeldBack = false;
        Unacknowledged?.Clear();
    }

    void Dequeue()
    {
        _entries.Dequeue();
        _passing -= _isHeldBack ? 1 : 0;
    }

    void Enqueue(OutputEntry entry)
    {
        _entries.Enqueue(entry);
        appeared();
    }

    void Encode(in OutputEntry entry, PieceWriter writer)
    {
        switch (entry.Kind)
        {
            case Kind.Response:
                EncodeResponse(entry.Task!, writer);
                break;
            case Kind.R2T:
                Dequeue();
                ControlCount -= entry.IsAgain ? 1 : 0;
                if (entry.Task!.Generation == entry.Generation && entry.Task.State == IscsiTaskState.Collecting)
                {
                    EncodeR2T(entry, writer);
                }

                break;
            case Kind.StatusAgain:
                Dequeue();
                EncodeStatusAgain(entry.StatSN, writer);
                break;
            case Kind.DataAgain:
                if (!TransferIn!.EncodeAgain(entry.Again!, writer))
                {
                    Dequeue();
                    entry.Again!.Task.Resends--;
                    ControlCount--;
                }

                break;
            default:
                Dequeue();
                EncodeControl(entry.Control!, writer, isAgain: false);
                break;
        }
    }

    /// <summary>One PDU of the task's answer; the entry stays until the last one.</summary>
    void EncodeResponse(IscsiTask task, PieceWriter writer)
    {
        AnswerProgress progress = TransferIn!.EncodeNext(task, writer, StatSN);
        if (progress == AnswerProgress.More)
        {
            return;
        }

        Dequeue();
        uint statSN = StatSN++;
        if (progress == AnswerProgress.AnsweredWithMemory)
        {
            task.Holders++; // the piece that is sent last
        }

        if (Unacknowledged is { } table)
        {
            task.Holders++;
            task.StatSN = statSN;
            table.Keep(statSN, task);
        }
        else if (task.Holders == 0)
        {
            Tasks!.Release(task);
        }
    }

    void EncodeR2T(in OutputEntry entry, PieceWriter writer)
    {
        Span<byte> pdu = writer.AddRun(BasicHeader.Length + (Digests.HeaderDigest ? Crc32C.Length : 0));
        R2TPdu.WriteTo(
            pdu, entry.Task!.Lun, entry.Task.InitiatorTaskTag, entry.R2T.TargetTransferTag, entry.R2T.R2TSN, (uint)entry.R2T.Offset,
            (uint)(entry.R2T.End - entry.R2T.Offset));
        Stamp(pdu, StatSN);
        if (Digests.HeaderDigest)
        {
            Crc32C.Seal(pdu);
        }
    }

    void EncodeStatusAgain(uint statSN, PieceWriter writer)
    {
        if (Unacknowledged!.TryFind(statSN, out IscsiTask? task, out ControlPdu? control) && control is not null)
        {
            ControlBytes += control.HeldBytes;
            EncodeControl(control, writer, isAgain: true);
            return;
        }

        ControlCount--;
        if (task is not null)
        {
            TransferIn!.EncodeResponseAgain(task, writer);
        }
    }

    void EncodeControl(ControlPdu control, PieceWriter writer, bool isAgain)
    {
        int length = control.DataLength;
        bool isOfLogin = new BasicHeader(control.Header).Opcode == Opcode.LoginResponse;
        bool hasHeaderDigest = Digests.HeaderDigest && !isOfLogin;
        Span<byte> pdu = writer.AddRun(BasicHeader.Length + (hasHeaderDigest ? Crc32C.Length : 0), control: length == 0 ? control : null);
        control.Header.CopyTo(pdu);
        control.Holders++; // the piece that it is sent with
        Stamp(pdu, isAgain ? control.StatSN : StatSN);
        if (hasHeaderDigest)
        {
            Crc32C.Seal(pdu);
        }

        if (control.TakesStatSN && !isAgain)
        {
            control.StatSN = StatSN++;
            if (Unacknowledged is { } table && !isOfLogin)
            {
                control.Holders++;
                table.Keep(control.StatSN, control);
            }
        }

        if (length > 0)
        {
            Memory<byte> data = control.Data.AsMemory(0, length);
            writer.AddData(data, control: control);
            if (Digests.DataDigest && !isOfLogin)
            {
                writer.AddPaddingAndDigest(length, Crc32C.Append(Crc32C.Initial, data.Span));
            }
            else
            {
                writer.AddPadding(length);
            }
        }
    }

    void Stamp(Span<byte> pdu, uint statSN) => SequenceNumbers.Write(pdu, statSN, Window?.ExpCmdSN ?? 0, Window?.MaxCmdSN ?? 0);

    void Finish(in Piece piece)
    {
        if (piece.Control is { } control)
        {
            ControlCount--;
            ControlBytes -= control.HeldBytes;
            LetGo(control);
        }

        if (piece.LastOf is { } task)
        {
            Tasks!.LetGo(task);
        }
    }

    /// <summary>One holder less of a control PDU that was sent.</summary>
    public void LetGo(ControlPdu control)
    {
        if (--control.Holders == 0)
        {
            Return(control);
        }
    }

    void Return(ControlPdu control)
    {
        if (control.Data is { } data)
        {
            control.Data = null;
            control.DataLength = 0;
            pool.Return(data);
        }

        if (_spare.Count < MaxSpare)
        {
            _spare.Push(control);
        }
    }

    struct OutputEntry
    {
        public Kind Kind;
        public IscsiTask? Task;
        public uint Generation;
        public OpenR2T R2T;
        public ControlPdu? Control;
        public bool IsAgain;
        public uint StatSN;
        public DataAgain? Again;
    }
}
