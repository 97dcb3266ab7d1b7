using System.Text;

namespace Scuse.Tcmu;

/// <summary>
/// The messages of generic netlink, as far as they are spoken here: struct nlmsghdr, struct genlmsghdr and attributes, in the machine's own byte order. netlink(7), linux/genetlink.h.
/// </summary>
static class NetlinkMessages
{
    internal const int HeaderBytes = 16, GenericHeaderBytes = 4, AttributeHeaderBytes = 4;
    internal const ushort TypeError = 2, TypeControl = 0x10;

    /// <summary>The most bytes that one receive brings.</summary>
    internal const int MaxBytes = 32 * 1024;

    const int Alignment = 4;
    const int TypeOffset = 4, FlagsOffset = 6, SequenceOffset = 8;
    const ushort FlagRequest = 1;
    const byte ControlGetFamily = 3, ControlVersion = 1;
    const ushort ControlFamilyId = 1, ControlFamilyName = 2, ControlGroups = 7, ControlGroupName = 1, ControlGroupId = 2;
    const int MaxNameBytes = 32;

    // The kernel marks attributes that hold others, and numbers of network byte order, in the type's top bits.
    const ushort TypeMask = 0x3FFF;

    /// <summary>Takes the first message of what was received: its type, its sequence number and what follows its header. False when there is none, or it is cut.</summary>
    internal static bool TryTake(ref ReadOnlySpan<byte> rest, out ushort type, out uint sequence, out ReadOnlySpan<byte> body)
    {
        (type, sequence) = (0, 0);
        body = default;
        if (rest.Length < HeaderBytes)
        {
            return false;
        }

        uint length = Read32(rest);
        if (length < HeaderBytes || length > (uint)rest.Length)
        {
            return false;
        }

        type = Read16(rest[TypeOffset..]);
        sequence = Read32(rest[SequenceOffset..]);
        body = rest[HeaderBytes..(int)length];
        rest = rest[Math.Min(Aligned((int)length), rest.Length)..];
        return true;
    }

    /// <summary>The error number of an error message's body, negative; 0 is an acknowledgement, and what is said where it is cut.</summary>
    internal static int ReadError(ReadOnlySpan<byte> body) => body.Length >= sizeof(int) ? (int)Read32(body) : 0;

    /// <summary>Takes the first attribute. False when there is none, or it is cut.</summary>
    internal static bool TryTakeAttribute(ref ReadOnlySpan<byte> rest, out ushort type, out ReadOnlySpan<byte> value)
    {
        type = 0;
        value = default;
        if (rest.Length < AttributeHeaderBytes)
        {
            return false;
        }

        int length = Read16(rest);
        if (length < AttributeHeaderBytes || length > rest.Length)
        {
            return false;
        }

        type = (ushort)(Read16(rest[2..]) & TypeMask);
        value = rest[AttributeHeaderBytes..length];
        rest = rest[Math.Min(Aligned(length), rest.Length)..];
        return true;
    }

    /// <summary>Asks the controller for a family's numbers. CTRL_CMD_GETFAMILY.</summary>
    internal static byte[] FamilyRequest(string family, uint sequence)
    {
        Span<byte> name = stackalloc byte[MaxNameBytes];
        name.Clear();
        int length = Encoding.ASCII.GetBytes(family, name) + 1;
        Writer message = new(TypeControl, sequence, ControlGetFamily, ControlVersion);
        message.Add(ControlFamilyName, name[..length]);
        return message.ToBytes();
    }

    /// <summary>Reads the controller's answer: the family's number, and that of one of its multicast groups. False when one of them is missing.</summary>
    internal static bool TryReadFamily(ReadOnlySpan<byte> body, string group, out ushort family, out uint groupId)
    {
        (family, groupId) = (0, 0);
        bool hasGroup = false;
        ReadOnlySpan<byte> rest = body.Length < GenericHeaderBytes ? default : body[GenericHeaderBytes..];
        while (TryTakeAttribute(ref rest, out ushort type, out ReadOnlySpan<byte> value))
        {
            if (type == ControlFamilyId && value.Length >= sizeof(ushort))
            {
                family = Read16(value);
            }
            else if (type == ControlGroups)
            {
                ReadOnlySpan<byte> groups = value;
                while (!hasGroup && TryTakeAttribute(ref groups, out _, out ReadOnlySpan<byte> one))
                {
                    hasGroup = IsGroup(one, group, out groupId);
                }
            }
        }

        return family != 0 && hasGroup;
    }

    internal static string ReadText(ReadOnlySpan<byte> value)
    {
        int end = value.IndexOf((byte)0);
        return Encoding.UTF8.GetString(end < 0 ? value : value[..end]);
    }

    internal static ushort Read16(ReadOnlySpan<byte> from) => BitConverter.ToUInt16(from);

    internal static uint Read32(ReadOnlySpan<byte> from) => BitConverter.ToUInt32(from);

    static bool IsGroup(ReadOnlySpan<byte> attributes, string group, out uint id)
    {
        id = 0;
        bool hasName = false, hasId = false;
        while (TryTakeAttribute(ref attributes, out ushort type, out ReadOnlySpan<byte> value))
        {
            if (type == ControlGroupName)
            {
                hasName = ReadText(value) == group;
            }
            else if (type == ControlGroupId && value.Length >= sizeof(uint))
            {
                id = Read32(value);
                hasId = true;
            }
        }

        return hasName && hasId;
    }

    static int Aligned(int length) => (length + Alignment - 1) & ~(Alignment - 1);

    /// <summary>A message to the kernel as it is put together.</summary>
    internal ref struct Writer
    {
        const int RoomBytes = 256; // what is sent here is short

        readonly byte[] _bytes = new byte[RoomBytes];
        int _length = HeaderBytes + GenericHeaderBytes;

        internal Writer(ushort type, uint sequence, byte command, byte version)
        {
            BitConverter.TryWriteBytes(_bytes.AsSpan(TypeOffset), type);
            BitConverter.TryWriteBytes(_bytes.AsSpan(FlagsOffset), FlagRequest);
            BitConverter.TryWriteBytes(_bytes.AsSpan(SequenceOffset), sequence);
            (_bytes[HeaderBytes], _bytes[HeaderBytes + 1]) = (command, version);
        }

        internal void Add(ushort type, scoped ReadOnlySpan<byte> value)
        {
            Span<byte> at = _bytes.AsSpan(_length);
            BitConverter.TryWriteBytes(at, (ushort)(AttributeHeaderBytes + value.Length));
            BitConverter.TryWriteBytes(at[2..], type);
            value.CopyTo(at[AttributeHeaderBytes..]);
            _length += Aligned(AttributeHeaderBytes + value.Length);
        }

        internal void Add(ushort type, uint value)
        {
            Span<byte> bytes = stackalloc byte[sizeof(uint)];
            BitConverter.TryWriteBytes(bytes, value);
            Add(type, bytes);
        }

        internal readonly byte[] ToBytes()
        {
            BitConverter.TryWriteBytes(_bytes, (uint)_length);
            return _bytes[.._length];
        }
    }
}
