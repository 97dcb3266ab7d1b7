using System.Buffers;
using System.Buffers.Binary;
using System.Net;
using System.Text;

namespace Scuse.Iscsi.Isns;

/// <summary>The attributes that we speak of. RFC 4171 section 6.1.</summary>
public enum IsnsTag : uint
{
    /// <summary>Stands between the key of a message and what it is about.</summary>
    Delimiter = 0,

    /// <summary>Which network entity it is: any text that nobody else has. Section 6.2.1.</summary>
    EntityIdentifier = 1,

    /// <summary>What it speaks; 2 is iSCSI. Section 6.2.2.</summary>
    EntityProtocol = 2,

    /// <summary>For how many seconds a registration stays without a message of its client. Section 6.2.6.</summary>
    RegistrationPeriod = 6,

    /// <summary>A portal's address, 16 bytes. Section 6.3.1.</summary>
    PortalAddress = 16,

    /// <summary>A portal's port; TCP, as long as bit 15 of its 4 bytes is zero. Section 6.3.2.</summary>
    PortalPort = 17,

    /// <summary>The name of a node. Section 6.4.1.</summary>
    NodeName = 32,

    /// <summary>What kind of node it is; 1 is a target. Section 6.4.2.</summary>
    NodeType = 33,

    /// <summary>The node of a portal group. Section 6.5.1.</summary>
    GroupNodeName = 48,

    /// <summary>The tag of a portal group. Section 6.5.4.</summary>
    GroupTag = 51,
}

/// <summary>Writes attributes one behind the other: tag, length, value, each filled up with zeros to 4 bytes. RFC 4171 section 5.3.</summary>
internal sealed class IsnsAttributeWriter
{
    const int PrefixLength = 8;
    const int AddressLength = 16;

    readonly ArrayBufferWriter<byte> _bytes = new();

    public ReadOnlySpan<byte> Written => _bytes.WrittenSpan;

    public void Delimiter() => Begin(IsnsTag.Delimiter, 0);

    public void Number(IsnsTag tag, uint value) => BinaryPrimitives.WriteUInt32BigEndian(Begin(tag, sizeof(uint)), value);

    /// <summary>Text ends with a NUL, and the length counts that and what fills it up.</summary>
    public void Text(IsnsTag tag, string text)
    {
        int length = Encoding.UTF8.GetByteCount(text) + 1;
        Encoding.UTF8.GetBytes(text, Begin(tag, (length + 3) & ~3));
    }

    /// <summary>An IPv4 address goes as the IPv6 address that it is mapped to.</summary>
    public void Address(IsnsTag tag, IPAddress address) => address.MapToIPv6().TryWriteBytes(Begin(tag, AddressLength), out _);

    Span<byte> Begin(IsnsTag tag, int length)
    {
        Span<byte> all = _bytes.GetSpan(PrefixLength + length)[..(PrefixLength + length)];
        all.Clear();
        BinaryPrimitives.WriteUInt32BigEndian(all, (uint)tag);
        BinaryPrimitives.WriteUInt32BigEndian(all[4..], (uint)length);
        _bytes.Advance(all.Length);
        return all[PrefixLength..];
    }
}
