using System.Security.Cryptography;

namespace Scuse.Iscsi.Access;

/// <summary>A CHAP secret: 12 to 255 bytes. It is never shown: not by a log, not by a debugger's string.</summary>
public sealed class ChapSecret
{
    /// <summary>The shortest: 96 bits, as RFC 7143 section 12.1.3 asks for where the connection is not encrypted.</summary>
    public const int MinLength = 12;

    /// <summary>The longest.</summary>
    public const int MaxLength = 255;

    readonly byte[] _bytes;

    /// <summary>A secret; the bytes are copied.</summary>
    /// <exception cref="ArgumentException">It is too short or too long.</exception>
    public ChapSecret(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length is < MinLength or > MaxLength)
        {
            throw new ArgumentException($"a CHAP secret has {MinLength} to {MaxLength} bytes; this one has {bytes.Length}", nameof(bytes));
        }

        _bytes = bytes.ToArray();
    }

    internal ReadOnlySpan<byte> Bytes => _bytes;

    internal bool IsSameAs(ChapSecret other) => CryptographicOperations.FixedTimeEquals(_bytes, other._bytes);

    /// <summary>Not the secret.</summary>
    public override string ToString() => "(secret)";
}
