using Scuse.Target;

namespace Scuse.Simulation.Storms;

enum OperationKind
{
    Read,
    Write,
    Flush,
    Unmap,
    WriteSame,
    WriteAndVerify,
    Verify,
    CompareAndWrite,

    /// <summary>Something that the engine answers itself, or that a handler does not know.</summary>
    Other,
}

/// <summary>One command of an initiator, from sending it until nothing of it can happen any more.</summary>
sealed class Operation
{
    /// <summary>What blocks hold that were never written, or unmapped.</summary>
    public const ulong Zero = 0;

    public required int Number { get; init; }

    public required OperationKind Kind { get; init; }

    public int FirstBlock { get; init; }

    public int Blocks { get; init; }

    public Session? Session { get; init; }

    public ScsiTask? Task { get; set; }

    /// <summary>What goes before it, and what after it.</summary>
    public TaskAttribute Attribute { get; init; }

    /// <summary>When it was sent, and when at the latest it had its last effect: points in the order of events.</summary>
    public long InvokedAt { get; set; }

    public long EndedAt { get; set; } = long.MaxValue;

    /// <summary>When its time limit began, on the virtual clock.</summary>
    public long LimitStartMs { get; set; }

    public bool IsOpen => EndedAt == long.MaxValue;

    public bool IsTold { get; set; }

    /// <summary>It ended with GOOD.</summary>
    public bool IsGood { get; set; }

    /// <summary>A handler that broke the rules had a hand in it: what came of it proves nothing.</summary>
    public bool IsTainted { get; set; }

    /// <summary>A handler that fills nothing had a hand in it.</summary>
    public bool MetLazy { get; set; }

    public bool Writes => Kind is OperationKind.Write or OperationKind.Unmap or OperationKind.WriteSame or OperationKind.WriteAndVerify or OperationKind.CompareAndWrite;

    public bool IsCompound => Kind is OperationKind.CompareAndWrite or OperationKind.WriteSame or OperationKind.WriteAndVerify or OperationKind.Verify or OperationKind.Unmap or OperationKind.Flush;

    /// <summary>The data that is to be sent, and whether the transport has been asked for it.</summary>
    public int DataSent { get; set; }

    public bool IsDataWanted { get; set; }

    /// <summary>The task management functions that abort it; the first to be answered ends it.</summary>
    public List<TaskManagementRequest> AbortedBy { get; } = [];

    /// <summary>For a COMPARE AND WRITE: what the block is to hold.</summary>
    public ulong Expected { get; init; }

    /// <summary>For what reads: the writes that each block may show; for flushes: those that each block showed at the start.</summary>
    public List<Operation>[]? Views { get; set; }

    /// <summary>What a read returned, as long as its answer is being sent.</summary>
    public ulong[]? Returned { get; set; }

    public ulong ValueAt(int block) => Kind switch
    {
        OperationKind.Write or OperationKind.WriteAndVerify or OperationKind.CompareAndWrite => ((ulong)Number << 16) | ((ulong)(block - FirstBlock) << 8) | (byte)(Session?.Number ?? 0) | 1UL << 63,
        OperationKind.WriteSame => ((ulong)Number << 16) | (byte)(Session?.Number ?? 0) | 1UL << 63,
        _ => Zero,
    };

    public override string ToString() => $"#{Number} {Kind}{(Blocks > 0 ? $" {FirstBlock}+{Blocks}" : "")} of session {Session?.Number ?? 0}";
}
