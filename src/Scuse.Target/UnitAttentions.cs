namespace Scuse.Target;

/// <summary>The unit attention conditions that one nexus has yet to hear of from one logical unit. SAM-5 clause 5.14.</summary>
/// <remarks>Touched only by the owning thread.</remarks>
sealed class UnitAttentions
{
    const int MaxPending = 16;

    readonly List<ushort> _pending = [];

    public bool Any => _pending.Count > 0;

    public int Count => _pending.Count;

    /// <summary>Queues a condition. One that is queued already, or that a queued reset covers, adds nothing (SAM-5 clause 5.14.4).</summary>
    public void Establish(ushort code)
    {
        if (_pending.Contains(code) || _pending.Count == MaxPending)
        {
            return;
        }

        int at = _pending.Count;
        while (at > 0 && Priority(code) < Priority(_pending[at - 1]))
        {
            at--;
        }

        _pending.Insert(at, code);
    }

    /// <summary>The condition to report next, without clearing it.</summary>
    public ushort Peek() => _pending[0];

    /// <summary>The condition to report next, cleared.</summary>
    public ushort Take()
    {
        ushort code = _pending[0];
        _pending.RemoveAt(0);
        return code;
    }

    /// <summary>Takes a condition off the queue; whether it was there.</summary>
    public bool Withdraw(ushort code) => _pending.Remove(code);

    /// <summary>Power on and resets before everything else; SAM-5 table 59.</summary>
    static int Priority(ushort code) => code >> 8 == 0x29 ? code & 0xFF : 0x100;
}
