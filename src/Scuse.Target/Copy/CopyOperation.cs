using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>One third-party copy of a nexus, under way or done, as RECEIVE COPY RESULTS and its relatives tell of it. SPC-4 clause 5.17.4.</summary>
sealed class CopyOperation(LogicalUnit unit, Nexus nexus, uint listIdentifier, byte serviceAction)
{
    /// <summary>The logical unit whose copy manager was asked.</summary>
    public LogicalUnit Unit => unit;

    /// <summary>Who asked.</summary>
    public Nexus Nexus => nexus;

    public uint ListIdentifier => listIdentifier;

    /// <summary>The service action that asked for it.</summary>
    public byte ServiceAction => serviceAction;

    /// <summary>How it has ended; null while it is under way.</summary>
    public ScsiResult? Result { get; set; }

    /// <summary>How many segments have been begun: SEGMENTS PROCESSED counts the one that is under way.</summary>
    public int SegmentsProcessed { get; set; }

    /// <summary>How many bytes have been written, or a token stands for.</summary>
    public long BytesCopied { get; set; }

    /// <summary>How many commands have ended well: OPERATION COUNTER.</summary>
    public ushort CommandsDone { get; set; }

    /// <summary>It goes on although the command that asked for it has been answered (IMMED); what ends it then.</summary>
    public CancellationTokenSource? Background { get; set; }

    /// <summary>Fewer bytes came than were asked for, which is how it has failed.</summary>
    public bool HasResidual { get; set; }

    /// <summary>RECEIVE COPY STATUS(LID1) has told that it is over, which it does once.</summary>
    public bool StatusWasTold { get; set; }

    /// <summary>The token that was made, until somebody has fetched it.</summary>
    public byte[]? Token { get; set; }
}

/// <summary>The copies of one nexus that it may still ask about.</summary>
/// <remarks>Touched only by the owning thread.</remarks>
sealed class CopyOperations
{
    /// <summary>How many are remembered; those that are over are forgotten first, the oldest before the others.</summary>
    const int MaxKept = 32;

    readonly List<CopyOperation> _operations = [];

    public CopyOperation? Find(LogicalUnit unit, uint listIdentifier) =>
        _operations.Find(operation => operation.Unit == unit && operation.ListIdentifier == listIdentifier);

    /// <summary>Takes a new one in, in place of one with the same name that is over.</summary>
    public void Add(CopyOperation operation)
    {
        _operations.RemoveAll(other => other.Unit == operation.Unit && other.ListIdentifier == operation.ListIdentifier);
        if (_operations.Count >= MaxKept)
        {
            _operations.RemoveAt(Math.Max(0, _operations.FindIndex(static other => other.Result is not null)));
        }

        _operations.Add(operation);
    }

    /// <summary>The logical unit was reset: what is over there is forgotten. SPC-4 clause 6.24.</summary>
    public void ForgetThoseOf(LogicalUnit unit) => _operations.RemoveAll(operation => operation.Unit == unit && operation.Result is not null);
}
