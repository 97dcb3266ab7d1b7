using System.Net;

namespace Scuse.Iscsi.Isns;

/// <summary>
/// What a network entity has an iSNS server know of it: its targets, its portals, and that every target can be reached by every portal, as one portal group.
/// RFC 4171 sections 3.4 and 5.6.5.1.
/// </summary>
/// <remarks>No port for Entity Status Inquiries is registered: a registration is kept alive by renewing it, so that nobody has to listen for anything. Section 6.2.6.</remarks>
public sealed record IsnsRegistration
{
    /// <summary>The longest entity identifier in bytes, without its NUL.</summary>
    public const int MaxIdentifierBytes = 255;

    const uint ProtocolIscsi = 2, NodeTarget = 1;

    /// <summary>What tells the entity from all others, and is the same at its next start.</summary>
    public required string EntityIdentifier { get; init; }

    /// <summary>The names of the targets; at least one.</summary>
    public required IReadOnlyList<string> Targets { get; init; }

    /// <summary>Where they can be reached; at least one.</summary>
    public required IReadOnlyList<IPEndPoint> Portals { get; init; }

    /// <summary>The tag of the portals' group.</summary>
    public required ushort PortalGroupTag { get; init; }

    /// <summary>Whether a server that was told one knows the other.</summary>
    public bool IsSameAs(IsnsRegistration other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return EntityIdentifier == other.EntityIdentifier && PortalGroupTag == other.PortalGroupTag && Targets.SequenceEqual(other.Targets) && Portals.SequenceEqual(other.Portals);
    }

    /// <summary>The PDUs of a message that registers it (DevAttrReg), one behind the other.</summary>
    /// <param name="transactionId">What the answer will have in common with it.</param>
    /// <param name="replaces">Whether what was registered for the entity and is not in here goes; otherwise it stays, and the registration is renewed.</param>
    public byte[] ToRegister(ushort transactionId, bool replaces)
    {
        var attributes = new IsnsAttributeWriter();
        attributes.Text(IsnsTag.NodeName, Targets[0]); // who speaks
        attributes.Text(IsnsTag.EntityIdentifier, EntityIdentifier); // of what
        attributes.Delimiter();
        attributes.Text(IsnsTag.EntityIdentifier, EntityIdentifier);
        attributes.Number(IsnsTag.EntityProtocol, ProtocolIscsi);
        foreach (string target in Targets)
        {
            attributes.Text(IsnsTag.NodeName, target);
            attributes.Number(IsnsTag.NodeType, NodeTarget);
        }

        // A portal's group goes by the names of its nodes, a node's by the addresses of its portals. The first is what servers in use can do.
        foreach (IPEndPoint portal in Portals)
        {
            attributes.Address(IsnsTag.PortalAddress, portal.Address);
            attributes.Number(IsnsTag.PortalPort, (uint)portal.Port);
            attributes.Number(IsnsTag.GroupTag, PortalGroupTag);
            foreach (string target in Targets)
            {
                attributes.Text(IsnsTag.GroupNodeName, target);
            }
        }

        return Message(IsnsFunction.Register, replaces ? IsnsFlags.Replace : 0, transactionId, attributes.Written);
    }

    /// <summary>The PDUs of a message that takes the entity away with all it has (DevDereg). RFC 4171 section 5.6.5.4.</summary>
    /// <param name="transactionId">What the answer will have in common with it.</param>
    public byte[] ToDeregister(ushort transactionId)
    {
        var attributes = new IsnsAttributeWriter();
        attributes.Text(IsnsTag.NodeName, Targets[0]);
        attributes.Delimiter();
        attributes.Text(IsnsTag.EntityIdentifier, EntityIdentifier);
        return Message(IsnsFunction.Deregister, 0, transactionId, attributes.Written);
    }

    /// <summary>A message in as many PDUs as it takes; attributes may be cut anywhere. RFC 4171 sections 5.2 and 5.3.</summary>
    internal static byte[] Message(IsnsFunction function, IsnsFlags flags, ushort transactionId, ReadOnlySpan<byte> attributes)
    {
        int count = Math.Max(1, (attributes.Length + IsnsHeader.MaxPayloadBytes - 1) / IsnsHeader.MaxPayloadBytes);
        byte[] message = new byte[attributes.Length + (count * IsnsHeader.Length)];
        Span<byte> rest = message;
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> part = attributes[..Math.Min(attributes.Length, IsnsHeader.MaxPayloadBytes)];
            attributes = attributes[part.Length..];
            IsnsFlags place = (i == 0 ? IsnsFlags.First : 0) | (i == count - 1 ? IsnsFlags.Last : 0);
            IsnsHeader.WriteTo(rest, (ushort)function, flags | place | IsnsFlags.FromClient, transactionId, (ushort)i, part.Length);
            part.CopyTo(rest[IsnsHeader.Length..]);
            rest = rest[(IsnsHeader.Length + part.Length)..];
        }

        return message;
    }
}
