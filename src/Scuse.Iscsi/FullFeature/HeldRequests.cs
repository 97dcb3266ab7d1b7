using System.Numerics;
using Scuse.Iscsi.Input;
using Scuse.Iscsi.Pdus;

namespace Scuse.Iscsi.FullFeature;

/// <summary>
/// Requests that came ahead of a gap in CmdSN: at most as many as the window is wide. On a single connection only a faulty initiator makes gaps;
/// with several they are everyday.
/// </summary>
internal sealed class HeldRequests(int windowSize)
{
    readonly Entry[] _entries = new Entry[BitOperations.RoundUpToPowerOf2((uint)windowSize)];

    public int Count { get; private set; }

    public void Hold(IscsiTask task)
    {
        Count++;
        _entries[Place(task.CmdSN)].Task = task;
    }

    /// <summary>Keeps a gathered PDU, with a copy of its header; its data belongs to this table now.</summary>
    public void Hold(uint cmdSN, in GatheredPdu pdu)
    {
        Count++;
        _entries[Place(cmdSN)].Pdu = pdu with { Headers = pdu.Headers.AsSpan(0, BasicHeader.Length).ToArray() };
    }

    /// <summary>Takes out what was held under a number; false when that was dropped or aborted since.</summary>
    public bool TryTake(uint cmdSN, out IscsiTask? task, out GatheredPdu? pdu)
    {
        Entry entry = _entries[Place(cmdSN)];
        _entries[Place(cmdSN)] = default;
        task = entry.Task;
        pdu = entry.Pdu;
        if (task is null && pdu is null)
        {
            return false;
        }

        Count--;
        return true;
    }

    int Place(uint cmdSN) => (int)(cmdSN & (uint)(_entries.Length - 1));

    struct Entry
    {
        public IscsiTask? Task;
        public GatheredPdu? Pdu;
    }
}
