namespace Scuse.Iscsi.Input;

/// <summary>What a <see cref="PduReader"/> finds, goes here.</summary>
internal interface IPduHandler
{
    /// <summary>The longest data segment allowed now, in bytes.</summary>
    int MaxDataSegmentLength { get; }

    /// <summary>Whether more PDUs are wanted; when false, what was received is thrown away.</summary>
    bool IsReceiving { get; }

    /// <summary>A PDU's header, with its additional header segments, is complete. Returns where its data segment goes.</summary>
    ISegmentSink OnHeader(ReadOnlySpan<byte> headers);

    /// <summary>The stream cannot be understood any further. RFC 7143 section 7.6.</summary>
    void OnFormatError(string reason);
}
