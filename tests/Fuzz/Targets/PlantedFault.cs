using Scuse.Fuzz.Running;

namespace Scuse.Fuzz.Targets;

/// <summary>A target that is broken on purpose, now and then: a fuzzer that does not find that finds nothing.</summary>
sealed unsafe class PlantedFault(PlantedFault.Kind kind) : FuzzTarget
{
    const int AreaBytes = Memory.PageBytes;

    readonly nint _area = Memory.MapGuarded(AreaBytes);
    readonly List<byte[]> _kept = [];

    public enum Kind
    {
        Exception,
        Overrun,
        Hang,
        Leak,

        /// <summary>Reads a value twice and takes it for the same.</summary>
        Race,
    }

    public override string Name => $"planted-{kind}".ToLowerInvariant();

    public override int InputsPerReset => 4;

    public override bool HasRace => kind == Kind.Race;

    public override (nint Start, int Length) Raced => (_area, AreaBytes);

    public override void Reset()
    {
    }

    public override ulong Execute(ReadOnlySpan<byte> input)
    {
        // In the corpus is 00 00; the mutator has to find the rest.
        bool triggered = input.Length >= 2 && input[0] == 0x5C;
        switch (kind)
        {
            case Kind.Exception when triggered:
                throw new InvalidOperationException("planted");
            case Kind.Overrun when triggered:
                ((byte*)_area)[AreaBytes] = 1;
                break;
            case Kind.Hang when triggered:
                Thread.Sleep(Timeout.Infinite);
                break;
            case Kind.Leak:
                _kept.Add(new byte[1000]);
                break;
            case Kind.Race:
                for (int i = 0; i < 1000; i++)
                {
                    Check(Volatile.Read(ref *(uint*)(_area + 64)) == Volatile.Read(ref *(uint*)(_area + 64)), "planted: it changed in between");
                }

                break;
            default:
                break;
        }

        return triggered ? 1ul : 0;
    }

    public override void Dispose()
    {
        Memory.UnmapGuarded(_area, AreaBytes);
        base.Dispose();
    }
}
