namespace Scuse.Iscsi.Input;

/// <summary>Where a PDU's data segment goes.</summary>
internal interface ISegmentSink
{
    /// <summary>Takes the next bytes of the segment out of the receive buffer.</summary>
    void Store(ReadOnlySpan<byte> bytes);

    /// <summary>Names the memory where the segment's next bytes may be received directly; returns how many pieces. None is fine.</summary>
    int GetBuffers(Span<Memory<byte>> buffers, int remaining);

    /// <summary>That many bytes were received into the memory that <see cref="GetBuffers"/> named.</summary>
    void Advance(int count);

    /// <summary>The segment is complete; also called for an empty one.</summary>
    void End();

    /// <summary>The segment is complete and does not match its digest: what it brought does not count.</summary>
    void Discard();
}

/// <summary>Drops a data segment.</summary>
internal sealed class SkipSink : ISegmentSink
{
    public static readonly SkipSink Instance = new();

    public void Store(ReadOnlySpan<byte> bytes)
    {
    }

    public int GetBuffers(Span<Memory<byte>> buffers, int remaining) => 0;

    public void Advance(int count)
    {
    }

    public void End()
    {
    }

    public void Discard()
    {
    }
}
