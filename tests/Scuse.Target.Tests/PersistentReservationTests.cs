using System.Buffers.Binary;
using Scuse.Scsi;

namespace Scuse.Target.Tests;

/// <summary>PERSISTENT RESERVE IN and OUT, RESERVE and RELEASE, between three nexuses. SPC-4 clauses 5.12, 6.15 and 6.16.</summary>
public class PersistentReservationTests
{
    const string Conflict = "ReservationConflict", Good = "Good";
    const byte Register = 0, Reserve = 1, Release = 2, Clear = 3, Preempt = 4, PreemptAndAbort = 5, RegisterAndIgnore = 6, RegisterAndMove = 7;
    const byte WE = 1, EA = 3, WERO = 5, EARO = 6, WEAR = 7, EAAR = 8;
    const ulong KeyA = 0xA, KeyB = 0xB, KeyC = 0xC;

    readonly FakeBackstore _disk = new();
    readonly ScsiTarget _target;
    readonly LogicalUnit _unit;
    readonly Initiator _a, _b, _c;

    public PersistentReservationTests()
    {
        _unit = new LogicalUnit(0, _disk);
        _target = new ScsiTarget("iqn.2026-11.example:t", [_unit]);
        _a = new Initiator(_target, "iqn.2026-11.example:a,i,0x000000000001");
        _b = new Initiator(_target, "iqn.2026-11.example:b,i,0x000000000002");
        _c = new Initiator(_target, "iqn.2026-11.example:c,i,0x000000000003");
    }

    // ---- helpers ----

    string Out(Initiator who, byte action, ulong key, ulong actionKey = 0, byte type = 0, byte flags = 0, byte[]? list = null)
    {
        list ??= List(key, actionKey, flags);
        byte[] cdb = [0x5F, action, type, 0, 0, 0, 0, 0, (byte)list.Length, 0];
        ScsiTask task = who.Send(cdb, dataOut: list.Length);
        if (who.Completed.Contains(task))
        {
            return Initiator.OutcomeOf(task);
        }

        task.DataOut.CopyFrom(list);
        _target.DataArrived(task);
        return who.Completed.Contains(task) ? Initiator.OutcomeOf(task) : "under way";
    }

    static byte[] List(ulong key, ulong actionKey, byte flags = 0)
    {
        byte[] list = new byte[24];
        BinaryPrimitives.WriteUInt64BigEndian(list, key);
        BinaryPrimitives.WriteUInt64BigEndian(list.AsSpan(8), actionKey);
        list[20] = flags;
        return list;
    }

    static byte[] In(Initiator who, byte action, int room = 512)
    {
        ScsiTask task = who.Send([0x5E, action, 0, 0, 0, 0, 0, (byte)(room >> 8), (byte)room, 0], dataIn: room);
        Assert.Equal(Good, Initiator.OutcomeOf(task));
        return task.DataIn.ToArray()[..task.DataInLength];
    }

    ulong[] Keys() => KeysBy(_a);

    static ulong[] KeysBy(Initiator who) => [.. In(who, 0)[8..].Chunk(8).Select(key => BinaryPrimitives.ReadUInt64BigEndian(key))];

    uint Generation() => BinaryPrimitives.ReadUInt32BigEndian(In(_a, 0));

    string Send(Initiator who, params byte[] cdb)
    {
        ScsiTask task = who.Send(cdb, dataIn: 512);
        return who.Completed.Contains(task) ? Initiator.OutcomeOf(task) : Answered(who, task);
    }

    string Read(Initiator who) => Send(who, Cdbs.Read10(0, 1));

    string Write(Initiator who)
    {
        ScsiTask task = who.Send(Cdbs.Write10(0, 1), dataOut: 512);
        if (who.Completed.Contains(task))
        {
            return Initiator.OutcomeOf(task);
        }

        _target.DataArrived(task);
        return Answered(who, task);
    }

    string Answered(Initiator who, ScsiTask task)
    {
        _disk.Answer(task);
        Assert.Contains(task, who.Completed);
        return Initiator.OutcomeOf(task);
    }

    static string Attention(Initiator who) => Initiator.OutcomeOf(who.Send(Cdbs.TestUnitReady));

    void RegisterAll()
    {
        Assert.Equal(Good, Out(_a, Register, 0, KeyA));
        Assert.Equal(Good, Out(_b, Register, 0, KeyB));
        Assert.Equal(Good, Out(_c, Register, 0, KeyC));
    }

    // ---- registering ----

    [Fact]
    public void Keys_are_read_in_the_order_of_registration_and_each_change_counts_SPC_4_6_15_2()
    {
        RegisterAll();

        Assert.Equal([KeyA, KeyB, KeyC], Keys());
        Assert.Equal(3u, Generation());
        Assert.Equal(Good, Out(_b, Register, KeyB, 0xBB));
        Assert.Equal(Good, Out(_c, Register, KeyC, 0));
        Assert.Equal([KeyA, 0xBBul], Keys());
        Assert.Equal(5u, Generation());
    }

    [Fact]
    public void Registering_needs_the_key_that_is_registered_SPC_4_5_12_7()
    {
        Assert.Equal(Conflict, Out(_a, Register, 1, KeyA));
        Assert.Equal(Good, Out(_a, Register, 0, KeyA));
        Assert.Equal(Conflict, Out(_a, Register, 0, 5));
        Assert.Equal(Good, Out(_a, RegisterAndIgnore, 77, 5));
        Assert.Equal([5ul], Keys());
        Assert.Equal(Good, Out(_b, Register, 0, 0)); // to unregister who is not registered
        Assert.Equal(2u, Generation());
    }

    [Theory]
    [InlineData(Reserve)]
    [InlineData(Release)]
    [InlineData(Clear)]
    [InlineData(Preempt)]
    [InlineData(PreemptAndAbort)]
    public void Who_is_not_registered_or_names_another_key_is_refused_SPC_4_5_12(byte action)
    {
        RegisterAll();
        Assert.Equal(Good, Out(_b, Register, KeyB, 0));

        Assert.Equal(Conflict, Out(_b, action, KeyB, KeyA, WE));
        Assert.Equal(Conflict, Out(_a, action, KeyB, KeyB, WE));
        Assert.Equal([KeyA, KeyC], Keys());
    }

    [Fact]
    public void A_registration_outlives_its_nexus_and_is_the_same_port_s_when_it_comes_again_SPC_4_5_12_1()
    {
        RegisterAll();
        Out(_b, Reserve, KeyB, 0, WE);
        _target.Detach(_b.Nexus);

        var again = new Initiator(_target, _b.Nexus.InitiatorPort);

        Assert.Equal(Good, Write(again));
        Assert.Equal(Conflict, Write(_a));
    }

    // ---- who is let through, SPC-4 table 67 ----

    [Theory]
    [InlineData(WE, Good, Conflict, Good, Conflict)]
    [InlineData(EA, Conflict, Conflict, Conflict, Conflict)]
    [InlineData(WERO, Good, Good, Good, Conflict)]
    [InlineData(EARO, Good, Good, Conflict, Conflict)]
    [InlineData(WEAR, Good, Good, Good, Conflict)]
    [InlineData(EAAR, Good, Good, Conflict, Conflict)]
    public void A_reservation_lets_its_holder_through_and_others_as_its_type_says(
        byte type, string registeredReads, string registeredWrites, string otherReads, string otherWrites)
    {
        Out(_a, Register, 0, KeyA);
        Out(_b, Register, 0, KeyB);

        Assert.Equal(Good, Out(_a, Reserve, KeyA, 0, type));

        Assert.Equal((Good, Good), (Read(_a), Write(_a)));
        Assert.Equal((registeredReads, registeredWrites), (Read(_b), Write(_b)));
        Assert.Equal((otherReads, otherWrites), (Read(_c), Write(_c)));
    }

    [Theory]
    [InlineData("00 00 00 00 00 00", true, true)] // TEST UNIT READY
    [InlineData("12 00 00 00 24 00", true, true)] // INQUIRY
    [InlineData("03 00 00 00 12 00", true, true)] // REQUEST SENSE
    [InlineData("25 00 00 00 00 00 00 00 00 00", true, true)] // READ CAPACITY(10)
    [InlineData("9E 10 00 00 00 00 00 00 00 00 00 00 00 20 00 00", true, true)] // READ CAPACITY(16)
    [InlineData("A3 0C 00 00 00 00 00 00 00 FF 00 00", true, true)] // REPORT SUPPORTED OPERATION CODES
    [InlineData("A0 00 00 00 00 00 00 00 00 FF 00 00", true, true)] // REPORT LUNS
    [InlineData("1B 00 00 00 01 00", true, true)] // START STOP UNIT that starts
    [InlineData("1B 00 00 00 00 00", false, false)] // and that stops
    [InlineData("1A 00 3F 00 FF 00", true, false)] // MODE SENSE(6)
    [InlineData("9E 12 00 00 00 00 00 00 00 00 00 00 00 20 00 00", true, false)] // GET LBA STATUS
    [InlineData("2F 00 00 00 00 00 00 00 00 00", true, false)] // VERIFY(10)
    [InlineData("35 00 00 00 00 00 00 00 00 00", false, false)] // SYNCHRONIZE CACHE(10)
    [InlineData("91 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00", false, false)]
    [InlineData("C5 00 00 00 00 00", false, false)] // one that nobody knows
    public void Other_commands_are_let_through_by_what_they_do(string cdb, bool withWriteExclusive, bool withExclusiveAccess)
    {
        Out(_a, Register, 0, KeyA);
        byte[] bytes = Convert.FromHexString(cdb.Replace(" ", "", StringComparison.Ordinal));

        Out(_a, Reserve, KeyA, 0, WE);
        Assert.Equal(withWriteExclusive, Send(_b, bytes) != Conflict);
        Out(_a, Release, KeyA, 0, WE);
        Out(_a, Reserve, KeyA, 0, EA);
        Assert.Equal(withExclusiveAccess, Send(_b, bytes) != Conflict);
    }

    [Fact]
    public void RESERVATION_CONFLICT_comes_before_a_unit_attention_which_stays_SAM_5_5_3_3()
    {
        Out(_a, Register, 0, KeyA);
        Out(_a, Reserve, KeyA, 0, EA);
        var late = new Initiator(_target, "iqn.2026-11.example:d,i,0x000000000004", clearAttentions: false);

        Assert.Equal(Conflict, Read(late));
        Assert.Equal("06/29/00", Attention(late));
    }

    // ---- reserving and releasing ----

    [Fact]
    public void Only_one_type_is_held_at_a_time_SPC_4_5_12_9()
    {
        RegisterAll();
        Assert.Equal(Good, Out(_a, Reserve, KeyA, 0, WE));

        Assert.Equal(Good, Out(_a, Reserve, KeyA, 0, WE));
        Assert.Equal(Conflict, Out(_a, Reserve, KeyA, 0, EA));
        Assert.Equal(Conflict, Out(_b, Reserve, KeyB, 0, WE));
        Assert.Equal(3u, Generation());
    }

    [Theory]
    [InlineData(0x00)]
    [InlineData(0x02)]
    [InlineData(0x09)]
    [InlineData(0x11)] // a scope that is obsolete
    public void A_type_or_scope_that_does_not_exist_is_an_invalid_field(byte scopeAndType)
    {
        Out(_a, Register, 0, KeyA);

        Assert.Equal("05/24/00", Out(_a, Reserve, KeyA, 0, scopeAndType));
    }

    [Theory]
    [InlineData(WE, false)]
    [InlineData(EA, false)]
    [InlineData(WERO, true)]
    [InlineData(EARO, true)]
    [InlineData(WEAR, true)]
    [InlineData(EAAR, true)]
    public void A_release_is_told_to_the_registered_where_registration_was_enough_SPC_4_5_12_11_2_2(byte type, bool isTold)
    {
        RegisterAll();
        Out(_a, Reserve, KeyA, 0, type);

        Assert.Equal("05/26/04", Out(_a, Release, KeyA, 0, type == WE ? EA : WE));
        Assert.Equal(Good, Out(_a, Release, KeyA, 0, type));

        Assert.Equal(Good, Attention(_a));
        Assert.Equal(isTold ? "06/2A/04" : Good, Attention(_b));
        Attention(_c);
        Assert.Equal(Good, Write(_c));
    }

    [Fact]
    public void Who_does_not_hold_it_releases_nothing_SPC_4_5_12_11_2_2()
    {
        RegisterAll();
        Out(_a, Reserve, KeyA, 0, WE);

        Assert.Equal(Good, Out(_b, Release, KeyB, 0, WE));

        Assert.Equal(Conflict, Write(_b));
    }

    [Theory]
    [InlineData(WERO, true)]
    [InlineData(WEAR, false)]
    public void A_holder_that_unregisters_releases_SPC_4_5_12_11_2_3(byte type, bool isReleased)
    {
        RegisterAll();
        Out(_a, Reserve, KeyA, 0, type);
        var stranger = new Initiator(_target, "iqn.2026-11.example:d,i,0x000000000004");

        Assert.Equal(Good, Out(_a, Register, KeyA, 0));

        Assert.Equal(isReleased ? "06/2A/04" : Good, Attention(_b));
        Assert.Equal(isReleased ? Good : Conflict, Write(stranger));
        if (!isReleased)
        {
            Out(_b, Register, KeyB, 0);
            Assert.Equal(Conflict, Write(stranger));
            Out(_c, Register, KeyC, 0);
            Assert.Equal(Good, Write(stranger)); // with the last one
        }
    }

    [Fact]
    public void CLEAR_ends_everything_and_tells_the_others_SPC_4_5_12_11_2_5()
    {
        RegisterAll();
        Out(_a, Reserve, KeyA, 0, EA);

        Assert.Equal(Good, Out(_b, Clear, KeyB));

        Assert.Equal("06/2A/03", Attention(_a));
        Assert.Equal(Good, Attention(_b));
        Assert.Equal("06/2A/03", Attention(_c));
        Assert.Empty(Keys());
        Assert.Equal(4u, Generation());
        Assert.Equal(Good, Write(_c));
    }

    // ---- preempting ----

    [Fact]
    public void Preempting_the_holder_takes_the_reservation_and_its_registration_SPC_4_5_12_11_2_4()
    {
        RegisterAll();
        Out(_a, Reserve, KeyA, 0, WERO);

        Assert.Equal(Good, Out(_b, Preempt, KeyB, KeyA, EARO));

        Assert.Equal([KeyB, KeyC], KeysBy(_b));
        Assert.Equal("06/2A/05", Attention(_a));
        Assert.Equal(Good, Attention(_b));
        Assert.Equal("06/2A/04", Attention(_c)); // the type has changed
        Assert.Equal(Conflict, Read(_a));
        Assert.Equal(EARO, In(_b, 1)[8 + 13]);
        Assert.Equal(KeyB, BinaryPrimitives.ReadUInt64BigEndian(In(_b, 1).AsSpan(8)));
    }

    [Fact]
    public void Preempting_another_key_removes_registrations_and_leaves_the_reservation()
    {
        RegisterAll();
        Out(_a, Reserve, KeyA, 0, WERO);

        Assert.Equal(Good, Out(_b, Preempt, KeyB, KeyC, EA));

        Assert.Equal([KeyA, KeyB], Keys());
        Assert.Equal("06/2A/05", Attention(_c));
        Assert.Equal(WERO, In(_a, 1)[8 + 13]);
        Assert.Equal(Conflict, Out(_b, Preempt, KeyB, KeyC, EA)); // nobody has that key any more
    }

    [Fact]
    public void A_key_of_zero_preempts_all_registrants_and_nothing_else()
    {
        RegisterAll();
        Assert.Equal("05/26/00", Out(_b, Preempt, KeyB, 0, WE));
        Out(_a, Reserve, KeyA, 0, WEAR);

        Assert.Equal(Good, Out(_b, Preempt, KeyB, 0, WE));

        Assert.Equal("06/2A/05", Attention(_a));
        Assert.Equal("06/2A/05", Attention(_c));
        Assert.Equal([KeyB], Keys());
        Assert.Equal(WE, In(_b, 1)[8 + 13]);
    }

    [Fact]
    public void PREEMPT_AND_ABORT_ends_the_tasks_of_the_preempted_before_it_is_answered_SPC_4_5_12_11_2_6()
    {
        RegisterAll();
        Out(_a, Reserve, KeyA, 0, WERO);
        ScsiTask write = _a.Send(Cdbs.Write10(0, 1), dataOut: 512);
        _target.DataArrived(write);
        ScsiTask other = _c.Send(Cdbs.Read10(0, 1), dataIn: 512);

        Assert.Equal("under way", Out(_b, PreemptAndAbort, KeyB, KeyA, WERO));
        Assert.Equal((AbortCause.PreemptAndAbort, 1), _disk.Announced[^1]);
        Assert.Equal([write], _a.Aborted);
        _disk.Answer(write); // the handler lets go of it; nobody hears of it

        Assert.Equal(Good, Initiator.OutcomeOf(_b.Completed[^1]));
        Assert.DoesNotContain(write, _a.Completed);
        _disk.Answer(other);
        Assert.Equal(Good, Initiator.OutcomeOf(_c.Completed[^1]));
    }

    // ---- registering for others, moving ----

    [Fact]
    public void SPEC_I_PT_registers_other_ports_with_the_same_key_or_none_at_all_SPC_4_5_12_7()
    {
        byte[] list = WithPorts(List(0, KeyA, flags: 0x08), _b.Nexus.InitiatorPort, "iqn.2026-11.example:absent,i,0x00000000000f");
        Assert.Equal(Good, Out(_a, Register, 0, list: list));
        Assert.Equal([KeyA, KeyA, KeyA], Keys());

        Assert.Equal("05/26/00", Out(_c, Register, 0, list: WithPorts(List(0, KeyC, flags: 0x08), _b.Nexus.InitiatorPort)));
        Assert.Equal(3, Keys().Length);
        Assert.Equal("05/26/00", Out(_a, Register, KeyA, list: WithPorts(List(KeyA, KeyA, flags: 0x08), "iqn.2026-11.example:e,i,0x000000000005")));
    }

    [Fact]
    public void REGISTER_AND_MOVE_gives_the_reservation_to_another_port_SPC_4_5_12_8()
    {
        RegisterAll();
        Out(_a, Reserve, KeyA, 0, WE);
        byte[] Move(ulong key, ulong newKey, string port, byte flags)
        {
            byte[] id = new byte[TransportId.LengthOf(port)];
            TransportId.Write(id, port);
            byte[] list = [.. List(key, newKey), .. id];
            list[20] = list[21] = 0;
            list[17] = flags;
            list[23] = (byte)id.Length;
            return list;
        }

        Assert.Equal(Conflict, Out(_b, RegisterAndMove, KeyB, list: Move(KeyB, 9, _c.Nexus.InitiatorPort, 0)));
        Assert.Equal("05/26/00", Out(_a, RegisterAndMove, KeyA, list: Move(KeyA, 0, _c.Nexus.InitiatorPort, 0)));
        Assert.Equal("05/26/00", Out(_a, RegisterAndMove, KeyA, list: Move(KeyA, 9, _a.Nexus.InitiatorPort, 0)));

        Assert.Equal(Good, Out(_a, RegisterAndMove, KeyA, list: Move(KeyA, 9, _c.Nexus.InitiatorPort, flags: 0x02)));

        Assert.Equal([KeyB, 9ul], Keys());
        Assert.Equal(Conflict, Write(_a));
        Assert.Equal(Good, Write(_c));
    }

    static byte[] WithPorts(byte[] list, params string[] ports)
    {
        byte[] ids = [.. ports.SelectMany(port =>
        {
            byte[] id = new byte[TransportId.LengthOf(port)];
            TransportId.Write(id, port);
            return id;
        })];
        return [.. list, 0, 0, 0, (byte)ids.Length, .. ids];
    }

    // ---- parameter lists ----

    [Theory]
    [InlineData(23)]
    [InlineData(25)]
    [InlineData(0)]
    public void A_parameter_list_of_the_wrong_length_is_refused_SPC_4_6_16_1(int length)
    {
        byte[] list = new byte[length];
        if (length >= 16)
        {
            list[15] = 1;
        }

        Assert.Equal("05/1A/00", Out(_a, Register, 0, list: list));
    }

    [Fact]
    public void An_unknown_service_action_is_an_invalid_field()
    {
        Assert.Equal("05/24/00", Out(_a, 8, 0));
        Assert.Equal("05/24/00", Initiator.OutcomeOf(_a.Send([0x5E, 4, 0, 0, 0, 0, 0, 0, 8, 0], dataIn: 8)));
    }

    // ---- reading ----

    [Fact]
    public void The_full_status_names_each_port_and_who_holds_SPC_4_6_15_5()
    {
        Out(_a, Register, 0, KeyA);
        Out(_b, Register, 0, KeyB);
        Out(_b, Reserve, KeyB, 0, WE);

        byte[] data = In(_c, 3);

        int first = 8, second = 8 + 24 + TransportId.LengthOf(_a.Nexus.InitiatorPort);
        Assert.Equal(data.Length - 8, BinaryPrimitives.ReadInt32BigEndian(data.AsSpan(4)));
        Assert.Equal((byte)0, data[first + 12]);
        Assert.Equal((byte)1, data[second + 12]);
        Assert.Equal(WE, data[second + 13]);
        Assert.True(TransportId.TryRead(data.AsSpan(second + 24), out string port, out int length));
        Assert.Equal(_b.Nexus.InitiatorPort, port);
        Assert.Equal(data.Length, second + 24 + length);
    }

    [Fact]
    public void A_reservation_of_all_registrants_has_no_key_of_its_own()
    {
        Out(_a, Register, 0, KeyA);
        Assert.Equal(8, In(_a, 1).Length);
        Out(_a, Reserve, KeyA, 0, EAAR);

        Assert.Equal([0, 0, 0, 1, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, EAAR, 0, 0], In(_a, 1));
    }

    [Fact]
    public void The_capabilities_are_those_there_are_SPC_4_6_15_4()
    {
        Assert.Equal([0, 8, 0x1C, 0x80, 0xEA, 0x01, 0, 0], In(_a, 2));
        _unit.Reservations.Store = new Store();
        Assert.Equal([0, 8, 0x1D, 0x80, 0xEA, 0x01, 0, 0], In(_a, 2));
    }

    // ---- power loss ----

    sealed class Store : IReservationStore
    {
        public List<ReservationState> Kept { get; } = [];

        public bool Works { get; set; } = true;

        public TaskCompletionSource<bool>? Later { get; set; }

        public ValueTask<bool> SaveAsync(int lun, ReservationState state)
        {
            Kept.Add(state);
            return Later is { } later ? new(later.Task) : new(Works);
        }
    }

    [Fact]
    public void Without_a_store_nobody_is_told_that_a_registration_survives() => Assert.Equal("05/26/00", Out(_a, Register, 0, KeyA, flags: 0x01));

    [Fact]
    public void With_APTPL_each_change_is_kept_before_it_takes_effect_and_comes_back_SPC_4_5_12_3()
    {
        var store = new Store { Later = new() };
        _unit.Reservations.Store = store;
        Assert.Equal("under way", Out(_a, Register, 0, KeyA, flags: 0x01));
        Assert.Empty(_unit.Reservations.State.Registrations);
        Assert.Equal("under way", Out(_b, Register, 0, KeyB, flags: 0x01)); // one after the other
        Assert.Single(store.Kept);

        store.Later.SetResult(true);
        Assert.Equal(2, store.Kept.Count);
        store.Later = null;
        Assert.Equal(Good, Out(_a, Reserve, KeyA, 0, WE));

        var after = new LogicalUnit(0, new FakeBackstore());
        after.Reservations.Restore(store.Kept[^1]);
        var target = new ScsiTarget("iqn.2026-11.example:t", [after]);
        var a = new Initiator(target, _a.Nexus.InitiatorPort);
        var c = new Initiator(target, _c.Nexus.InitiatorPort);
        Assert.Equal([KeyA, KeyB], after.Reservations.State.Registrations.Select(registration => registration.Key));
        Assert.Equal(Conflict, Initiator.OutcomeOf(c.Send(Cdbs.Write10(0, 1), dataOut: 512)));
        Assert.NotEqual(Conflict, a.Completed.Count == 0 ? Good : Initiator.OutcomeOf(a.Completed[0]));
    }

    [Fact]
    public void What_cannot_be_kept_does_not_happen()
    {
        _unit.Reservations.Store = new Store { Works = false };

        Assert.Equal("05/55/04", Out(_a, Register, 0, KeyA, flags: 0x01));

        Assert.Empty(Keys());
    }

    // ---- RESERVE and RELEASE ----

    [Fact]
    public void RESERVE_keeps_the_others_out_until_RELEASE_a_reset_or_the_nexus_s_end_SPC_2_5_5()
    {
        byte[] reserve = [0x16, 0, 0, 0, 0, 0], release = [0x17, 0, 0, 0, 0, 0];
        Assert.Equal(Good, Send(_a, reserve));
        Assert.Equal((Good, Conflict, Conflict), (Read(_a), Read(_b), Send(_b, reserve)));
        Assert.Equal(Conflict, Out(_b, Register, 0, KeyB));
        Assert.Equal(Good, Send(_b, release)); // releases nothing
        Assert.Equal(Conflict, Read(_b));

        Assert.Equal(Good, Send(_a, release));
        Assert.Equal(Good, Read(_b));
        Assert.Equal(Good, Send(_a, reserve));
        _b.Manage(TaskManagementFunction.LogicalUnitReset);
        Attention(_b);
        Assert.Equal(Good, Read(_b));
        Attention(_a);
        Assert.Equal(Good, Send(_a, reserve));
        _target.Detach(_a.Nexus);
        Assert.Equal(Good, Read(_b));
    }

    [Fact]
    public void Beside_persistent_reservations_RESERVE_does_nothing_for_the_registered_and_is_refused_to_others_SPC_4_5_12_3()
    {
        Out(_a, Register, 0, KeyA);

        Assert.Equal(Good, Send(_a, 0x16, 0, 0, 0, 0, 0));
        Assert.Equal(Conflict, Send(_b, 0x16, 0, 0, 0, 0, 0));

        Assert.Equal(Good, Read(_b));
    }

    [Fact]
    public void A_reset_leaves_persistent_reservations_as_they_are()
    {
        RegisterAll();
        Out(_a, Reserve, KeyA, 0, WE);

        _b.Manage(TaskManagementFunction.LogicalUnitReset);
        Attention(_b);

        Assert.Equal(Conflict, Write(_b));
    }
}
