using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using Scuse.Iscsi.Access;

namespace Scuse.Iscsi.Login.Chap;

/// <summary>The answer to a challenge: the hash of identifier, secret and challenge, one after the other. RFC 1994 section 4.1.</summary>
internal static class ChapHash
{
    /// <summary>The longest hash, in bytes.</summary>
    public const int MaxLength = 32;

    /// <summary>The longest challenge, in bytes. RFC 7143 section 12.1.3.</summary>
    public const int MaxChallengeLength = 1024;

    static readonly Dictionary<ChapAlgorithm, bool> Supported = ChapAuthentication.AllAlgorithms.ToDictionary(static algorithm => algorithm, Works);

    /// <summary>Whether the host's cryptographic library has it: SHA3 is new, and MD5 is turned off on some.</summary>
    public static bool IsSupported(ChapAlgorithm algorithm) => Supported.GetValueOrDefault(algorithm);

    /// <summary>The length of its hashes, in bytes.</summary>
    public static int LengthOf(ChapAlgorithm algorithm) => algorithm switch
    {
        ChapAlgorithm.Md5 => 16,
        ChapAlgorithm.Sha1 => 20,
        _ => 32,
    };

    /// <summary>Writes the answer to <paramref name="into"/>, which has <see cref="LengthOf"/> bytes.</summary>
    public static void Compute(ChapAlgorithm algorithm, byte identifier, ReadOnlySpan<byte> secret, ReadOnlySpan<byte> challenge, Span<byte> into)
    {
        Span<byte> room = stackalloc byte[1 + ChapSecret.MaxLength + MaxChallengeLength];
        Span<byte> text = room[..(1 + secret.Length + challenge.Length)];
        text[0] = identifier;
        secret.CopyTo(text[1..]);
        challenge.CopyTo(text[(1 + secret.Length)..]);
        Hash(algorithm, text, into);
        CryptographicOperations.ZeroMemory(text);
    }

    [SuppressMessage("Security", "CA5350:Do Not Use Weak Cryptographic Algorithms", Justification = "initiators in use know nothing else; it can be turned off")]
    [SuppressMessage("Security", "CA5351:Do Not Use Broken Cryptographic Algorithms", Justification = "initiators in use know nothing else; it can be turned off")]
    static void Hash(ChapAlgorithm algorithm, ReadOnlySpan<byte> text, Span<byte> into) => _ = algorithm switch
    {
        ChapAlgorithm.Md5 => MD5.HashData(text, into),
        ChapAlgorithm.Sha1 => SHA1.HashData(text, into),
        ChapAlgorithm.Sha256 => SHA256.HashData(text, into),
        ChapAlgorithm.Sha3 => SHA3_256.HashData(text, into),
        _ => throw new ArgumentOutOfRangeException(nameof(algorithm)),
    };

    static bool Works(ChapAlgorithm algorithm)
    {
        try
        {
            Span<byte> hash = stackalloc byte[MaxLength];
            Hash(algorithm, [0], hash[..LengthOf(algorithm)]);
            return true;
        }
        catch (Exception exception) when (exception is PlatformNotSupportedException or CryptographicException)
        {
            return false;
        }
    }
}
