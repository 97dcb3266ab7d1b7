using System.Buffers.Binary;
using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>
/// What INQUIRY data says of the target's port and its group, whoever has answered the rest: TPGS, the designators on VPD page 83h, and the peripheral
/// qualifier of a logical unit that cannot be reached. SPC-4 clauses 6.6.2, 7.8.6.7, 7.8.6.8 and 5.16.2.4.5.
/// </summary>
static class PortGroupInquiry
{
    const int EvpdOffset = 1, PageOffset = 2, AllocationOffset = 3, CdbLength = 6;

    public static void Complete(ScsiTask task, TargetPortGroup group)
    {
        const byte evpd = 1;
        ReadOnlySpan<byte> cdb = task.Cdb;
        int length = Math.Min(task.DataInLength, task.DataIn.Length);
        if (cdb.Length < CdbLength || length == 0)
        {
            return;
        }

        if (group.State == AsymmetricAccessState.Unavailable)
        {
            SayUnreachable(task.DataIn);
        }

        if ((cdb[EvpdOffset] & evpd) == 0)
        {
            SayAsymmetric(task.DataIn.Slice(0, length));
        }
        else if (cdb[PageOffset] == VpdPage.DeviceIdentification && length >= VpdPage.HeaderLength)
        {
            AddDesignators(task, group, BinaryPrimitives.ReadUInt16BigEndian(cdb[AllocationOffset..]));
        }
    }

    static void SayUnreachable(DataBuffer data)
    {
        const byte notConnected = 0x20, deviceType = 0x1F;
        Span<byte> first = stackalloc byte[1];
        data.CopyTo(first);
        first[0] = (byte)((first[0] & deviceType) | notConnected);
        data.CopyFrom(first);
    }

    static void SayAsymmetric(DataBuffer data)
    {
        const int tpgsOffset = 5;
        const byte explicitAndImplicit = 0x30;
        Span<byte> head = stackalloc byte[tpgsOffset + 1];
        if (data.Length >= head.Length)
        {
            data.CopyTo(head);
            head[tpgsOffset] |= explicitAndImplicit;
            data.CopyFrom(head);
        }
    }

    static void AddDesignators(ScsiTask task, TargetPortGroup group, int allocation)
    {
        const byte iscsi = 0x50, binary = 0x01, protocolIsValid = 0x80, ofTargetPort = 0x10, relativePort = 0x04, portGroup = 0x05;
        const int lengthOffset = 2, designatorLength = 8;
        Span<byte> designators = stackalloc byte[2 * designatorLength];
        designators.Clear();
        designators[0] = designators[designatorLength] = iscsi | binary;
        designators[1] = protocolIsValid | ofTargetPort | relativePort;
        designators[designatorLength + 1] = protocolIsValid | ofTargetPort | portGroup;
        designators[3] = designators[designatorLength + 3] = designatorLength - 4;
        BinaryPrimitives.WriteUInt16BigEndian(designators[6..], group.RelativePortIdentifier);
        BinaryPrimitives.WriteUInt16BigEndian(designators[(designatorLength + 6)..], group.Number);

        Span<byte> header = stackalloc byte[VpdPage.HeaderLength];
        task.DataIn.CopyTo(header);
        int before = VpdPage.HeaderLength + BinaryPrimitives.ReadUInt16BigEndian(header[lengthOffset..]);
        if (before + designators.Length > ushort.MaxValue)
        {
            return;
        }

        BinaryPrimitives.WriteUInt16BigEndian(header[lengthOffset..], (ushort)(before + designators.Length - VpdPage.HeaderLength));
        task.DataIn.CopyFrom(header);
        if (before <= task.DataInLength) // else the allocation length has cut what was there
        {
            int room = Math.Clamp(task.DataIn.Length - before, 0, designators.Length);
            if (room > 0)
            {
                task.DataIn.CopyFrom(designators[..room], before);
            }

            task.DataInLength = Math.Max(task.DataInLength, Math.Min(before + designators.Length, allocation));
        }
    }
}
