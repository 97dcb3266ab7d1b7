namespace Scuse.Target;

/// <summary>The types of persistent reservation, numbered as on the wire. SPC-4 clause 6.16.3.4.</summary>
public enum PersistentReservationType : byte
{
    /// <summary>Only the holder writes; everybody reads.</summary>
    WriteExclusive = 1,

    /// <summary>Only the holder writes and reads.</summary>
    ExclusiveAccess = 3,

    /// <summary>Only registered nexuses write; everybody reads.</summary>
    WriteExclusiveRegistrantsOnly = 5,

    /// <summary>Only registered nexuses write and read.</summary>
    ExclusiveAccessRegistrantsOnly = 6,

    /// <summary>As with registrants only; every registered nexus is a holder.</summary>
    WriteExclusiveAllRegistrants = 7,

    /// <summary>As with registrants only; every registered nexus is a holder.</summary>
    ExclusiveAccessAllRegistrants = 8,
}

/// <summary>A registered I_T nexus. There is one target port, so the initiator port's name is enough.</summary>
/// <param name="InitiatorPort">The initiator port's name, as <see cref="Nexus.InitiatorPort"/> has it.</param>
/// <param name="Key">Its reservation key; never 0.</param>
public sealed record Registration(string InitiatorPort, ulong Key);

/// <summary>The persistent reservations of one logical unit: who is registered, and who holds what. SPC-4 clause 5.12.</summary>
/// <remarks>Immutable, so that a change can be kept on stable storage before it takes effect.</remarks>
public sealed record ReservationState
{
    /// <summary>Nobody registered, nothing reserved.</summary>
    public static ReservationState Empty { get; } = new();

    /// <summary>PRGENERATION: how often registrations have changed since power on.</summary>
    public uint Generation { get; init; }

    /// <summary>Whether all of this survives a loss of power: APTPL of the last PERSISTENT RESERVE OUT that carried it.</summary>
    public bool PersistsThroughPowerLoss { get; init; }

    /// <summary>The registered nexuses, in the order of their registration.</summary>
    public IReadOnlyList<Registration> Registrations { get; init; } = [];

    /// <summary>The reservation's type; null when there is none.</summary>
    public PersistentReservationType? Type { get; init; }

    /// <summary>The holder's initiator port; null without a reservation and where all registrants hold it.</summary>
    public string? Holder { get; init; }

    /// <summary>Whether every registered nexus holds the reservation.</summary>
    public bool IsAllRegistrants => Type is PersistentReservationType.WriteExclusiveAllRegistrants or PersistentReservationType.ExclusiveAccessAllRegistrants;

    /// <summary>Whether registration is enough to be let through.</summary>
    public bool AdmitsRegistrants => Type >= PersistentReservationType.WriteExclusiveRegistrantsOnly;

    /// <summary>Whether nexuses that are not let through may read all the same.</summary>
    public bool AdmitsReading =>
        Type is PersistentReservationType.WriteExclusive or PersistentReservationType.WriteExclusiveRegistrantsOnly or PersistentReservationType.WriteExclusiveAllRegistrants;

    /// <summary>A nexus's registration; null when it has none.</summary>
    public Registration? Find(string initiatorPort)
    {
        foreach (Registration registration in Registrations)
        {
            if (registration.InitiatorPort == initiatorPort)
            {
                return registration;
            }
        }

        return null;
    }

    /// <summary>Whether a nexus holds the reservation there is.</summary>
    public bool IsHeldBy(string initiatorPort) => Type is not null && (IsAllRegistrants ? Find(initiatorPort) is not null : Holder == initiatorPort);

    /// <summary>Whether the two say the same, item by item.</summary>
    public bool Equals(ReservationState? other) =>
        other is not null && Generation == other.Generation && PersistsThroughPowerLoss == other.PersistsThroughPowerLoss
        && Type == other.Type && Holder == other.Holder && Registrations.SequenceEqual(other.Registrations);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Generation, Type, Holder, Registrations.Count);
}
