using System.Net;
using Scuse.Target;

namespace Scuse.Iscsi.Access;

/// <summary>Who may log in to a target, or to discovery. Never changed: to change access, another one takes its place.</summary>
public sealed record TargetAccess
{
    /// <summary>Anybody may.</summary>
    public static TargetAccess Open { get; } = new();

    /// <summary>
    /// The initiators that may log in: one of these has to match. Null: all. What an initiator calls itself is its own word; only an address, as far as the
    /// network vouches for it, and authentication prove something.
    /// </summary>
    public IReadOnlyList<InitiatorPattern>? Initiators { get; init; }

    /// <summary>That initiators have to prove who they are; null: they need not, and cannot.</summary>
    public ChapAuthentication? Chap { get; init; }

    /// <summary>
    /// What initiators see of the target: the first of these that matches counts, and who matches none sees no logical unit. Null: everybody sees everything.
    /// </summary>
    public IReadOnlyList<InitiatorLuns>? LunMaps { get; init; }

    /// <summary>What an initiator sees; null: everything.</summary>
    public LunMap? MapFor(string initiatorName, IPAddress? address)
    {
        if (LunMaps is null)
        {
            return null;
        }

        foreach (InitiatorLuns luns in LunMaps)
        {
            if (luns.Initiators.Any(pattern => pattern.Matches(initiatorName, address)))
            {
                return luns.Map;
            }
        }

        return LunMap.Nothing;
    }

    /// <summary>Whether an initiator may log in; where it is may be unknown.</summary>
    public bool Admits(string initiatorName, IPAddress? address) =>
        Initiators is null || Initiators.Any(pattern => pattern.Matches(initiatorName, address));
}

/// <summary>What some initiators see of a target.</summary>
/// <param name="Initiators">Which: one of these has to match.</param>
/// <param name="Map">What they see.</param>
public sealed record InitiatorLuns(IReadOnlyList<InitiatorPattern> Initiators, LunMap Map);
