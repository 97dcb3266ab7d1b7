using Scuse.Iscsi.Pdus;

namespace Scuse.Iscsi.Input;

/// <summary>A whole PDU that was gathered before it is acted on.</summary>
/// <param name="Headers">The header and its additional segments.</param>
/// <param name="Data">The pinned array that holds the data segment; null for an empty one. The receiver owns it now.</param>
/// <param name="DataLength">How many bytes of <paramref name="Data"/> count.</param>
internal readonly record struct GatheredPdu(byte[] Headers, byte[]? Data, int DataLength)
{
    public ReadOnlySpan<byte> Text => Data.AsSpan(0, DataLength);

    /// <summary>The header with the additional segments that it announces.</summary>
    public ReadOnlySpan<byte> AllHeaders => Headers.AsSpan(0, BasicHeader.Length + new BasicHeader(Headers).TotalAhsLengthBytes);
}

/// <summary>Gathers the PDUs that are acted on as a whole: login, text, NOP-Out, task management, logout, and commands whose data has a digest. One per connection.</summary>
internal sealed class GatherSink(PinnedBufferPool pool, Action<GatheredPdu> complete) : ISegmentSink
{
    readonly byte[] _headers = new byte[BasicHeader.Length + AdditionalHeaders.MaxLength];
    byte[]? _data;
    int _length;

    /// <summary>Starts with a header; its segment follows.</summary>
    public ISegmentSink Begin(ReadOnlySpan<byte> headers)
    {
        Drop();
        headers.CopyTo(_headers);
        int length = new BasicHeader(headers).DataSegmentLength;
        _data = length > 0 ? pool.Rent(length) : null;
        return this;
    }

    public void Store(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(_data.AsSpan(_length));
        _length += bytes.Length;
    }

    public int GetBuffers(Span<Memory<byte>> buffers, int remaining)
    {
        buffers[0] = _data.AsMemory(_length, remaining);
        return 1;
    }

    public void Advance(int count) => _length += count;

    public void End()
    {
        var pdu = new GatheredPdu(_headers, _data, _length);
        _data = null;
        _length = 0;
        complete(pdu);
    }

    public void Discard() => Drop();

    /// <summary>Gives back what an unfinished segment holds.</summary>
    public void Drop()
    {
        if (_data is { } data)
        {
            _data = null;
            pool.Return(data);
        }

        _length = 0;
    }
}
