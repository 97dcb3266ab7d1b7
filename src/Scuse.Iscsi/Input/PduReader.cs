using Scuse.Iscsi.Pdus;

namespace Scuse.Iscsi.Input;

/// <summary>
/// Cuts the byte stream of one connection into PDUs. Headers are read in place in the receive buffer; of a data segment, what lies in the buffer
/// is stored from there and the rest may be received directly where it belongs.
/// </summary>
internal sealed class PduReader(IPduHandler handler, int bufferBytes)
{
    readonly byte[] _buffer = GC.AllocateUninitializedArray<byte>(bufferBytes, pinned: true);
    int _start;
    int _end;

    ISegmentSink? _sink; // not null: inside a data segment
    int _segmentLeft;
    int _paddingLeft;
    int _directOffered;

    /// <summary>Where the next bytes go; see <see cref="IscsiConnection.GetReceiveBuffers"/>.</summary>
    public int GetBuffers(Span<Memory<byte>> buffers)
    {
        int count = 0;
        _directOffered = 0;
        if (_sink is { } sink && _segmentLeft > 0 && _start == _end && buffers.Length > 1)
        {
            count = sink.GetBuffers(buffers[..^1], _segmentLeft);
            for (int i = 0; i < count; i++)
            {
                _directOffered += buffers[i].Length;
            }
        }

        MoveRemainderToFront();
        buffers[count++] = _buffer.AsMemory(_end);
        return count;
    }

    /// <summary>That many bytes came to where <see cref="GetBuffers"/> said.</summary>
    public void Received(int count)
    {
        int direct = Math.Min(count, _directOffered);
        _directOffered = 0;
        if (direct > 0)
        {
            _segmentLeft -= direct;
            _sink!.Advance(direct);
        }

        _end += count - direct;
        Parse();
    }

    void Parse()
    {
        while (handler.IsReceiving && Step())
        {
        }

        if (!handler.IsReceiving)
        {
            _start = _end = 0;
            _sink = null;
            _segmentLeft = _paddingLeft = 0;
        }
    }

    /// <summary>Goes on by one part of a PDU; false when more bytes are needed for it.</summary>
    bool Step()
    {
        int buffered = _end - _start;
        if (_sink is { } sink)
        {
            int take = Math.Min(buffered, _segmentLeft);
            if (take > 0)
            {
                sink.Store(_buffer.AsSpan(_start, take));
                _start += take;
                _segmentLeft -= take;
            }

            if (_segmentLeft > 0)
            {
                return false;
            }

            _sink = null;
            sink.End();
            return true;
        }

        if (_paddingLeft > 0)
        {
            int take = Math.Min(buffered, _paddingLeft);
            _start += take;
            _paddingLeft -= take;
            return _paddingLeft == 0;
        }

        return buffered >= BasicHeader.Length && TryReadHeader(buffered);
    }

    bool TryReadHeader(int buffered)
    {
        var header = new BasicHeader(_buffer.AsSpan(_start));
        int headersLength = BasicHeader.Length + header.TotalAhsLengthBytes;
        int segmentLength = header.DataSegmentLength;
        if (segmentLength > handler.MaxDataSegmentLength)
        {
            handler.OnFormatError(
                $"a PDU with opcode 0x{(byte)header.Opcode:X2} announces a data segment of {segmentLength} bytes; {handler.MaxDataSegmentLength} are allowed");
            return false;
        }

        if (buffered < headersLength)
        {
            return false;
        }

        ISegmentSink sink = handler.OnHeader(_buffer.AsSpan(_start, headersLength));
        _start += headersLength;
        _sink = sink;
        _segmentLeft = segmentLength;
        _paddingLeft = BasicHeader.PaddingFor(segmentLength);
        return true;
    }

    void MoveRemainderToFront()
    {
        if (_start == _end)
        {
            _start = _end = 0;
        }
        else if (_start > 0)
        {
            // At most a header and its additional segments: what is longer was stored.
            _buffer.AsSpan(_start.._end).CopyTo(_buffer);
            _end -= _start;
            _start = 0;
        }
    }
}
