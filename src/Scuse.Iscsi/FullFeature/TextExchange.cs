using System.Text;
using Scuse.Iscsi.Negotiation;
using Scuse.Iscsi.Output;
using Scuse.Iscsi.Pdus;

namespace Scuse.Iscsi.FullFeature;

/// <summary>Text requests in full feature phase, one negotiation at a time, in as many PDUs as either side needs. RFC 7143 sections 11.10, 11.11.</summary>
internal sealed class TextExchange(
    FullFeaturePhase phase, IscsiSession session, TextNegotiation negotiation, OutputQueue output)
{
    readonly List<byte> _request = [];
    byte[] _reply = [];
    int _replySent;
    uint _tag; // of the exchange that is open
    bool _isOpen;

    public void Execute(ReadOnlySpan<byte> headers, ReadOnlySpan<byte> text)
    {
        var request = new TextRequestPdu(headers);
        phase.Connection.Negotiated();
        if (request.TargetTransferTag == BasicHeader.ReservedTag)
        {
            Reset(); // a new exchange ends one that was open
        }
        else if (!_isOpen || request.TargetTransferTag != _tag)
        {
            phase.Reject(RejectReason.InvalidPduField, headers);
            return;
        }

        bool isReplyOpen = _replySent < _reply.Length;
        if ((request.Continue && request.Header.Final) || (isReplyOpen && !text.IsEmpty) || _request.Count + text.Length > TextPairs.MaxTextBytes)
        {
            Reset();
            phase.Reject(RejectReason.ProtocolError, headers);
            return;
        }

        if (isReplyOpen)
        {
            SendNext(request.Header.InitiatorTaskTag, final: true);
            return;
        }

        _request.AddRange(text);
        if (request.Continue)
        {
            SendNext(request.Header.InitiatorTaskTag, final: false);
            return;
        }

        if (!Answer(headers))
        {
            return;
        }

        SendNext(request.Header.InitiatorTaskTag, request.Header.Final);
    }

    bool Answer(ReadOnlySpan<byte> headers)
    {
        List<KeyValuePair<string, string>> pairs = [];
        StringBuilder reply = new();
        bool isRight = TextPairs.TryRead(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_request), pairs, out _);
        _request.Clear();
        if (!isRight || negotiation.Answer(pairs, KeyPhases.FullFeature, reply) is not null)
        {
            Reset();
            phase.Reject(RejectReason.ProtocolError, headers);
            return false;
        }

        foreach ((string key, string value) in pairs)
        {
            if (key == KeyTable.SendTargets)
            {
                SendTargets.Answer(value, session, phase.Connection, reply);
            }
        }

        _reply = Encoding.UTF8.GetBytes(reply.ToString());
        _replySent = 0;
        return true;
    }

    /// <summary>Sends the next part of the reply; the last one ends the exchange when the initiator said F.</summary>
    void SendNext(uint initiatorTaskTag, bool final)
    {
        int length = Math.Min(_reply.Length - _replySent, negotiation.Parameters.Connection.InitiatorMaxRecvDataSegmentLength);
        ReadOnlySpan<byte> part = _reply.AsSpan(_replySent, length);
        _replySent += length;
        bool more = _replySent < _reply.Length;
        final &= !more;
        if (!final)
        {
            _isOpen = true;
            _tag = _tag + 1 == BasicHeader.ReservedTag ? 0 : _tag + 1;
        }

        ControlPdu pdu = output.Rent(takesStatSN: true);
        TextResponsePdu.WriteTo(pdu.Header, final, more, initiatorTaskTag, final ? BasicHeader.ReservedTag : _tag, length);
        output.SetData(pdu, part);
        output.Add(pdu);
        if (final)
        {
            Reset();
        }
    }

    void Reset()
    {
        _isOpen = false;
        _request.Clear();
        _reply = [];
        _replySent = 0;
    }
}
