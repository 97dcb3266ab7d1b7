using System.Buffers.Binary;
using System.Text;

namespace Scuse.Scsi;

/// <summary>The TransportID of an iSCSI initiator port: its name, <c>,i,0x</c> and the ISID. SPC-4 clause 7.6.4.6.</summary>
public static class TransportId
{
    const int HeaderLength = 4;
    const int SmallestLength = 24;
    const byte IscsiInitiatorPort = 0x45; // FORMAT CODE 01b, PROTOCOL IDENTIFIER 5h
    const byte FormatAndProtocol = 0xCF;
    const int MaxNameLength = 223 + 17; // an iSCSI name, ",i,0x" and twelve digits

    /// <summary>How many bytes the TransportID of a port takes: header, name, at least one zero, a multiple of four.</summary>
    public static int LengthOf(string initiatorPort)
    {
        ArgumentNullException.ThrowIfNull(initiatorPort);
        return Math.Max(SmallestLength, HeaderLength + ((initiatorPort.Length + 4) / 4 * 4));
    }

    /// <summary>Writes the TransportID of a port; returns its length.</summary>
    public static int Write(Span<byte> into, string initiatorPort)
    {
        int length = LengthOf(initiatorPort);
        into = into[..length];
        into.Clear();
        into[0] = IscsiInitiatorPort;
        BinaryPrimitives.WriteUInt16BigEndian(into[2..], (ushort)(length - HeaderLength));
        Encoding.ASCII.GetBytes(initiatorPort, into[HeaderLength..]);
        return length;
    }

    /// <summary>
    /// Reads the TransportID that a list begins with. False when it is none of an iSCSI initiator port, or does not fit: one that names a device but no port of it
    /// names nothing that could be registered.
    /// </summary>
    /// <param name="list">The bytes.</param>
    /// <param name="initiatorPort">The port's name, in lower case as iSCSI names compare.</param>
    /// <param name="length">How many bytes it takes.</param>
    public static bool TryRead(ReadOnlySpan<byte> list, out string initiatorPort, out int length)
    {
        initiatorPort = "";
        length = 0;
        if (list.Length < SmallestLength || (list[0] & FormatAndProtocol) != IscsiInitiatorPort)
        {
            return false;
        }

        length = HeaderLength + BinaryPrimitives.ReadUInt16BigEndian(list[2..]);
        if (length < SmallestLength || length % 4 != 0 || length > list.Length)
        {
            return false;
        }

        ReadOnlySpan<byte> name = list[HeaderLength..length];
        int end = name.IndexOf((byte)0);
        name = end < 0 ? name : name[..end];
        if (name.IsEmpty || name.Length > MaxNameLength || name.ContainsAnyExceptInRange((byte)'!', (byte)'~') || name.IndexOf(",i,0x"u8) <= 0)
        {
            return false;
        }

        initiatorPort = Encoding.ASCII.GetString(name).ToLowerInvariant();
        return true;
    }
}
