namespace Scuse.Target;

/// <summary>The ordering an initiator asks for. RFC 7143 section 11.3.1; SAM-5 clause 8.6.</summary>
public enum TaskAttribute : byte
{
    /// <summary>None given; treated as simple.</summary>
    Untagged = 0,

    /// <summary>In any order.</summary>
    Simple = 1,

    /// <summary>After all earlier, before all later.</summary>
    Ordered = 2,

    /// <summary>Before all that wait.</summary>
    HeadOfQueue = 3,

    /// <summary>Part of an auto contingent allegiance.</summary>
    Aca = 4,
}
