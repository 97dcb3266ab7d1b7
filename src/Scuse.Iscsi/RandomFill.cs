namespace Scuse.Iscsi;

/// <summary>Fills all of <paramref name="bytes"/> with random bytes that nobody can foretell.</summary>
public delegate void RandomFill(Span<byte> bytes);
