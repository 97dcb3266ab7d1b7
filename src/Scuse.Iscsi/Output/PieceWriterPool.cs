namespace Scuse.Iscsi.Output;

/// <summary>
/// The writers of all connections of a server: one that has nothing to send needs none, so that an idle session costs no ring of headers, and one that logs in and out allocates none.
/// </summary>
/// <remarks>Touched only by the owning reactor.</remarks>
internal sealed class PieceWriterPool
{
    /// <summary>How many are kept for the next ones. There are more only while so many initiators do not take what they are sent.</summary>
    const int MaxSpare = 64;

    readonly Stack<PieceWriter> _spare = new();

    public PieceWriter Rent() => _spare.TryPop(out PieceWriter? writer) ? writer : new PieceWriter();

    /// <summary>Takes back one whose pieces are all sent.</summary>
    public void Return(PieceWriter writer)
    {
        if (_spare.Count < MaxSpare)
        {
            _spare.Push(writer);
        }
    }
}
