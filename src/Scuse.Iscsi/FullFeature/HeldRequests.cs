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
    Entry[] _entries = []; // most sessions never need it

    public int Count { get; private set; }

    /// <summary>How much memory the data of the requests other than tasks holds, in bytes.</summary>
    public int Bytes { get; private set; }

    public void Hold(IscsiTask task)
    {
        Count++;
        EntryOf(task.CmdSN).Task = task;
    }

    /// <summary>Keeps a gathered PDU, with a copy of its header; its data belongs to this table now.</summary>
    public void Hold(FullFeaturePhase phase, uint cmdSN, in GatheredPdu pdu)
    {
        Count++;
        Bytes += pdu.Data?.Length ?? 0;
        EntryOf(cmdSN).Pdu = new HeldPdu(phase, pdu with { Headers = pdu.Headers.AsSpan(0, BasicHeader.Length).ToArray() });
    }

    /// <summary>Takes out what was held under a number; false when that was dropped or aborted since.</summary>
    public bool TryTake(uint cmdSN, out IscsiTask? task, out HeldPdu? pdu)
    {
        Entry entry = Count == 0 ? default : EntryOf(cmdSN);
        task = entry.Task;
        pdu = entry.Pdu;
        if (task is null && pdu is null)
        {
            return false;
        }

        EntryOf(cmdSN) = default;
        Count--;
        Bytes -= pdu?.Pdu.Data?.Length ?? 0;
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
                Bytes -= held.Pdu.Data?.Length ?? 0;
            }
        }

        return taken;
    }

    ref Entry EntryOf(uint cmdSN)
    {
        if (_entries.Length == 0)
        {
            _entries = new Entry[BitOperations.RoundUpToPowerOf2((uint)windowSize)];
        }

        return ref _entries[(int)(cmdSN & (uint)(_entries.Length - 1))];
    }

    struct Entry
    {
        public IscsiTask? Task;
        public HeldPdu? Pdu;
    }
}
