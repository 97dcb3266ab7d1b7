using Scuse.Iscsi.Pdus;
using Scuse.Iscsi.Tests.Rig;

namespace Scuse.Iscsi.Tests.Pdus;

public class Checksums
{
    /// <summary>RFC 7143 appendix A.4.</summary>
    [Theory]
    [InlineData("0000000000000000000000000000000000000000000000000000000000000000", "AA36918A")]
    [InlineData("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF", "43ABA862")]
    [InlineData("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F", "4E79DD46")]
    [InlineData("1F1E1D1C1B1A191817161514131211100F0E0D0C0B0A09080706050403020100", "5CDB3F11")]
    [InlineData("01C000000000000000000000000000001400000000000400000000140000001828000000000000000200000000000000", "563A96D9")]
    public void The_standards_examples_come_out(string bytes, string digest)
    {
        byte[] written = new byte[Crc32C.Length];
        Crc32C.Write(written, Crc32C.Append(Crc32C.Initial, Convert.FromHexString(bytes)));
        Assert.Equal(digest, Convert.ToHexString(written));
    }

    [Fact]
    public void Every_length_in_every_two_pieces_has_the_sum_of_its_definition()
    {
        const int seed = 3;
        Random random = new(seed);
        byte[] bytes = Initiator.Pattern(10_000, seed);
        foreach (int length in Enumerable.Range(0, 420).Concat([1023, 3071, 3072, 3073, 3456, 4096, 6144, 9999, 10_000]))
        {
            int cut = random.Next(length + 1);
            byte[] digest = new byte[Crc32C.Length];
            Crc32C.Write(digest, Crc32C.Append(Crc32C.Append(Crc32C.Initial, bytes.AsSpan(0, cut)), bytes.AsSpan(cut, length - cut)));
            Assert.True(Pdu.Digest(bytes.AsSpan(0, length)).AsSpan().SequenceEqual(digest), $"{length} bytes, cut at {cut}");
            Assert.True(Crc32C.Matches(digest, Crc32C.Append(Crc32C.Initial, bytes.AsSpan(0, length))));
        }
    }
}
