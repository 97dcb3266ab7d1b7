namespace Scuse.Target;

/// <summary>
/// Where persistent reservations are kept that are to survive a loss of power. Behind it may stand a file, or something that several targets share.
/// </summary>
public interface IReservationStore
{
    /// <summary>
    /// Keeps the state of a logical unit, in place of what was kept before: when the returned task completes it survives a loss of power, and either the old or the
    /// new one is there at any moment before. It completes on the thread that owns the logical unit.
    /// </summary>
    /// <param name="lun">The logical unit's number.</param>
    /// <param name="state">What to keep; one that does not persist is kept as nothing.</param>
    /// <returns>False when it cannot be kept; then what was kept before still is.</returns>
    ValueTask<bool> SaveAsync(int lun, ReservationState state);
}
