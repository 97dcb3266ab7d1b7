namespace Scuse.Fuzz.Targets;

/// <summary>Reads a script: records of four bytes, what and three values. What is missing at the end is zero.</summary>
ref struct ScriptReader(ReadOnlySpan<byte> script)
{
    ReadOnlySpan<byte> _left = script;

    public byte What { get; private set; }

    public byte A { get; private set; }

    public byte B { get; private set; }

    public byte C { get; private set; }

    /// <summary>Takes bytes out of the script as they are: as many, or as there are.</summary>
    public ReadOnlySpan<byte> Take(int count)
    {
        ReadOnlySpan<byte> taken = _left[..Math.Min(count, _left.Length)];
        _left = _left[taken.Length..];
        return taken;
    }

    public bool Next()
    {
        if (_left.IsEmpty)
        {
            return false;
        }

        What = _left[0];
        A = _left.Length > 1 ? _left[1] : (byte)0;
        B = _left.Length > 2 ? _left[2] : (byte)0;
        C = _left.Length > 3 ? _left[3] : (byte)0;
        _left = _left[Math.Min(RingView.RecordBytes, _left.Length)..];
        return true;
    }
}
