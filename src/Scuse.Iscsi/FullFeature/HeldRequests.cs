using System.Numerics;
using Scuse.Iscsi.Input;
using Scuse.Iscsi.Pdus;

namespace Scuse.Iscsi.FullFeature;

/// <summary>A request other than a task, and the connection that it came by.</summary>
internal readonly record struct HeldPdu(FullFeaturePhase Phase, GatheredPdu Pdu);

/// <summary>
/// Requests that came ahead of a gap in CmdSN: at most as many as the window is wide. On a single connection only a faulty initiator makes gaps, or a
/// digest error; with several they are everyday.
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
    public void Hold(FullFeaturePhase phase, uint cmdSN, in GatheredPdu pdu)
    {
        Count++;
        _entries[Place(cmdSN)].Pdu = new HeldPdu(phase, pdu with { Headers = pdu.Headers.AsSpan(0, BasicHeader.Length).ToArray() });
    }

    /// <summary>Takes out what was held under a number; false when that was dropped or aborted since.</summary>
    public bool TryTake(uint cmdSN, out IscsiTask? task, out HeldPdu? pdu)
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

    /// <summary>Takes out the PDUs that came by a connection. Rare work: it allocates.</summary>
    public List<HeldPdu> TakePdusOf(FullFeaturePhase phase)
    {
        List<HeldPdu> taken = [];
        for (int i = 0; i < _entries.Length && Count > 0; i++)
        {
            if (_entries[i].Pdu is { } held && held.Phase == phase)
            {
                taken.Add(held);
                _entries[i] = default;
                Count--;
            }
        }

        return taken;
    }

    int Place(uint cmdSN) => (int)(cmdSN & (uint)(_entries.Length - 1));

    struct Entry
    {
        public IscsiTask? Task;
        public HeldPdu? Pdu;
    }
}
