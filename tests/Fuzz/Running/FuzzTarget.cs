namespace Scuse.Fuzz.Running;

/// <summary>Something that takes bytes which nobody vouches for.</summary>
/// <remarks>An input has done no harm when <see cref="Execute"/> returns: whatever it throws is a finding, and so are a crash and a hang.</remarks>
abstract class FuzzTarget : IDisposable
{
    /// <summary>Its name on the command line and in the corpus.</summary>
    public abstract string Name { get; }

    /// <summary>How many inputs are given to the same state before <see cref="Reset"/>; a finding is written with all of them.</summary>
    public virtual int InputsPerReset => 1;

    /// <summary>The longest input.</summary>
    public virtual int MaxInputBytes => 512;

    /// <summary>Whether a second thread is to write to <see cref="Raced"/> during a part of the run.</summary>
    public virtual bool HasRace => false;

    /// <summary>The memory a second thread writes to while an input runs; empty where there is none. Asked for each time.</summary>
    public virtual (nint Start, int Length) Raced => default;

    /// <summary>Pieces of input worth inserting.</summary>
    public virtual IReadOnlyList<byte[]> Dictionary => [];

    /// <summary>Whether another thread writes to the memory just now: what was read twice may differ.</summary>
    public bool IsRacing { get; set; }

    /// <summary>What came of the inputs so far, by name, for the report.</summary>
    public SortedDictionary<string, long> Tally { get; } = new(StringComparer.Ordinal);

    /// <summary>What else there is to say in the end; it need not be the same for the same seed.</summary>
    public virtual string? Remark => null;

    /// <summary>A fresh state.</summary>
    public abstract void Reset();

    /// <summary>Takes one input.</summary>
    /// <returns>What the input reached, as a set of bits: an input that reaches a new set is mutated further.</returns>
    public abstract ulong Execute(ReadOnlySpan<byte> input);

    /// <summary>Called after each input, when no second thread writes any more: what must hold at rest. What it throws is a finding too.</summary>
    public virtual void Settle()
    {
    }

    /// <summary>Brings <see cref="Tally"/> up to date. Not for every input: it may allocate.</summary>
    public virtual void Count()
    {
    }

    public virtual void Dispose() => GC.SuppressFinalize(this);

    /// <summary>A check that always runs.</summary>
    /// <exception cref="FuzzFinding">It does not hold.</exception>
    protected static void Check(bool holds, string what)
    {
        if (!holds)
        {
            throw new FuzzFinding(what);
        }
    }
}

/// <summary>A rule of the code under test does not hold.</summary>
sealed class FuzzFinding(string message) : Exception(message);
