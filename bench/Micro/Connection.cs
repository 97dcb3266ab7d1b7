using System.Text;
using BenchmarkDotNet.Attributes;
using Scuse.Iscsi;
using Scuse.Iscsi.Pdus;
using Scuse.Iscsi.Tests.Rig;
using Scuse.Scsi;
using Scuse.Target;

namespace Scuse.Bench.Micro;

/// <summary>
/// 4 KiB reads from bytes received to bytes to be sent: iSCSI and target core, over a device that copies out of an array; no socket, no ring. So many come in one read, as they do at that queue depth.
/// </summary>
[MemoryDiagnoser]
public class Connection : IConnectionHost
{
    const int Commands = 1024;
    const uint FirstCmdSN = 1;

    readonly Memory<byte>[] _buffers = new Memory<byte>[256];
    readonly byte[] _cdb = [OperationCode.Read10, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0];
    byte[] _batch = [];
    IscsiConnection _connection = null!;
    uint _cmdSN = FirstCmdSN;
    uint _expStatSN = 1;

    /// <summary>How many commands come in one read.</summary>
    [Params(1, 32)]
    public int Depth { get; set; }

    /// <summary>Whether headers and data carry a CRC32C.</summary>
    [Params(false, true)]
    public bool HasDigests { get; set; }

    int RequestLength => BasicHeader.Length + (HasDigests ? Crc32C.Length : 0);

    [GlobalSetup]
    public void LogIn()
    {
        const string name = "iqn.2026-11.example:disks";
        var server = new IscsiServer(new IscsiOptions());
        server.Add(new IscsiTarget(new ScsiTarget(name, [new LogicalUnit(0, new FakeBackstore())])));
        _connection = server.Accept("192.0.2.9:40000", "192.0.2.1:3260", this, 1);
        string digest = HasDigests ? "CRC32C" : "None";
        byte[] text = Encoding.UTF8.GetBytes($"InitiatorName=iqn.2026-11.example:host\0TargetName={name}\0SessionType=Normal\0HeaderDigest={digest}\0DataDigest={digest}\0");
        byte[] login = new byte[BasicHeader.Length + text.Length + BasicHeader.PaddingFor(text.Length)];
        LoginRequestPdu.WriteTo(login, LoginRequestPdu.StageFlags(true, false, 1, 3), 0x80_00_00_00_00_01, 0, 1, 0, _cmdSN, 0, text.Length, 0, 0);
        text.CopyTo(login, BasicHeader.Length);
        Feed(login);
        Drain();
        if (_connection.Session is null || _connection.HasHeaderDigest != HasDigests)
        {
            throw new InvalidOperationException("the login came to nothing");
        }

        _batch = new byte[RequestLength * Depth];
        byte[] read = _cdb.ToArray();
        _cdb.AsSpan().Clear();
        Batch(1); // TEST UNIT READY: the unit attention of a new session
        read.CopyTo(_cdb, 0);
    }

    [Benchmark(OperationsPerInvoke = Commands)]
    public void Read()
    {
        for (int done = 0; done < Commands; done += Depth)
        {
            Batch(Depth);
        }
    }

    void Batch(int count)
    {
        uint before = _expStatSN;
        for (int i = 0; i < count; i++)
        {
            Span<byte> pdu = _batch.AsSpan(i * RequestLength, RequestLength);
            bool isRead = _cdb[0] != 0;
            ScsiCommandPdu.WriteTo(
                pdu, (byte)(BasicHeader.FinalBit | (isRead ? ScsiCommandPdu.ReadBit : 0) | 1), 0, (uint)i, isRead ? 4096u : 0, _cmdSN++, _expStatSN, _cdb);
            if (HasDigests)
            {
                Crc32C.Write(pdu[BasicHeader.Length..], Crc32C.Append(Crc32C.Initial, pdu[..BasicHeader.Length]));
            }
        }

        Feed(_batch.AsSpan(0, count * RequestLength));
        int sent = Drain();
        _expStatSN = before + (uint)count;
        if (_cdb[0] != 0 && sent < count * 4096)
        {
            throw new InvalidOperationException($"{sent} bytes came back for {count} reads: {_connection.CloseReason}");
        }
    }

    void Feed(ReadOnlySpan<byte> bytes)
    {
        int count = _connection.GetReceiveBuffers(_buffers);
        bytes.CopyTo(_buffers[count - 1].Span); // no segment is under way: all of it goes to the receive buffer
        _connection.Received(bytes.Length, 1);
    }

    int Drain()
    {
        int sent = 0;
        while (_connection.HasOutput)
        {
            int bytes = 0;
            foreach (Memory<byte> piece in _buffers.AsSpan(0, _connection.GetSendBuffers(_buffers)))
            {
                bytes += piece.Length;
            }

            _connection.Sent(bytes);
            sent += bytes;
        }

        return sent;
    }

    void IConnectionHost.OutputReady(IscsiConnection connection)
    {
    }

    void IConnectionHost.CloseRequested(IscsiConnection connection, string reason) => throw new InvalidOperationException(reason);
}
