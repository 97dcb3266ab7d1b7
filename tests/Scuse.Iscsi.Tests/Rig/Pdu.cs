using Scuse.Iscsi.Pdus;

namespace Scuse.Iscsi.Tests.Rig;

/// <summary>A PDU that came out of a connection.</summary>
sealed record Pdu(byte[] Header, byte[] Data)
{
    public Opcode Opcode => new BasicHeader(Header).Opcode;

    public uint Tag => new BasicHeader(Header).InitiatorTaskTag;

    public bool Final => new BasicHeader(Header).Final;

    public uint StatSN => new SequenceNumbers(Header).StatSN;

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

    public static List<Pdu> Parse(ReadOnlySpan<byte> bytes)
    {
        List<Pdu> pdus = [];
        while (!bytes.IsEmpty)
        {
            int length = new BasicHeader(bytes).DataSegmentLength;
            pdus.Add(new Pdu(bytes[..48].ToArray(), bytes.Slice(48, length).ToArray()));
            bytes = bytes[(48 + length + BasicHeader.PaddingFor(length))..];
        }

        return pdus;
    }
}
