using System.Buffers.Binary;
using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>REPORT TARGET PORT GROUPS and SET TARGET PORT GROUPS. SPC-4 clauses 6.37 and 6.45.</summary>
static class PortGroupCommands
{
    const int HeaderLength = 4, DescriptorLength = 4;
    const byte StateMask = 0x0F;

    public static ScsiResult Report(TargetPortGroup group, ReadOnlySpan<byte> cdb, DataBuffer dataIn)
    {
        const int formatOffset = 1, formatShift = 5, allocationOffset = 6, groupLength = 12, extendedHeaderLength = 8;
        const byte extendedHeader = 1, formatType = 0x10;
        const byte transitioning = 0x80, unavailable = 0x08, standby = 0x04, activeNonOptimized = 0x02, activeOptimized = 0x01;
        Span<byte> data = stackalloc byte[extendedHeaderLength + groupLength];
        data.Clear();
        int length = HeaderLength;
        if (cdb[formatOffset] >> formatShift == extendedHeader)
        {
            data[4] = formatType;
            length = extendedHeaderLength;
        }

        Span<byte> descriptor = data[length..];
        descriptor[0] = (byte)group.State;
        descriptor[1] = transitioning | unavailable | standby | activeNonOptimized | activeOptimized;
        BinaryPrimitives.WriteUInt16BigEndian(descriptor[2..], group.Number);
        descriptor[5] = group.StatusCode;
        descriptor[7] = 1; // TARGET PORT COUNT
        BinaryPrimitives.WriteUInt16BigEndian(descriptor[10..], group.RelativePortIdentifier);
        length += groupLength;
        BinaryPrimitives.WriteInt32BigEndian(data, length - HeaderLength); // RETURN DATA LENGTH
        int sent = (int)Math.Min((uint)length, BinaryPrimitives.ReadUInt32BigEndian(cdb[allocationOffset..]));
        dataIn.CopyFrom(data[..Math.Min(sent, dataIn.Length)]);
        return ScsiResult.GoodWith(sent);
    }

    /// <summary>All descriptors are looked at before the first takes effect.</summary>
    public static ScsiResult Set(TargetPortGroup group, Nexus by, ReadOnlySpan<byte> cdb, DataBuffer dataOut)
    {
        const int lengthOffset = 6;
        uint length = BinaryPrimitives.ReadUInt32BigEndian(cdb[lengthOffset..]);
        if (length == 0)
        {
            return ScsiResult.Good; // no change, and no error
        }

        if (length < HeaderLength || length % DescriptorLength != 0 || length > (uint)dataOut.Length)
        {
            return ScsiResult.Check(SenseKey.IllegalRequest, AdditionalSense.ParameterListLengthError);
        }

        byte[] list = dataOut.Slice(0, (int)length).ToArray();
        AsymmetricAccessState? state = null;
        for (int at = HeaderLength; at < list.Length; at += DescriptorLength)
        {
            var wanted = (AsymmetricAccessState)(list[at] & StateMask);
            if (wanted > AsymmetricAccessState.Unavailable)
            {
                return ScsiResult.Check(SenseData.InvalidFieldInParameterList(at)); // nobody can ask for a transition, and the only port is not taken offline
            }

            bool isTwice = state is not null;
            if (BinaryPrimitives.ReadUInt16BigEndian(list.AsSpan(at + 2)) != group.Number || isTwice)
            {
                return ScsiResult.Check(SenseData.InvalidFieldInParameterList(at + 2));
            }

            state = wanted;
        }

        if (state is { } next)
        {
            group.Change(next, by);
        }

        return ScsiResult.Good;
    }
}
