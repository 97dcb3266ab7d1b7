namespace Scuse.Iscsi.Tests.Rig;

/// <summary>How a test cuts the byte streams.</summary>
public enum Cut
{
    Whole,
    OneByte,
    Random,
}

/// <summary>Cuts lengths; random ones are replayed by their seed.</summary>
sealed class Pieces(Cut cut, int seed = 1)
{
    readonly Random _random = new(seed);

    public int Length(int available) => cut switch
    {
        Cut.Whole => available,
        Cut.OneByte => 1,
        _ => _random.Next(1, Math.Min(available, _random.Next(2) == 0 ? 60 : 9000) + 1),
    };

    public int BufferCount() => cut switch
    {
        Cut.Whole => 256,
        Cut.OneByte => 1,
        _ => _random.Next(1, 12),
    };
}
