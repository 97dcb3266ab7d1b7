using System.Numerics;
using Scuse.Iscsi.Pdus;

namespace Scuse.Iscsi.Input;

/// <summary>What a reader has received and not acted on, between two PDUs.</summary>
/// <param name="Bytes">What stands behind the last PDU.</param>
/// <param name="PaddingLeft">How many bytes of padding the last PDU lacks.</param>
internal readonly record struct UnreadBytes(byte[] Bytes, int PaddingLeft);

/// <summary>
/// Cuts the byte stream of one connection into PDUs and checks their digests. Headers are read in place in the receive buffer; of a data segment, what
/// lies in the buffer is stored from there and the rest may be received directly where it belongs. A digest is summed up where the bytes came to lie.
/// </summary>
/// <remarks>
/// All connections of a thread share the receive buffer, so that an idle one costs next to nothing: what a connection leaves in it, at most a part of a header with its additional
/// segments or of what stands behind a data segment, is kept aside until more has come.
/// </remarks>
/// <param name="handler">What the PDUs are for.</param>
/// <param name="buffer">The receive buffer; nobody else touches it between <see cref="GetBuffers"/> and the end of its <see cref="Received"/>.</param>
internal sealed class PduReader(IPduHandler handler, byte[] buffer)
{
    const int SmallestRest = 64;

    readonly byte[] _buffer = buffer;
    int _start; // in the buffer, while Received runs
    int _end;
    byte[] _rest = [];
    int _restLength;

    ISegmentSink? _sink; // not null: inside a data segment
    int _segmentLeft;
    int _paddingLeft;
    int _directOffered;

    // Of a segment whose digest is still to be checked: the PDU's header, and where its next bytes may be received.
    byte[] _header = [];
    Memory<byte>[] _offered = [];
    bool _isSummed;
    uint _sum;

    bool _hasHeaderDigests;
    bool _hasDataDigests;

    /// <summary>The PDUs from the next one on have these digests.</summary>
    public void Expect(bool headerDigests, bool dataDigests)
    {
        const int maxPiecesOffered = 64;
        _hasHeaderDigests = headerDigests;
        _hasDataDigests = dataDigests;
        if (dataDigests)
        {
            _header = new byte[BasicHeader.Length];
            _offered = new Memory<byte>[maxPiecesOffered];
        }
    }

    /// <summary>How many PDUs began in the last read.</summary>
    public int PdusOfRead { get; private set; }

    /// <summary>Where the next bytes go, of which no more than a number go to the receive buffer; see <see cref="IscsiConnection.GetReceiveBuffers"/>.</summary>
    public int GetBuffers(Span<Memory<byte>> buffers, int mostBuffered = int.MaxValue)
    {
        int count = 0;
        _directOffered = 0;
        if (_sink is { } sink && _segmentLeft > 0 && _restLength == 0 && buffers.Length > 1)
        {
            Span<Memory<byte>> direct = buffers[..^1];
            if (_isSummed)
            {
                direct = direct[..Math.Min(direct.Length, _offered.Length)];
            }

            count = sink.GetBuffers(direct, _segmentLeft);
            for (int i = 0; i < count; i++)
            {
                _directOffered += direct[i].Length;
            }

            if (_isSummed)
            {
                direct[..count].CopyTo(_offered);
            }
        }

        _rest.AsSpan(0, _restLength).CopyTo(_buffer);
        buffers[count++] = _buffer.AsMemory(_restLength, Math.Min(_buffer.Length - _restLength, mostBuffered));
        return count;
    }

    /// <summary>That many bytes came to where <see cref="GetBuffers"/> said.</summary>
    public void Received(int count)
    {
        int direct = Math.Min(count, _directOffered);
        _directOffered = 0;
        if (direct > 0)
        {
            if (_isSummed)
            {
                SumOffered(direct);
            }

            _segmentLeft -= direct;
            _sink!.Advance(direct);
        }

        _start = 0;
        PdusOfRead = 0;
        _end = _restLength + count - direct;
        Parse();
        KeepRest();
    }

    /// <summary>What another reader goes on with, when the handler has stopped between two PDUs.</summary>
    public UnreadBytes Unread => new(_rest[.._restLength], _paddingLeft);

    /// <summary>Goes on where another reader has stopped.</summary>
    public void GoOn(UnreadBytes unread)
    {
        unread.Bytes.CopyTo(_buffer, 0);
        _paddingLeft = unread.PaddingLeft;
        _start = 0;
        _end = unread.Bytes.Length;
        Parse();
        KeepRest();
    }

    void Parse()
    {
        while (handler.IsReceiving && Step())
        {
        }

        if (!handler.IsReceiving && !handler.IsMoving)
        {
            _start = _end = 0;
            _sink = null;
            _segmentLeft = _paddingLeft = 0;
            _offered.AsSpan().Clear();
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
                ReadOnlySpan<byte> bytes = _buffer.AsSpan(_start, take);
                if (_isSummed)
                {
                    _sum = Crc32C.Append(_sum, bytes);
                }

                sink.Store(bytes);
                _start += take;
                _segmentLeft -= take;
            }

            if (_segmentLeft > 0)
            {
                return false;
            }

            return _isSummed ? TryEndSummed(sink) : End(sink);
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

    bool End(ISegmentSink sink)
    {
        _sink = null;
        sink.End();
        return true;
    }

    /// <summary>The segment is there; its padding and digest decide whether it counts.</summary>
    bool TryEndSummed(ISegmentSink sink)
    {
        int trailer = _paddingLeft + Crc32C.Length;
        if (_end - _start < trailer)
        {
            return false;
        }

        ReadOnlySpan<byte> bytes = _buffer.AsSpan(_start, trailer);
        _start += trailer;
        uint sum = Crc32C.Append(_sum, bytes[..^Crc32C.Length]);
        _paddingLeft = 0;
        _isSummed = false;
        if (Crc32C.Matches(bytes[^Crc32C.Length..], sum))
        {
            return End(sink);
        }

        _sink = null;
        handler.OnDataDigestError(_header, sink);
        return true;
    }

    bool TryReadHeader(int buffered)
    {
        var header = new BasicHeader(_buffer.AsSpan(_start));
        int headersLength = BasicHeader.Length + header.TotalAhsLengthBytes;
        int digestLength = 0;
        if (_hasHeaderDigests)
        {
            // No field is to be believed before, but for the length that says where the digest is.
            digestLength = Crc32C.Length;
            if (buffered < headersLength + digestLength)
            {
                return false;
            }

            ReadOnlySpan<byte> headers = _buffer.AsSpan(_start, headersLength);
            if (!Crc32C.Matches(_buffer.AsSpan(_start + headersLength), Crc32C.Append(Crc32C.Initial, headers)))
            {
                handler.OnFormatError("a PDU's header does not match its digest");
                return false;
            }
        }

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

        int padding = BasicHeader.PaddingFor(segmentLength);
        bool hasDataDigest = _hasDataDigests && segmentLength > 0;
        bool isUnchecked = hasDataDigest && !IsWholeAndRight(_start + headersLength + digestLength, segmentLength + padding);
        if (isUnchecked)
        {
            _buffer.AsSpan(_start, BasicHeader.Length).CopyTo(_header);
        }

        PdusOfRead++;
        ISegmentSink sink = handler.OnHeader(_buffer.AsSpan(_start, headersLength), isUnchecked);
        _start += headersLength + digestLength;
        _sink = sink;
        _segmentLeft = segmentLength;
        _paddingLeft = padding + (hasDataDigest && !isUnchecked ? Crc32C.Length : 0);
        _isSummed = isUnchecked;
        _sum = Crc32C.Initial;
        return true;
    }

    /// <summary>Whether a segment, with its padding, lies in the buffer already and matches the digest behind it.</summary>
    bool IsWholeAndRight(int start, int length) =>
        _end - start >= length + Crc32C.Length
        && Crc32C.Matches(_buffer.AsSpan(start + length), Crc32C.Append(Crc32C.Initial, _buffer.AsSpan(start, length)));

    void SumOffered(int count)
    {
        for (int i = 0; count > 0; i++)
        {
            ReadOnlySpan<byte> piece = _offered[i].Span;
            piece = piece[..Math.Min(piece.Length, count)];
            _sum = Crc32C.Append(_sum, piece);
            count -= piece.Length;
        }
    }

    void KeepRest()
    {
        _restLength = _end - _start;
        if (_restLength > _rest.Length)
        {
            _rest = new byte[Math.Max(SmallestRest, (int)BitOperations.RoundUpToPowerOf2((uint)_restLength))];
        }

        _buffer.AsSpan(_start, _restLength).CopyTo(_rest);
    }
}
