using System.Security.Cryptography;

namespace Scuse.Fuzz.Targets;

/// <summary>Everybody can guess what comes from here: the same input does the same again.</summary>
sealed class NoRandomness : RandomNumberGenerator
{
    public override void GetBytes(byte[] data) => data.AsSpan().Fill(0x5A);

    public override void GetBytes(Span<byte> data) => data.Fill(0x5A);
}
