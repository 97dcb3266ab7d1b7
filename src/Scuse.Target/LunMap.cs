namespace Scuse.Target;

/// <summary>One logical unit in a map.</summary>
/// <param name="Lun">The number that the initiator knows it by.</param>
/// <param name="Unit">The number that the target knows it by.</param>
/// <param name="IsReadOnly">Whether the initiator may not change it.</param>
public readonly record struct LunMapping(int Lun, int Unit, bool IsReadOnly = false);

/// <summary>
/// Which of a target's logical units an initiator sees, under which numbers, and which of them it may only read. For the initiator the others do not exist. Never
/// changed: another one takes its place.
/// </summary>
public sealed class LunMap
{
    const short None = -1;

    readonly LunMapping[] _mappings; // by Lun
    readonly int[] _luns;
    readonly short[] _unitByLun;
    readonly short[] _lunByUnit;
    readonly bool[] _isReadOnly; // by unit

    /// <summary>A map.</summary>
    /// <exception cref="ArgumentException">A number is outside 0 to <see cref="LunAddress.MaxLun"/>, or there twice.</exception>
    public LunMap(IReadOnlyCollection<LunMapping> mappings)
    {
        ArgumentNullException.ThrowIfNull(mappings);
        foreach (LunMapping wrong in mappings.Where(static mapping => !IsNumber(mapping.Lun) || !IsNumber(mapping.Unit)))
        {
            throw new ArgumentException($"LUN {wrong.Lun} for logical unit {wrong.Unit}: both are from 0 to {LunAddress.MaxLun}", nameof(mappings));
        }

        _mappings = [.. mappings.OrderBy(static mapping => mapping.Lun)];
        _luns = [.. _mappings.Select(static mapping => mapping.Lun)];
        _unitByLun = Filled(_luns);
        _lunByUnit = Filled(_mappings.Select(static mapping => mapping.Unit));
        _isReadOnly = new bool[_lunByUnit.Length];
        foreach (LunMapping mapping in _mappings)
        {
            if (_unitByLun[mapping.Lun] != None || _lunByUnit[mapping.Unit] != None)
            {
                throw new ArgumentException($"LUN {mapping.Lun} for logical unit {mapping.Unit}: one of them is there twice", nameof(mappings));
            }

            _unitByLun[mapping.Lun] = (short)mapping.Unit;
            _lunByUnit[mapping.Unit] = (short)mapping.Lun;
            _isReadOnly[mapping.Unit] = mapping.IsReadOnly;
        }
    }

    /// <summary>A map in which there is nothing.</summary>
    public static LunMap Nothing { get; } = new([]);

    /// <summary>What is in it, by the initiator's numbers.</summary>
    public IReadOnlyList<LunMapping> Mappings => _mappings;

    internal ReadOnlySpan<int> Luns => _luns;

    /// <summary>The target's number of the initiator's; -1 when there is none.</summary>
    internal int UnitAt(int lun) => (uint)lun < (uint)_unitByLun.Length ? _unitByLun[lun] : None;

    internal bool Sees(int unit) => (uint)unit < (uint)_lunByUnit.Length && _lunByUnit[unit] != None;

    internal bool IsReadOnly(int unit) => (uint)unit < (uint)_isReadOnly.Length && _isReadOnly[unit];

    /// <summary>What of it a target has.</summary>
    internal LunMap Within(Func<int, bool> hasUnit) =>
        Array.TrueForAll(_mappings, mapping => hasUnit(mapping.Unit)) ? this : new LunMap([.. _mappings.Where(mapping => hasUnit(mapping.Unit))]);

    internal bool IsSameAs(LunMap? other) => other is not null && _mappings.AsSpan().SequenceEqual(other._mappings);

    static bool IsNumber(int number) => number is >= 0 and <= LunAddress.MaxLun;

    static short[] Filled(IEnumerable<int> numbers)
    {
        short[] table = new short[numbers.DefaultIfEmpty(-1).Max() + 1];
        Array.Fill(table, None);
        return table;
    }
}
