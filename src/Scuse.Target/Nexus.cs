namespace Scuse.Target;

/// <summary>
/// An I_T nexus: one initiator port's relation with one target port, which is what an iSCSI session is. SAM-5 clause 4.11.
/// </summary>
public sealed class Nexus
{
    internal Nexus(ScsiTarget target, string initiatorPort)
    {
        Target = target;
        InitiatorPort = initiatorPort;
    }

    /// <summary>The target at the other end.</summary>
    public ScsiTarget Target { get; }

    /// <summary>The initiator port's name: <c>iqn...,i,0x</c> and the ISID in twelve hexadecimal digits. RFC 7143 section 4.4.1.2.</summary>
    public string InitiatorPort { get; }

    /// <summary>Whether the nexus still exists.</summary>
    public bool IsAlive { get; internal set; } = true;
}
