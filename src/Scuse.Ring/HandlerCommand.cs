namespace Scuse.Ring;

/// <summary>What kind of entry a handler took from the ring.</summary>
public enum HandlerCommandKind
{
    /// <summary>A command, to be answered exactly once.</summary>
    Command,

    /// <summary>A notice that the initiator gave up commands. It gets no answer; the commands it names still do.</summary>
    TaskManagement,
}

/// <summary>One entry taken from the ring: a private copy that is the caller's until it is passed to <see cref="HandlerRing.TryTake"/> again.</summary>
/// <remarks>It is reused, and allocates only when a command has more extents than any before.</remarks>
public sealed class HandlerCommand
{
    readonly byte[] _cdb = new byte[RingAbi.MaxCdbBytes];
    readonly ExtentList _data = new();
    readonly ExtentList _bidiDataIn = new();
    ushort[] _taskIds = [];
    int _taskIdCount;
    int _cdbLength;

    /// <summary>Whether it is a command or a notice. Notices come only where <see cref="MailboxFlags.TaskManagement"/> is set in the mailbox.</summary>
    public HandlerCommandKind Kind { get; private set; }

    /// <summary>The id to answer with; 0 for a notice.</summary>
    public ushort Id { get; private set; }

    /// <summary>The CDB; empty for a notice. Its length goes by the operation code, since the ring does not tell it. SPC-4 clause 4.2.</summary>
    public ReadOnlySpan<byte> Cdb => _cdb.AsSpan(0, _cdbLength);

    /// <summary>The CDB as memory, valid as long as <see cref="Cdb"/>.</summary>
    public ReadOnlyMemory<byte> CdbMemory => _cdb.AsMemory(0, _cdbLength);

    /// <summary>Where the data is, or is to go: Data-Out or Data-In as the operation code says; Data-Out of a bidirectional command.</summary>
    public ReadOnlySpan<DataExtent> Data => _data.AsSpan();

    /// <summary>Where Data-In of a bidirectional command is to go; empty for any other.</summary>
    public ReadOnlySpan<DataExtent> BidiDataIn => _bidiDataIn.AsSpan();

    /// <summary>A notice's function: one of the TaskManagement constants of <see cref="RingAbi"/>; 0 for a command.</summary>
    public byte TaskManagementType { get; private set; }

    /// <summary>The commands that a notice concerns; empty for a command.</summary>
    public ReadOnlySpan<ushort> TaskManagementIds => _taskIds.AsSpan(0, _taskIdCount);

    internal ExtentList DataList => _data;

    internal ExtentList BidiDataInList => _bidiDataIn;

    // Returns where the CDB goes; TrimCdb then tells its length.
    internal Span<byte> StartCommand(ushort id, int cdbLength)
    {
        Clear(HandlerCommandKind.Command);
        Id = id;
        _cdbLength = cdbLength;
        return _cdb.AsSpan(0, cdbLength);
    }

    internal void TrimCdb(int length) => _cdbLength = length;

    // Returns where the ids go.
    internal Span<ushort> StartTaskManagement(byte type, int ids)
    {
        Clear(HandlerCommandKind.TaskManagement);
        TaskManagementType = type;
        if (_taskIds.Length < ids)
            _taskIds = new ushort[ids];
        _taskIdCount = ids;
        return _taskIds.AsSpan(0, ids);
    }

    void Clear(HandlerCommandKind kind)
    {
        Kind = kind;
        Id = 0;
        _cdbLength = 0;
        _data.Clear();
        _bidiDataIn.Clear();
        TaskManagementType = 0;
        _taskIdCount = 0;
    }
}
