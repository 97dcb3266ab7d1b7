namespace Scuse.Iscsi.Negotiation;

/// <summary>What login settled for one connection, starting from the defaults of RFC 7143 section 13: the keys of scope CO.</summary>
internal sealed class ConnectionParameters
{
    /// <summary>The most the initiator takes in one PDU, in bytes: its MaxRecvDataSegmentLength.</summary>
    public int InitiatorMaxRecvDataSegmentLength { get; set; } = 8192;

    /// <summary>Whether every header is followed by its CRC32C, in full feature phase.</summary>
    public bool HeaderDigest { get; set; }

    /// <summary>Whether every data segment is followed by its CRC32C, in full feature phase.</summary>
    public bool DataDigest { get; set; }
}
