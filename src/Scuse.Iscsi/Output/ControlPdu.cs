using Scuse.Iscsi.Pdus;

namespace Scuse.Iscsi.Output;

/// <summary>A PDU other than a task's answer, ready but for its sequence numbers. Pooled.</summary>
internal sealed class ControlPdu
{
    /// <summary>The header.</summary>
    public byte[] Header { get; } = new byte[BasicHeader.Length];

    /// <summary>A rented pinned array with the data segment; given back when it is sent.</summary>
    public byte[]? Data { get; set; }

    /// <summary>How many bytes of <see cref="Data"/> count.</summary>
    public int DataLength { get; set; }

    /// <summary>How much memory it holds: an echo may be shorter than the ping, whose array it keeps.</summary>
    public int HeldBytes => Data?.Length ?? 0;

    /// <summary>Whether the PDU is a status: it takes a StatSN. Otherwise it carries the next one without taking it. RFC 7143 section 4.2.2.2.</summary>
    public bool TakesStatSN { get; set; }

    /// <summary>Who still needs it: pieces that are being sent, and the table of unacknowledged statuses.</summary>
    public int Holders { get; set; }

    /// <summary>The number it was sent under, when it took one.</summary>
    public uint StatSN { get; set; }
}
