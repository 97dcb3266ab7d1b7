namespace Scuse.Iscsi.Negotiation;

/// <summary>What login settled for a session, starting from the defaults of RFC 7143 section 13. Lengths are in bytes.</summary>
internal sealed class SessionParameters
{
    public string InitiatorName { get; set; } = "";

    public string InitiatorAlias { get; set; } = "";

    public string TargetName { get; set; } = "";

    /// <summary>The CHAP user that the initiator has proved to be, and how; null without authentication.</summary>
    public Authenticated? Authenticated { get; set; }

    public bool IsDiscovery { get; set; }

    /// <summary>What was settled for the connection that these were negotiated on.</summary>
    public ConnectionParameters Connection { get; } = new();

    public int MaxBurstLength { get; set; } = 262144;

    public int FirstBurstLength { get; set; } = 65536;

    public int MaxOutstandingR2T { get; set; } = 1;

    public bool InitialR2T { get; set; } = true;

    public bool ImmediateData { get; set; } = true;

    public int MaxConnections { get; set; } = 1;

    public int DefaultTime2WaitSeconds { get; set; } = 2;

    public int DefaultTime2RetainSeconds { get; set; } = 20;

    public int ErrorRecoveryLevel { get; set; }

    /// <summary>iSCSIProtocolLevel: from 2 on there are the functions of RFC 7144.</summary>
    public int ProtocolLevel { get; set; } = 1;
}
