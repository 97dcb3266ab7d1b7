using Scuse.Iscsi.Output;
using Scuse.Iscsi.Pdus;

namespace Scuse.Iscsi.FullFeature;

/// <summary>
/// Keeps the answer to a function for many tasks in its place among the answers of all connections of a session: those before it are acknowledged before
/// it is sent, and those behind it are sent when it is acknowledged. RFC 7143 section 4.2.2.3.3. By a single connection they come in their order anyway.
/// </summary>
/// <remarks>Touched only by the owning reactor.</remarks>
internal sealed class ResponseFence(IscsiSession session)
{
    /// <summary>How long one side of a fence waits for acknowledgments. An initiator that sends none for longer gets its answers all the same.</summary>
    const int TimeoutMs = 5000;

    /// <summary>How many answers wait for a fence of their own; more go without.</summary>
    const int MaxWaiting = 32;

    readonly Queue<(FullFeaturePhase Phase, Action Answer)> _waiting = new();
    readonly List<(FullFeaturePhase Phase, uint StatSN)> _awaited = [];
    bool _isUp;
    bool _isAnswered;
    long _sinceMs;

    public bool IsUp => _isUp;

    /// <summary>Sends an answer as soon as those before it are acknowledged.</summary>
    public void Raise(FullFeaturePhase phase, Action answer)
    {
        if (session.Connections.Count < 2 || _waiting.Count == MaxWaiting)
        {
            answer();
            return;
        }

        _waiting.Enqueue((phase, answer));
        if (!_isUp)
        {
            Begin();
        }
    }

    /// <summary>An initiator has acknowledged something on a connection.</summary>
    public void Acknowledged(FullFeaturePhase phase)
    {
        _awaited.RemoveAll(one => one.Phase == phase && !SerialNumber.IsBefore(phase.ExpStatSN, one.StatSN));
        GoOn();
    }

    /// <summary>A connection is gone: nothing comes by it any more.</summary>
    public void Gone(FullFeaturePhase phase)
    {
        if (_isUp)
        {
            _awaited.RemoveAll(one => one.Phase == phase);
            GoOn();
        }
    }

    public void Tick(long nowMs)
    {
        if (!_isUp)
        {
            return;
        }

        _sinceMs = _sinceMs == 0 ? nowMs : _sinceMs;
        if (nowMs - _sinceMs >= TimeoutMs)
        {
            _awaited.Clear();
            GoOn();
        }
    }

    void Begin()
    {
        (FullFeaturePhase issuing, _) = _waiting.Peek();
        _isUp = true;
        _isAnswered = false;
        _sinceMs = 0;
        foreach (IscsiConnection connection in session.Connections)
        {
            if (connection.FullFeature is { IsOpen: true } phase && phase != issuing)
            {
                Await(phase);
                phase.Output.HoldBack();
            }
        }

        GoOn();
    }

    /// <summary>Waits for all that is queued on a connection now, and asks for the acknowledgment.</summary>
    void Await(FullFeaturePhase phase)
    {
        uint needed = phase.Output.StatSNBehindQueue;
        if (SerialNumber.IsBefore(phase.ExpStatSN, needed))
        {
            _awaited.Add((phase, needed));
            phase.Keepalive.AskForAcknowledgment();
        }
    }

    void GoOn()
    {
        if (!_isUp || _awaited.Count > 0)
        {
            return;
        }

        (FullFeaturePhase issuing, Action answer) = _waiting.Peek();
        if (!_isAnswered && issuing.IsOpen && session.IsAlive)
        {
            _isAnswered = true;
            _sinceMs = 0;
            answer();
            Await(issuing);
            if (_awaited.Count > 0)
            {
                return;
            }
        }

        _waiting.Dequeue();
        _isUp = false;
        foreach (IscsiConnection connection in session.Connections)
        {
            connection.FullFeature!.Output.GoOn();
        }

        if (_waiting.Count > 0)
        {
            Begin();
        }
    }
}
