namespace Scuse.Scsi.Tests;

static class Bytes
{
    /// <summary>The bytes that a text such as <c>"28 00 FF"</c> shows.</summary>
    public static byte[] Of(string hex) => Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal));
}
