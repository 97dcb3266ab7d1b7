namespace Scuse.Engine;

/// <summary>How an operator's reset of a ring ends the commands that the handler has; numbered as the kernel's reset_ring takes it.</summary>
public enum RingReset
{
    /// <summary>With BUSY: the initiator tries again.</summary>
    Busy = 1,

    /// <summary>With LOGICAL UNIT COMMUNICATION FAILURE (02/08/00).</summary>
    Fail = 2,
}
