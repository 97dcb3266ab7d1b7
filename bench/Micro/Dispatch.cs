using System.Buffers.Binary;
using BenchmarkDotNet.Attributes;
using Scuse.Iscsi.Tests.Rig;
using Scuse.Target;

namespace Scuse.Bench.Micro;

/// <summary>One command through the target core to a device that answers at once: the logical unit, its conditions, reservations, task set, pass table, and back.</summary>
[MemoryDiagnoser]
public class Dispatch : ITaskTransport
{
    readonly byte[] _cdb = new byte[16];
    ScsiTarget _target = null!;
    Nexus _nexus = null!;
    int _completed;

    /// <summary>TEST UNIT READY, READ(10) of 4 KiB.</summary>
    [Params("TEST UNIT READY", "READ(10)")]
    public string Command { get; set; } = "";

    [GlobalSetup]
    public void Open()
    {
        const byte read10 = 0x28;
        _target = new ScsiTarget("iqn.2026-11.example:disks", [new LogicalUnit(0, new FakeBackstore())]);
        _nexus = _target.Attach("iqn.2026-11.example:host,i,0x800000000001");
        One(); // the unit attention of a new nexus
        if (Command == "READ(10)")
        {
            _cdb[0] = read10;
            BinaryPrimitives.WriteUInt16BigEndian(_cdb.AsSpan(7), 8);
        }
    }

    [Benchmark]
    public int One()
    {
        ScsiTask task = _target.Rent();
        task.Transport = this;
        task.Nexus = _nexus;
        task.Lun = 0;
        task.Tag = 1;
        task.Attribute = TaskAttribute.Simple;
        task.SetCdb(_cdb);
        task.ExpectedDataOut = 0;
        task.ExpectedDataIn = _cdb[0] == 0 ? 0 : 4096;
        _target.Begin(task);
        return _completed;
    }

    void ITaskTransport.OnCompleted(ScsiTask task)
    {
        _completed++;
        task.Release();
    }

    void ITaskTransport.OnDataOutWanted(ScsiTask task) => throw new InvalidOperationException("no command here has data to send");

    void ITaskTransport.OnAborted(ScsiTask task) => throw new InvalidOperationException("nothing is aborted here");

    void ITaskTransport.OnTaskManagementCompleted(TaskManagementRequest request, TaskManagementResponse response) => throw new InvalidOperationException("nothing is managed here");
}
