namespace Scuse.Iscsi.Input;

/// <summary>What a <see cref="PduReader"/> finds, goes here.</summary>
internal interface IPduHandler
{
    /// <summary>The longest data segment allowed now, in bytes.</summary>
    int MaxDataSegmentLength { get; }

    /// <summary>Whether more PDUs are wanted; when false, what was received is thrown away, unless somebody else goes on.</summary>
    bool IsReceiving { get; }

    /// <summary>Whether somebody else goes on with what was received.</summary>
    bool IsMoving { get; }

    /// <summary>A PDU's header, with its additional header segments, is complete. Returns where its data segment goes.</summary>
    /// <param name="headers">The header, in the receive buffer.</param>
    /// <param name="isUnchecked">The segment may still turn out not to match its digest: then <see cref="OnDataDigestError"/> comes instead of the sink's end.</param>
    ISegmentSink OnHeader(ReadOnlySpan<byte> headers, bool isUnchecked);

    /// <summary>A data segment is complete and does not match its digest: its PDU is to be discarded. RFC 7143 section 7.8.</summary>
    void OnDataDigestError(ReadOnlySpan<byte> header, ISegmentSink sink);

    /// <summary>The stream cannot be understood any further. RFC 7143 section 7.7.</summary>
    void OnFormatError(string reason);
}
