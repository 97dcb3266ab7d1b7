using BenchmarkDotNet.Attributes;
using Scuse.Iscsi.Pdus;

namespace Scuse.Bench.Micro;

/// <summary>CRC32C of a header and of data segments.</summary>
public class Digest
{
    byte[] _bytes = [];

    /// <summary>How many bytes are summed.</summary>
    [Params(48, 512, 4096, 64 << 10, 1 << 20)]
    public int Bytes { get; set; }

    [GlobalSetup]
    public void Fill() => new Random(1).NextBytes(_bytes = new byte[Bytes]);

    [Benchmark]
    public uint Sum() => Crc32C.Append(Crc32C.Initial, _bytes);
}
