using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>One EXTENDED COPY of a nexus, under way or done, as RECEIVE COPY RESULTS tells of it.</summary>
sealed class CopyOperation(uint listIdentifier, byte serviceAction)
{
    public uint ListIdentifier => listIdentifier;

    /// <summary>The service action that asked for it.</summary>
    public byte ServiceAction => serviceAction;

    /// <summary>How it has ended; null while it is under way.</summary>
    public ScsiResult? Result { get; set; }

    /// <summary>How many segments are done.</summary>
    public int SegmentsProcessed { get; set; }

    /// <summary>How many bytes have been written.</summary>
    public long BytesCopied { get; set; }
}

/// <summary>The copies of one nexus that it may still ask about.</summary>
/// <remarks>Touched only by the owning thread.</remarks>
sealed class CopyOperations
{
    /// <summary>How many are remembered; those that are over are forgotten first, the oldest before the others.</summary>
    const int MaxKept = 32;

    readonly List<CopyOperation> _operations = [];

    public CopyOperation? Find(uint listIdentifier) => _operations.Find(operation => operation.ListIdentifier == listIdentifier);

    /// <summary>Takes a new one in, in place of one with the same name that is over.</summary>
    public void Add(CopyOperation operation)
    {
        _operations.RemoveAll(other => other.ListIdentifier == operation.ListIdentifier);
        if (_operations.Count >= MaxKept)
        {
            _operations.RemoveAt(Math.Max(0, _operations.FindIndex(static other => other.Result is not null)));
        }

        _operations.Add(operation);
    }
}
