namespace Scuse.Fuzz.Running;

/// <summary>The inputs that new ones are made from: the corpus, and what reached something new since. Its memory is taken once.</summary>
sealed class InputPool(int maxInputBytes)
{
    const int MaxInputs = 2048;

    readonly byte[] _bytes = new byte[MaxInputs * maxInputBytes];
    readonly int[] _lengths = new int[MaxInputs];
    int _fixed;
    int _next;

    public int Count { get; private set; }

    public ReadOnlySpan<byte> this[int index] => _bytes.AsSpan(index * maxInputBytes, _lengths[index]);

    /// <summary>Adds an input of the corpus: it stays.</summary>
    public void AddFixed(ReadOnlySpan<byte> input)
    {
        Put(Count++, input);
        _fixed = _next = Count;
    }

    /// <summary>Adds an input found; the oldest such makes room.</summary>
    public void Add(ReadOnlySpan<byte> input)
    {
        Put(_next, input);
        Count = Math.Max(Count, _next + 1);
        _next = _next + 1 == MaxInputs ? _fixed : _next + 1;
    }

    void Put(int index, ReadOnlySpan<byte> input)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(input.Length, maxInputBytes, nameof(input));
        input.CopyTo(_bytes.AsSpan(index * maxInputBytes));
        _lengths[index] = input.Length;
    }
}
