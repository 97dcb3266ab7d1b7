using Scuse.Iscsi.Output;
using Scuse.Iscsi.Pdus;

namespace Scuse.Iscsi.FullFeature;

/// <summary>Pings both ways: answers NOP-Out, and asks a silent initiator for a sign of life with NOP-In. RFC 7143 sections 11.18, 11.19.</summary>
internal sealed class Keepalive(OutputQueue output, IscsiOptions options, Negotiation.ConnectionParameters parameters)
{
    uint _lastTag;
    bool _isWaiting;
    long _askedMs;

    /// <summary>Answers a NOP-Out. Returns whether <paramref name="data"/> is kept for the answer.</summary>
    public bool OnNopOut(ReadOnlySpan<byte> headers, byte[]? data, int dataLength)
    {
        var request = new NopOutPdu(headers);
        BasicHeader header = request.Header;
        if (header.InitiatorTaskTag == BasicHeader.ReservedTag)
        {
            return false; // the answer to a ping of ours, or a mere sign of life
        }

        int echo = Math.Min(dataLength, parameters.InitiatorMaxRecvDataSegmentLength);
        ControlPdu pdu = output.Rent(takesStatSN: true);
        NopInPdu.WriteTo(pdu.Header, header.Lun, header.InitiatorTaskTag, BasicHeader.ReservedTag, echo);
        pdu.Data = data;
        pdu.DataLength = echo;
        output.Add(pdu);
        return data is not null;
    }

    /// <summary>Something came from the initiator.</summary>
    public void HeardFrom() => _isWaiting = false;

    /// <summary>Tells the initiator the newest numbers without asking anything.</summary>
    public void SendNumbers() => Send(BasicHeader.ReservedTag);

    /// <summary>Asks for anything that carries ExpStatSN, without a time limit.</summary>
    public void AskForAcknowledgment() => Send(NextTag());

    /// <summary>Returns why the connection is to be closed, or null.</summary>
    public string? Tick(long nowMs, long lastHeardMs)
    {
        if (options.NopIntervalMs <= 0)
        {
            return null;
        }

        if (_isWaiting)
        {
            return nowMs - _askedMs >= options.NopTimeoutMs ? $"no sign of life within {options.NopTimeoutMs} ms of a NOP-In" : null;
        }

        if (nowMs - lastHeardMs >= options.NopIntervalMs)
        {
            _isWaiting = true;
            _askedMs = nowMs;
            Send(NextTag());
        }

        return null;
    }

    uint NextTag() => _lastTag = _lastTag + 1 == BasicHeader.ReservedTag ? 0 : _lastTag + 1;

    void Send(uint targetTransferTag)
    {
        ControlPdu pdu = output.Rent(takesStatSN: false);
        NopInPdu.WriteTo(pdu.Header, lun: 0, BasicHeader.ReservedTag, targetTransferTag, 0);
        output.Add(pdu);
    }
}
