namespace Scuse.Scsi;

/// <summary>Codes of vital product data pages. SPC-4 clause 7.8, SBC-3 clause 6.6.</summary>
public static class VpdPage
{
    /// <summary>Length in bytes of the header that every page starts with: peripheral, page code, page length.</summary>
    public const int HeaderLength = 4;

    /// <summary>Supported VPD Pages.</summary>
    public const byte SupportedPages = 0x00;

    /// <summary>Unit Serial Number.</summary>
    public const byte UnitSerialNumber = 0x80;

    /// <summary>Device Identification.</summary>
    public const byte DeviceIdentification = 0x83;

    /// <summary>Extended INQUIRY Data.</summary>
    public const byte ExtendedInquiryData = 0x86;

    /// <summary>Third-party Copy.</summary>
    public const byte ThirdPartyCopy = 0x8F;

    /// <summary>Block Limits.</summary>
    public const byte BlockLimits = 0xB0;

    /// <summary>Block Device Characteristics.</summary>
    public const byte BlockDeviceCharacteristics = 0xB1;

    /// <summary>Logical Block Provisioning.</summary>
    public const byte LogicalBlockProvisioning = 0xB2;
}
