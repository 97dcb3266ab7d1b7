namespace Scuse.Target;

/// <summary>How well a target port group reaches its logical units, numbered as on the wire. SPC-4 table 307.</summary>
public enum AsymmetricAccessState : byte
{
    /// <summary>As well as can be.</summary>
    ActiveOptimized = 0x0,

    /// <summary>With less performance.</summary>
    ActiveNonOptimized = 0x1,

    /// <summary>Not, but it could.</summary>
    Standby = 0x2,

    /// <summary>Not at all.</summary>
    Unavailable = 0x3,

    /// <summary>On the way from one of them to another.</summary>
    Transitioning = 0xF,
}
