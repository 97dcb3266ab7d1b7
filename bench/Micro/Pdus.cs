using BenchmarkDotNet.Attributes;
using Scuse.Iscsi.Pdus;

namespace Scuse.Bench.Micro;

/// <summary>Reading a SCSI Command PDU's fields, and writing the header of the Data-In that answers it.</summary>
[MemoryDiagnoser]
public class Pdus
{
    readonly byte[] _request = new byte[BasicHeader.Length];
    readonly byte[] _answer = new byte[BasicHeader.Length];

    [GlobalSetup]
    public void Fill() => ScsiCommandPdu.WriteTo(_request, BasicHeader.FinalBit | ScsiCommandPdu.ReadBit | 1, 0, 7, 4096, 1, 1, [0x28, 0, 0, 0, 0, 0, 0, 0, 8, 0]);

    [Benchmark]
    public uint ParseCommand()
    {
        var pdu = new ScsiCommandPdu(_request);
        return pdu.Header.InitiatorTaskTag + pdu.ExpectedDataTransferLength + pdu.Attribute + pdu.Cdb[0] + (pdu.Read ? 1u : 0) + (pdu.Final ? 1u : 0);
    }

    [Benchmark]
    public byte[] BuildDataIn()
    {
        DataInPdu.WriteTo(_answer, BasicHeader.FinalBit | DataInPdu.StatusBit, 0, 7, 0, 0, 0, 4096);
        return _answer;
    }
}
