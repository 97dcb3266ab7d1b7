using System.Buffers.Binary;
using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>What a PERSISTENT RESERVE OUT brings about besides the new state.</summary>
/// <param name="State">The state once the command has ended with GOOD.</param>
/// <param name="Attentions">Who is to be told what: an initiator port and an additional sense code each.</param>
/// <param name="Aborted">Whose tasks are to be aborted: initiator ports. PREEMPT AND ABORT.</param>
readonly record struct ReservationChange(ReservationState State, IReadOnlyList<(string InitiatorPort, ushort Code)> Attentions, IReadOnlyList<string> Aborted);

/// <summary>PERSISTENT RESERVE OUT: from a state, the nexus and the command to the next state. It changes nothing itself. SPC-4 clauses 5.12 and 6.16.</summary>
static class PersistentReserveOut
{
    const int MaxRegistrations = 1024;

    const int ServiceActionOffset = 1, ScopeAndTypeOffset = 2, ParameterListLengthOffset = 5;
    const byte ServiceActionMask = 0x1F;
    const int BasicListLength = 24;

    enum Action
    {
        Register = 0,
        Reserve = 1,
        Release = 2,
        Clear = 3,
        Preempt = 4,
        PreemptAndAbort = 5,
        RegisterAndIgnoreExistingKey = 6,
        RegisterAndMove = 7,
    }

    static ScsiResult Conflict => ScsiResult.With(ScsiStatus.ReservationConflict);

    /// <summary>Works out what a command does. False when it is refused: then <paramref name="refusal"/> is its result.</summary>
    public static bool TryApply(
        ReservationState state, string nexus, ReadOnlySpan<byte> cdb, ReadOnlySpan<byte> list, out ReservationChange change, out ScsiResult refusal)
    {
        change = new ReservationChange(state, [], []);
        int action = cdb[ServiceActionOffset] & ServiceActionMask;
        if (action > (int)Action.RegisterAndMove)
        {
            refusal = ScsiResult.Check(SenseData.InvalidFieldInCdb(ServiceActionOffset));
            return false;
        }

        uint listLength = BinaryPrimitives.ReadUInt32BigEndian(cdb[ParameterListLengthOffset..]);
        if (listLength < BasicListLength || list.Length < listLength || list.Length < BasicListLength)
        {
            refusal = ScsiResult.Check(SenseKey.IllegalRequest, AdditionalSense.ParameterListLengthError);
            return false;
        }

        list = list[..(int)listLength];
        return (Action)action == Action.RegisterAndMove
            ? TryMove(state, nexus, cdb, list, out change, out refusal)
            : TryOthers(state, nexus, (Action)action, cdb, list, out change, out refusal);
    }

    static bool TryOthers(
        ReservationState state, string nexus, Action action, ReadOnlySpan<byte> cdb, ReadOnlySpan<byte> list, out ReservationChange change, out ScsiResult refusal)
    {
        const int serviceActionKeyOffset = 8, flagsOffset = 20;
        const byte specIPt = 0x08, aptpl = 0x01;
        change = new ReservationChange(state, [], []);
        ulong key = BinaryPrimitives.ReadUInt64BigEndian(list);
        ulong serviceActionKey = BinaryPrimitives.ReadUInt64BigEndian(list[serviceActionKeyOffset..]);
        bool namesPorts = (list[flagsOffset] & specIPt) != 0;
        if (namesPorts && action != Action.Register)
        {
            refusal = ScsiResult.Check(SenseData.InvalidFieldInParameterList(flagsOffset));
            return false;
        }

        if (!namesPorts && list.Length != BasicListLength)
        {
            refusal = ScsiResult.Check(SenseKey.IllegalRequest, AdditionalSense.ParameterListLengthError);
            return false;
        }

        Registration? own = state.Find(nexus);
        bool registers = action is Action.Register or Action.RegisterAndIgnoreExistingKey;
        if (action != Action.RegisterAndIgnoreExistingKey && (own is null ? !registers || key != 0 : own.Key != key))
        {
            refusal = Conflict;
            return false;
        }

        refusal = default;
        if (registers)
        {
            List<string> ports = [];
            if (namesPorts && !TryReadPorts(list, own, serviceActionKey, state, nexus, ports, out refusal))
            {
                return false;
            }

            return TryRegister(state, nexus, serviceActionKey, (list[flagsOffset] & aptpl) != 0, ports, out change, out refusal);
        }

        if (action == Action.Clear)
        {
            change = Clear(state, nexus);
            return true;
        }

        if (!TryReadType(cdb, out PersistentReservationType type))
        {
            refusal = ScsiResult.Check(SenseData.InvalidFieldInCdb(ScopeAndTypeOffset));
            return false;
        }

        switch (action)
        {
            case Action.Reserve:
                return TryReserve(state, nexus, type, out change, out refusal);
            case Action.Release:
                return TryRelease(state, nexus, type, out change, out refusal);
            default:
                return TryPreempt(state, nexus, serviceActionKey, type, action == Action.PreemptAndAbort, out change, out refusal);
        }
    }

    static bool TryReadType(ReadOnlySpan<byte> cdb, out PersistentReservationType type)
    {
        type = (PersistentReservationType)(cdb[ScopeAndTypeOffset] & 0x0F);
        int scope = cdb[ScopeAndTypeOffset] >> 4;
        return scope == 0 && Enum.IsDefined(type);
    }

    // ---- registering ----

    // SPEC_I_PT: the ports of other nexuses that are registered with the same key. SPC-4 clause 5.12.7.
    static bool TryReadPorts(
        ReadOnlySpan<byte> list, Registration? own, ulong key, ReservationState state, string nexus, List<string> ports, out ScsiResult refusal)
    {
        const int lengthOffset = 24, portsOffset = 28, flagsOffset = 20;
        refusal = ScsiResult.Check(SenseData.InvalidFieldInParameterList(lengthOffset));
        if (own is not null)
        {
            refusal = ScsiResult.Check(SenseData.InvalidFieldInParameterList(flagsOffset)); // only with the first registration
            return false;
        }

        if (list.Length < portsOffset || BinaryPrimitives.ReadUInt32BigEndian(list[lengthOffset..]) != list.Length - portsOffset)
        {
            refusal = ScsiResult.Check(SenseKey.IllegalRequest, AdditionalSense.ParameterListLengthError);
            return false;
        }

        for (int at = portsOffset; at < list.Length;)
        {
            if (!TransportId.TryRead(list[at..], out string port, out int length))
            {
                refusal = ScsiResult.Check(SenseData.InvalidFieldInParameterList(at));
                return false;
            }

            // Nothing is registered unless all can be: a port that is registered already is refused.
            if (port == nexus || ports.Contains(port) || (key != 0 && state.Find(port) is not null))
            {
                refusal = ScsiResult.Check(SenseData.InvalidFieldInParameterList(at));
                return false;
            }

            ports.Add(port);
            at += length;
        }

        refusal = default;
        return true;
    }

    static bool TryRegister(
        ReservationState state, string nexus, ulong key, bool persists, IReadOnlyList<string> others, out ReservationChange change, out ScsiResult refusal)
    {
        refusal = default;
        Registration? own = state.Find(nexus);
        if (key == 0)
        {
            // To unregister who is not registered is GOOD, and nothing happens.
            change = own is null ? new ReservationChange(state, [], []) : Unregister(state, nexus);
            change = change with { State = change.State with { PersistsThroughPowerLoss = own is null ? state.PersistsThroughPowerLoss : persists } };
            return true;
        }

        List<Registration> registrations = [.. state.Registrations];
        if (own is not null)
        {
            registrations[registrations.IndexOf(own)] = own with { Key = key };
        }
        else
        {
            registrations.Add(new Registration(nexus, key));
        }

        registrations.AddRange(others.Select(port => new Registration(port, key)));
        if (registrations.Count > MaxRegistrations)
        {
            change = default;
            refusal = ScsiResult.Check(SenseKey.IllegalRequest, AdditionalSense.InsufficientRegistrationResources);
            return false;
        }

        change = new ReservationChange(Next(state) with { Registrations = registrations, PersistsThroughPowerLoss = persists }, [], []);
        return true;
    }

    static ReservationState Next(ReservationState state) => state with { Generation = unchecked(state.Generation + 1) };

    // SPC-4 clause 5.12.11.2.3: who holds the reservation takes it along.
    static ReservationChange Unregister(ReservationState state, string nexus)
    {
        List<Registration> left = [.. state.Registrations.Where(registration => registration.InitiatorPort != nexus)];
        ReservationState next = Next(state) with { Registrations = left };
        bool isReleased = state.IsAllRegistrants ? left.Count == 0 : state.IsHeldBy(nexus);
        if (!isReleased)
        {
            return new ReservationChange(next, [], []);
        }

        next = next with { Type = null, Holder = null };
        return new ReservationChange(next, state.AdmitsRegistrants ? Tell(left, AdditionalSense.ReservationsReleased) : [], []);
    }

    // ---- reserving and releasing ----

    static bool TryReserve(ReservationState state, string nexus, PersistentReservationType type, out ReservationChange change, out ScsiResult refusal)
    {
        change = new ReservationChange(state, [], []);
        refusal = default;
        if (state.Type is null)
        {
            change = new ReservationChange(Reserved(state, nexus, type), [], []);
            return true;
        }

        // To reserve again what one holds changes nothing. SPC-4 clause 5.12.9.
        if (state.IsHeldBy(nexus) && state.Type == type)
        {
            return true;
        }

        refusal = Conflict;
        return false;
    }

    static ReservationState Reserved(ReservationState state, string nexus, PersistentReservationType type)
    {
        ReservationState reserved = state with { Type = type };
        return reserved with { Holder = reserved.IsAllRegistrants ? null : nexus };
    }

    static bool TryRelease(ReservationState state, string nexus, PersistentReservationType type, out ReservationChange change, out ScsiResult refusal)
    {
        change = new ReservationChange(state, [], []);
        refusal = default;
        if (!state.IsHeldBy(nexus))
        {
            return true; // GOOD, and nothing happens. SPC-4 clause 5.12.11.2.2
        }

        if (state.Type != type)
        {
            refusal = ScsiResult.Check(SenseKey.IllegalRequest, AdditionalSense.InvalidReleaseOfPersistentReservation);
            return false;
        }

        IEnumerable<Registration> others = state.Registrations.Where(registration => registration.InitiatorPort != nexus);
        change = new ReservationChange(
            state with { Type = null, Holder = null }, state.AdmitsRegistrants ? Tell(others, AdditionalSense.ReservationsReleased) : [], []);
        return true;
    }

    static ReservationChange Clear(ReservationState state, string nexus) => new(
        Next(state) with { Registrations = [], Type = null, Holder = null },
        Tell(state.Registrations.Where(registration => registration.InitiatorPort != nexus), AdditionalSense.ReservationsPreempted),
        []);

    // ---- preempting, SPC-4 clause 5.12.11.2.4 ----

    static bool TryPreempt(
        ReservationState state, string nexus, ulong key, PersistentReservationType type, bool aborts, out ReservationChange change, out ScsiResult refusal)
    {
        change = new ReservationChange(state, [], []);
        refusal = default;
        bool takesAll = key == 0;
        if (takesAll && !state.IsAllRegistrants)
        {
            refusal = ScsiResult.Check(SenseData.InvalidFieldInParameterList(8));
            return false;
        }

        List<Registration> named = [.. state.Registrations.Where(registration => takesAll || registration.Key == key)];
        if (named.Count == 0)
        {
            refusal = Conflict;
            return false;
        }

        bool takesReservation = state.Type is not null
            && (state.IsAllRegistrants ? takesAll : named.Exists(registration => registration.InitiatorPort == state.Holder));

        // Who takes the reservation stays registered; who only removes registrations, and names its own key, goes with them.
        List<Registration> removed = takesReservation ? [.. named.Where(registration => registration.InitiatorPort != nexus)] : named;
        List<Registration> left = [.. state.Registrations.Except(removed)];
        ReservationState next = Next(state) with { Registrations = left };
        List<(string, ushort)> attentions = [.. Tell(removed.Where(registration => registration.InitiatorPort != nexus), AdditionalSense.RegistrationsPreempted)];
        if (takesReservation)
        {
            next = Reserved(next, nexus, type);
            if (state.Type != type && state.AdmitsRegistrants)
            {
                attentions.AddRange(Tell(left.Where(registration => registration.InitiatorPort != nexus), AdditionalSense.ReservationsReleased));
            }
        }
        else if (state.IsAllRegistrants && left.Count == 0)
        {
            next = next with { Type = null };
        }

        change = new ReservationChange(next, attentions, aborts ? [.. removed.Select(registration => registration.InitiatorPort)] : []);
        return true;
    }

    // ---- moving, SPC-4 clause 5.12.8 ----

    static bool TryMove(ReservationState state, string nexus, ReadOnlySpan<byte> cdb, ReadOnlySpan<byte> list, out ReservationChange change, out ScsiResult refusal)
    {
        const int serviceActionKeyOffset = 8, flagsOffset = 17, relativePortOffset = 18, lengthOffset = 20, transportIdOffset = 24;
        const byte unreg = 0x02, aptpl = 0x01;
        const ushort onlyPort = 1;
        change = new ReservationChange(state, [], []);
        ulong key = BinaryPrimitives.ReadUInt64BigEndian(list);
        ulong newKey = BinaryPrimitives.ReadUInt64BigEndian(list[serviceActionKeyOffset..]);
        if (state.Find(nexus) is not { } own || own.Key != key || state.IsAllRegistrants || (state.Type is not null && !state.IsHeldBy(nexus)))
        {
            refusal = Conflict;
            return false;
        }

        if (state.Type is null)
        {
            refusal = ScsiResult.Check(SenseData.InvalidFieldInCdb(ServiceActionOffset)); // there is nothing to move
            return false;
        }

        if (newKey == 0)
        {
            refusal = ScsiResult.Check(SenseData.InvalidFieldInParameterList(serviceActionKeyOffset));
            return false;
        }

        if (BinaryPrimitives.ReadUInt16BigEndian(list[relativePortOffset..]) is not (0 or onlyPort))
        {
            refusal = ScsiResult.Check(SenseData.InvalidFieldInParameterList(relativePortOffset));
            return false;
        }

        if (BinaryPrimitives.ReadUInt32BigEndian(list[lengthOffset..]) != list.Length - transportIdOffset)
        {
            refusal = ScsiResult.Check(SenseKey.IllegalRequest, AdditionalSense.ParameterListLengthError);
            return false;
        }

        if (!TransportId.TryRead(list[transportIdOffset..], out string port, out int length) || length != list.Length - transportIdOffset || port == nexus)
        {
            refusal = ScsiResult.Check(SenseData.InvalidFieldInParameterList(transportIdOffset));
            return false;
        }

        bool leaves = (list[flagsOffset] & unreg) != 0;
        List<Registration> registrations = [.. state.Registrations.Where(registration => !(leaves && registration.InitiatorPort == nexus))];
        int at = registrations.FindIndex(registration => registration.InitiatorPort == port);
        if (at < 0)
        {
            registrations.Add(new Registration(port, newKey));
        }
        else
        {
            registrations[at] = registrations[at] with { Key = newKey };
        }

        change = new ReservationChange(
            Next(state) with { Registrations = registrations, Holder = port, PersistsThroughPowerLoss = (list[flagsOffset] & aptpl) != 0 }, [], []);
        refusal = default;
        return true;
    }

    static List<(string, ushort)> Tell(IEnumerable<Registration> registrations, ushort code) =>
        [.. registrations.Select(registration => (registration.InitiatorPort, code))];
}
