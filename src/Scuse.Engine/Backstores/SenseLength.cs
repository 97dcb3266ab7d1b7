namespace Scuse.Engine.Backstores;

/// <summary>How much of a fixed-size sense buffer is sense data. SPC-4 clauses 4.5.2 and 4.5.3.</summary>
static class SenseLength
{
    const byte FirstResponseCode = 0x70, LastResponseCode = 0x73;
    const int AdditionalLengthOffset = 7;
    const int HeaderLength = 8;

    /// <summary>The sense data without what follows it; empty when the response code is none that exists.</summary>
    public static ReadOnlySpan<byte> Cut(ReadOnlySpan<byte> sense) =>
        (sense[0] & 0x7F) is < FirstResponseCode or > LastResponseCode
            ? default
            : sense[..Math.Min(sense.Length, HeaderLength + sense[AdditionalLengthOffset])];
}
