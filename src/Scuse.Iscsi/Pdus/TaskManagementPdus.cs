using System.Buffers.Binary;

namespace Scuse.Iscsi.Pdus;

/// <summary>Task Management Function Request. RFC 7143 section 11.5.</summary>
internal readonly ref struct TaskManagementRequestPdu(ReadOnlySpan<byte> pdu)
{
    const byte FunctionMask = 0x7F;
    const int ReferencedTaskTagOffset = 20;
    const int RefCmdSNOffset = 32;
    const int ExpDataSNOffset = 36;

    readonly ReadOnlySpan<byte> _pdu = pdu[..BasicHeader.Length];

    public BasicHeader Header => new(_pdu);

    public byte Function => (byte)(_pdu[BasicHeader.FlagsOffset] & FunctionMask);

    public uint ReferencedTaskTag => BinaryPrimitives.ReadUInt32BigEndian(_pdu[ReferencedTaskTagOffset..]);

    /// <summary>For TASK REASSIGN: the first Data-In PDU that the initiator does not have.</summary>
    public uint ExpDataSN => BinaryPrimitives.ReadUInt32BigEndian(_pdu[ExpDataSNOffset..]);

    public uint RefCmdSN => BinaryPrimitives.ReadUInt32BigEndian(_pdu[RefCmdSNOffset..]);

    public static void WriteTo(
        Span<byte> pdu, byte function, ulong lun, uint initiatorTaskTag, uint referencedTaskTag, uint refCmdSN, uint cmdSN, uint expStatSN,
        bool immediate = true, uint expDataSN = 0)
    {
        BasicHeader.Begin(pdu, Opcode.TaskManagementRequest, (byte)(BasicHeader.FinalBit | function), initiatorTaskTag, 0, immediate);
        BinaryPrimitives.WriteUInt64BigEndian(pdu[BasicHeader.LunOffset..], lun);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[ReferencedTaskTagOffset..], referencedTaskTag);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[RefCmdSNOffset..], refCmdSN);
        BinaryPrimitives.WriteUInt32BigEndian(pdu[ExpDataSNOffset..], expDataSN);
        SequenceNumbers.WriteRequest(pdu, cmdSN, expStatSN);
    }
}

/// <summary>Task Management Function Response. RFC 7143 section 11.6.</summary>
internal readonly ref struct TaskManagementResponsePdu(ReadOnlySpan<byte> pdu)
{
    const int ResponseOffset = 2;

    /// <summary>Three bytes. RFC 7144.</summary>
    const int AdditionalInformationOffset = 8;

    readonly ReadOnlySpan<byte> _pdu = pdu[..BasicHeader.Length];

    public BasicHeader Header => new(_pdu);

    public byte Response => _pdu[ResponseOffset];

    /// <summary>Additional Response Information, 24 bits.</summary>
    public int AdditionalInformation => BinaryPrimitives.ReadInt32BigEndian(_pdu[AdditionalInformationOffset..]) >>> 8;

    public static void WriteTo(Span<byte> pdu, byte response, uint initiatorTaskTag, int additionalInformation = 0)
    {
        BasicHeader.Begin(pdu, Opcode.TaskManagementResponse, BasicHeader.FinalBit, initiatorTaskTag);
        pdu[ResponseOffset] = response;
        BinaryPrimitives.WriteInt32BigEndian(pdu[AdditionalInformationOffset..], additionalInformation << 8);
    }
}
