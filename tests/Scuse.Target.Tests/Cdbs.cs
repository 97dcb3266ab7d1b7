namespace Scuse.Target.Tests;

/// <summary>CDBs that the tests send.</summary>
static class Cdbs
{
    public static byte[] TestUnitReady => new byte[6];

    public static byte[] RequestSense => [0x03, 0, 0, 0, 252, 0];

    public static byte[] Inquiry => [0x12, 0, 0, 0, 255, 0];

    public static byte[] Read10(uint lba, ushort blocks) => [0x28, 0, (byte)(lba >> 24), (byte)(lba >> 16), (byte)(lba >> 8), (byte)lba, 0, (byte)(blocks >> 8), (byte)blocks, 0];

    public static byte[] Write10(uint lba, ushort blocks) => [0x2A, .. Read10(lba, blocks)[1..]];

    /// <summary>VERIFY(10) with BYTCHK=01: the initiator sends what it expects to find.</summary>
    public static byte[] Verify10(uint lba, ushort blocks) => [0x2F, 0x02, .. Read10(lba, blocks)[2..]];

    public static byte[] ReportLuns(byte select = 0, uint allocation = 1024) => [0xA0, 0, select, 0, 0, 0, 0, 0, (byte)(allocation >> 8), (byte)allocation, 0, 0];
}
