namespace Scuse.Target;

/// <summary>
/// An I_T nexus: one initiator port's relation with one target port, which is what an iSCSI session is. SAM-5 clause 4.11.
/// </summary>
public sealed class Nexus
{
    // Touched only by the thread that owns the target; grown when a logical unit is first spoken of.
    readonly Dictionary<int, UnitAttentions> _attentions = [];

    internal Nexus(ScsiTarget target, string initiatorPort, uint id)
    {
        Target = target;
        InitiatorPort = initiatorPort;
        Id = id;
    }

    /// <summary>The target at the other end.</summary>
    public ScsiTarget Target { get; }

    /// <summary>The initiator port's name: <c>iqn...,i,0x</c> and the ISID in twelve hexadecimal digits. RFC 7143 section 4.4.1.2.</summary>
    public string InitiatorPort { get; }

    /// <summary>
    /// Tells the target's nexuses apart, past ones included; never 0. The target's first four billion have an id of their own, all later ones share
    /// <see cref="uint.MaxValue"/>.
    /// </summary>
    public uint Id { get; }

    /// <summary>Whether the nexus still exists.</summary>
    public bool IsAlive { get; internal set; } = true;

    /// <summary>What it sees of the target; null: everything, as the target numbers it.</summary>
    internal LunMap? Map { get; set; }

    /// <summary>Where its tasks come, in a target that is spread over several threads; null in others.</summary>
    public TargetLane? Lane { get; internal set; }

    /// <summary>Its copies, for RECEIVE COPY RESULTS.</summary>
    internal CopyOperations Copies { get; } = new();

    /// <summary>How many of its copies are under way.</summary>
    internal int CopiesUnderWay { get; set; }

    /// <summary>How many logical units have a unit attention condition pending: zero lets the data path skip the look-up.</summary>
    internal int PendingAttentions { get; private set; }

    internal void Establish(int lun, ushort code)
    {
        if (!_attentions.TryGetValue(lun, out UnitAttentions? attentions))
        {
            _attentions[lun] = attentions = new UnitAttentions();
        }

        PendingAttentions += attentions.Any ? 0 : 1;
        attentions.Establish(code);
    }

    /// <summary>Whether a logical unit is there for it.</summary>
    internal bool Sees(int unit) => Map is null || Map.Sees(unit);

    /// <summary>Whether it may not change a logical unit.</summary>
    internal bool MayOnlyRead(int unit) => Map is not null && Map.IsReadOnly(unit);

    /// <summary>It sees the logical unit no more: what was to be told of it is not.</summary>
    internal void Forget(int lun)
    {
        if (_attentions.Remove(lun, out UnitAttentions? attentions) && attentions.Any)
        {
            PendingAttentions--;
        }
    }

    /// <summary>A condition is pending no more, for any logical unit.</summary>
    internal void Withdraw(ushort code)
    {
        if (PendingAttentions == 0)
        {
            return;
        }

        foreach (UnitAttentions attentions in _attentions.Values)
        {
            PendingAttentions -= attentions.Withdraw(code) && !attentions.Any ? 1 : 0;
        }
    }

    /// <summary>How many conditions are pending for the logical unit.</summary>
    internal int CountAttentions(int lun) => _attentions.TryGetValue(lun, out UnitAttentions? attentions) ? attentions.Count : 0;

    /// <summary>The condition to report for the logical unit; <paramref name="clear"/> takes it off the queue.</summary>
    internal bool TryGetAttention(int lun, bool clear, out ushort code)
    {
        code = 0;
        if (PendingAttentions == 0 || !_attentions.TryGetValue(lun, out UnitAttentions? attentions) || !attentions.Any)
        {
            return false;
        }

        code = clear ? attentions.Take() : attentions.Peek();
        PendingAttentions -= attentions.Any ? 0 : 1;
        return true;
    }
}
