using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;

namespace Scuse.Iscsi.Isns;

/// <summary>What a server answers. RFC 4171 section 5.4.</summary>
/// <param name="Status">0: it has done what was asked for.</param>
/// <param name="RegistrationPeriodSeconds">How long the registration stays without a further message; 0 when the server does not say.</param>
public sealed record IsnsAnswer(uint Status, uint RegistrationPeriodSeconds)
{
    /// <summary>Whether the server has done it.</summary>
    public bool IsSuccess => Status == 0;

    /// <summary>The status as the standard calls it. RFC 4171 section 5.4.</summary>
    public string StatusText => Status switch
    {
        0 => "successful",
        1 => "unknown error",
        2 => "message format error",
        3 => "invalid registration",
        5 => "invalid query",
        6 => "source unknown",
        7 => "source absent",
        8 => "source unauthorized",
        9 => "no such entry",
        10 => "version not supported",
        11 => "internal error",
        12 => "busy",
        13 => "option not understood",
        14 => "invalid update",
        15 => "message not supported",
        22 => "invalid deregistration",
        23 => "registration feature not supported",
        _ => $"status {Status}",
    };
}

/// <summary>Puts the PDUs of one answer together and reads it. What a server sends is not believed.</summary>
public sealed class IsnsAnswerReader(IsnsFunction function, ushort transactionId)
{
    /// <summary>The most bytes that an answer may have: more than a thousand targets with all the portals there can be take.</summary>
    public const int MaxBytes = 32 << 20;

    const int StatusLength = 4, PrefixLength = 8;

    readonly List<byte> _payload = [];
    int _next;

    /// <summary>Looks at a PDU's header. Null, or why it is none of the answer.</summary>
    public string? Check(ReadOnlySpan<byte> header)
    {
        var pdu = new IsnsHeader(header);
        return pdu.Version != IsnsHeader.CurrentVersion ? $"its protocol version is {pdu.Version}"
            : pdu.Function != ((ushort)function | IsnsHeader.AnswerBit) ? $"it answers 0x{pdu.Function:X4} to 0x{(ushort)function:X4}"
            : pdu.TransactionId != transactionId || pdu.SequenceId != _next || pdu.Flags.HasFlag(IsnsFlags.First) != (_next == 0) ? "its answer is out of order"
            : pdu.PayloadLength % 4 != 0 || _payload.Count + pdu.PayloadLength > MaxBytes ? "its answer has a length that is none"
            : null;
    }

    /// <summary>Takes a PDU that <see cref="Check"/> has let through. Whether it was the last.</summary>
    public bool Add(ReadOnlySpan<byte> header, ReadOnlySpan<byte> payload)
    {
        _payload.AddRange(payload);
        _next++;
        return new IsnsHeader(header).Flags.HasFlag(IsnsFlags.Last);
    }

    /// <summary>Reads the whole of it.</summary>
    public bool TryRead([NotNullWhen(true)] out IsnsAnswer? answer)
    {
        answer = null;
        ReadOnlySpan<byte> rest = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_payload);
        if (rest.Length < StatusLength)
        {
            return false;
        }

        uint status = BinaryPrimitives.ReadUInt32BigEndian(rest), period = 0;
        rest = rest[StatusLength..];
        while (rest.Length >= PrefixLength)
        {
            uint tag = BinaryPrimitives.ReadUInt32BigEndian(rest), length = BinaryPrimitives.ReadUInt32BigEndian(rest[4..]);
            rest = rest[PrefixLength..];
            if (length > rest.Length)
            {
                return false;
            }

            if (tag == (uint)IsnsTag.RegistrationPeriod && length == sizeof(uint))
            {
                period = BinaryPrimitives.ReadUInt32BigEndian(rest);
            }

            rest = rest[(int)length..];
        }

        answer = new IsnsAnswer(status, period);
        return rest.IsEmpty;
    }
}
