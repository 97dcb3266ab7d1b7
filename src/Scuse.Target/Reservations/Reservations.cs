using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>The reservations of one logical unit: persistent ones, and RESERVE and RELEASE of old. SPC-4 clause 5.12, SPC-2 clause 5.5.</summary>
/// <remarks>Touched only by the owning thread. A nexus that goes away keeps its registration; it loses what it has by RESERVE.</remarks>
public sealed class Reservations
{
    readonly LogicalUnit _unit;
    readonly Queue<TaskCompletionSource> _turns = new();
    bool _isChanging;
    Nexus? _reservedBy; // by RESERVE

    internal Reservations(LogicalUnit unit) => _unit = unit;

    /// <summary>The persistent reservations in force.</summary>
    public ReservationState State { get; private set; } = ReservationState.Empty;

    /// <summary>Where they are kept when an initiator wants them to survive a loss of power; null: nowhere, and such a wish is refused.</summary>
    public IReservationStore? Store { get; set; }

    /// <summary>Whether nothing is reserved, which is all that the data path looks at.</summary>
    internal bool IsFree => State.Type is null && _reservedBy is null;

    /// <summary>Puts back what was kept before a loss of power; before the first nexus comes.</summary>
    public void Restore(ReservationState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        State = state with { Generation = 0 }; // SPC-4 clause 5.12.3: it starts anew
    }

    /// <summary>Whether a command of a nexus ends with RESERVATION CONFLICT before anything else is looked at.</summary>
    internal bool Conflicts(Nexus nexus, ReadOnlySpan<byte> cdb)
    {
        if (_reservedBy is { } holder && holder != nexus && !ReservationTable.PassesReserve(cdb[0]))
        {
            return true;
        }

        ReservationState state = State;
        if (state.Type is null)
        {
            return false;
        }

        ReservedAccess access = ReservationTable.Of(cdb);
        return access != ReservedAccess.Always
            && !(access == ReservedAccess.Reads && state.AdmitsReading)
            && !(state.AdmitsRegistrants ? state.Find(nexus.InitiatorPort) is not null : state.Holder == nexus.InitiatorPort);
    }

    // ---- commands ----

    internal ScsiResult ReserveIn(Nexus nexus, ReadOnlySpan<byte> cdb, DataBuffer dataIn) =>
        _reservedBy is not null
            ? ScsiResult.With(ScsiStatus.ReservationConflict) // the two kinds do not mix
            : PersistentReserveIn.Execute(State, Store is not null, cdb, dataIn);

    internal async ValueTask<ScsiResult> ReserveOutAsync(ScsiTask task)
    {
        await TakeTurn();
        try
        {
            return task.IsUnwanted ? ScsiResult.Check(SenseKey.AbortedCommand, AdditionalSense.None) : await ChangeAsync(task);
        }
        finally
        {
            EndTurn();
        }
    }

    /// <summary>One after the other: each starts from what the one before has made, and made to last.</summary>
    Task TakeTurn()
    {
        if (!_isChanging)
        {
            _isChanging = true;
            return Task.CompletedTask;
        }

        TaskCompletionSource turn = new(); // goes on inside EndTurn, on the owning thread
        _turns.Enqueue(turn);
        return turn.Task;
    }

    void EndTurn()
    {
        if (_turns.TryDequeue(out TaskCompletionSource? next))
        {
            next.SetResult();
        }
        else
        {
            _isChanging = false;
        }
    }

    async ValueTask<ScsiResult> ChangeAsync(ScsiTask task)
    {
        if (_reservedBy is not null)
        {
            return ScsiResult.With(ScsiStatus.ReservationConflict);
        }

        byte[] list = new byte[task.DataOut.Length];
        task.DataOut.CopyTo(list);
        ReservationState before = State;
        if (!PersistentReserveOut.TryApply(before, task.Nexus.InitiatorPort, task.Cdb, list, out ReservationChange change, out ScsiResult refusal))
        {
            return refusal;
        }

        if (change.State.PersistsThroughPowerLoss && Store is null)
        {
            return ScsiResult.Check(SenseData.InvalidFieldInParameterList(20)); // APTPL cannot be kept
        }

        if (Store is { } store && (change.State.PersistsThroughPowerLoss || before.PersistsThroughPowerLoss) && !await store.SaveAsync(_unit.Number, change.State))
        {
            return ScsiResult.Check(SenseKey.IllegalRequest, AdditionalSense.InsufficientRegistrationResources);
        }

        State = change.State;
        foreach ((string port, ushort code) in change.Attentions)
        {
            _unit.Target.EstablishFor(port, _unit, code);
        }

        if (change.Aborted.Count > 0)
        {
            await ScsiTarget.AbortTasksOfAsync(change.Aborted, _unit, except: task);
        }

        return ScsiResult.Good;
    }

    /// <summary>RESERVE(6) and (10), RELEASE(6) and (10). SPC-2 clauses 7.19 to 7.22; beside persistent ones SPC-4 clause 5.12.3.</summary>
    internal ScsiResult ReserveOrRelease(Nexus nexus, ReadOnlySpan<byte> cdb)
    {
        const int flagsOffset = 1;
        const byte thirdPartyOrExtent = 0x11, longId = 0x02;
        bool isTen = cdb[0] is OperationCode.Reserve10 or OperationCode.Release10;
        if ((cdb[flagsOffset] & (isTen ? thirdPartyOrExtent | longId : thirdPartyOrExtent)) != 0)
        {
            return ScsiResult.Check(SenseData.InvalidFieldInCdb(flagsOffset)); // obsolete: for others, or for a part
        }

        if (State.Registrations.Count > 0)
        {
            // CRH: to the registered these commands are answered as if they had been done.
            bool isExempt = State.Type is null ? State.Find(nexus.InitiatorPort) is not null
                : State.AdmitsRegistrants ? State.Find(nexus.InitiatorPort) is not null
                : State.Holder == nexus.InitiatorPort;
            return isExempt ? ScsiResult.Good : ScsiResult.With(ScsiStatus.ReservationConflict);
        }

        if (cdb[0] is OperationCode.Release6 or OperationCode.Release10)
        {
            _reservedBy = _reservedBy == nexus ? null : _reservedBy; // of somebody else's it is GOOD, and nothing happens
            return ScsiResult.Good;
        }

        if (_reservedBy is not null && _reservedBy != nexus)
        {
            return ScsiResult.With(ScsiStatus.ReservationConflict);
        }

        _reservedBy = nexus;
        return ScsiResult.Good;
    }

    /// <summary>The logical unit was reset: a RESERVE ends, persistent reservations stay. SPC-4 clause 5.12.2.</summary>
    internal void WasReset() => _reservedBy = null;

    /// <summary>The nexus is lost: so is what it had by RESERVE.</summary>
    internal void NexusLost(Nexus nexus) => _reservedBy = _reservedBy == nexus ? null : _reservedBy;
}
