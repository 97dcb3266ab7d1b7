using Scuse.Iscsi.Pdus;

namespace Scuse.Iscsi.Tests.Rig;

/// <summary>A PDU that came out of a connection.</summary>
sealed record Pdu(byte[] Header, byte[] Data)
{
    public Opcode Opcode => new BasicHeader(Header).Opcode;

    public uint Tag => new BasicHeader(Header).InitiatorTaskTag;

    public bool Final => new BasicHeader(Header).Final;

    public uint StatSN => new SequenceNumbers(Header).StatSN;

    /// <summary>Whether its StatSN is its own, and not the next one's.</summary>
    public bool TakesStatSN => Opcode switch
    {
        Opcode.R2T => false,
        Opcode.DataIn => DataIn.HasStatus,
        Opcode.NopIn => Tag != Initiator.None,
        _ => true,
    };

    /// <summary>The PDU but for ExpCmdSN and MaxCmdSN, which are the newest ones whenever it is sent.</summary>
    public string Content => Convert.ToHexString(Header.AsSpan(0, 28)) + Convert.ToHexString(Header.AsSpan(36)) + Convert.ToHexString(Data);

    public uint ExpCmdSN => new SequenceNumbers(Header).ExpCmdSN;

    public uint MaxCmdSN => new SequenceNumbers(Header).MaxCmdSN;

    public ScsiResponsePdu Response => Opcode == Opcode.ScsiResponse ? new(Header) : throw new InvalidOperationException($"this is a {Opcode}");

    public DataInPdu DataIn => Opcode == Opcode.DataIn ? new(Header) : throw new InvalidOperationException($"this is a {Opcode}");

    public R2TPdu R2T => Opcode == Opcode.R2T ? new(Header) : throw new InvalidOperationException($"this is a {Opcode}");

    public LoginResponsePdu Login => Opcode == Opcode.LoginResponse ? new(Header) : throw new InvalidOperationException($"this is a {Opcode}");

    public TextResponsePdu TextResponse => Opcode == Opcode.TextResponse ? new(Header) : throw new InvalidOperationException($"this is a {Opcode}");

    public byte TaskManagementResponse => new TaskManagementResponsePdu(Header).Response;

    public RejectReason RejectReason => Opcode == Opcode.Reject ? new RejectPdu(Header).Reason : throw new InvalidOperationException($"this is a {Opcode}");

    public string[] Text => System.Text.Encoding.UTF8.GetString(Data).Split('\0', StringSplitOptions.RemoveEmptyEntries);

    /// <summary>Takes the stream apart; digests, where there are any, have to be right.</summary>
    public static List<Pdu> Parse(ReadOnlySpan<byte> bytes, bool headerDigest = false, bool dataDigest = false)
    {
        List<Pdu> pdus = [];
        while (!bytes.IsEmpty)
        {
            int length = new BasicHeader(bytes).DataSegmentLength;
            byte[] header = Take(ref bytes, 48, headerDigest);
            byte[] data = Take(ref bytes, length + BasicHeader.PaddingFor(length), dataDigest && length > 0);
            pdus.Add(new Pdu(header, data[..length]));
        }

        return pdus;
    }

    static byte[] Take(ref ReadOnlySpan<byte> bytes, int length, bool digest)
    {
        byte[] part = bytes[..length].ToArray();
        bytes = bytes[length..];
        if (digest)
        {
            Assert.Equal(Digest(part), bytes[..4].ToArray());
            bytes = bytes[4..];
        }

        return part;
    }

    /// <summary>CRC32C by its definition, a bit at a time.</summary>
    public static byte[] Digest(ReadOnlySpan<byte> bytes)
    {
        uint sum = 0xFFFF_FFFF;
        foreach (byte one in bytes)
        {
            sum ^= one;
            for (int bit = 0; bit < 8; bit++)
            {
                sum = (sum >> 1) ^ ((sum & 1) != 0 ? 0x82F6_3B78u : 0);
            }
        }

        return BitConverter.GetBytes(~sum);
    }
}
