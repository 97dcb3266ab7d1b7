using System.Buffers.Binary;

namespace Scuse.Device;

/// <summary>Whether a designator names a logical unit, as VPD page 83h shows them. SPC-4 clause 7.8.6.</summary>
public static class LogicalUnitDesignators
{
    const byte Binary = 0x1, Ascii = 0x2, LogicalUnit = 0x0, T10VendorId = 0x1, Naa = 0x3;
    const int VendorLength = 8;

    /// <summary>Whether a designator is one of those that the device's serial number makes.</summary>
    /// <param name="info">The device.</param>
    /// <param name="codeSet">CODE SET.</param>
    /// <param name="association">ASSOCIATION.</param>
    /// <param name="designatorType">DESIGNATOR TYPE.</param>
    /// <param name="designator">The designator.</param>
    public static bool Match(BlockDeviceInfo info, byte codeSet, byte association, byte designatorType, ReadOnlySpan<byte> designator)
    {
        ArgumentNullException.ThrowIfNull(info);
        return (codeSet, association, designatorType) switch
        {
            (Binary, LogicalUnit, Naa) => designator.Length == LogicalUnitIdentifier.Length
                && BinaryPrimitives.ReadUInt64BigEndian(designator) == LogicalUnitIdentifier.FromSerial(info.Serial),
            (Ascii, LogicalUnit, T10VendorId) => IsT10(info, designator),
            _ => false,
        };
    }

    /// <summary>Writes an identification descriptor CSCD descriptor, of 32 bytes, that names the logical unit by its NAA identifier. SPC-4 clause 6.4.5.6.</summary>
    /// <param name="descriptor">Cleared memory.</param>
    /// <param name="info">The device.</param>
    public static void WriteCopyDescriptor(Span<byte> descriptor, BlockDeviceInfo info)
    {
        ArgumentNullException.ThrowIfNull(info);
        descriptor[0] = ThirdPartyCopyLimits.IdentificationDescriptor;
        descriptor[4] = Binary;
        descriptor[5] = (LogicalUnit << 4) | Naa;
        descriptor[7] = LogicalUnitIdentifier.Length;
        BinaryPrimitives.WriteUInt64BigEndian(descriptor[8..], LogicalUnitIdentifier.FromSerial(info.Serial));
        BinaryPrimitives.WriteInt32BigEndian(descriptor[28..], info.BlockSize); // three bytes, after one of flags
    }

    static bool IsT10(BlockDeviceInfo info, ReadOnlySpan<byte> designator)
    {
        Span<byte> own = stackalloc byte[VendorLength + info.Serial.Length];
        ControlResponse.WriteAscii(own[..VendorLength], info.Vendor);
        ControlResponse.WriteAscii(own[VendorLength..], info.Serial);
        return designator.SequenceEqual(own);
    }
}
