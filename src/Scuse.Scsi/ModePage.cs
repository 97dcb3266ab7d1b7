namespace Scuse.Scsi;

/// <summary>Codes of mode pages and subpages. SPC-4 clause 7.5, SBC-3 clause 6.5.</summary>
public static class ModePage
{
    /// <summary>Read-Write Error Recovery.</summary>
    public const byte ReadWriteErrorRecovery = 0x01;

    /// <summary>Caching.</summary>
    public const byte Caching = 0x08;

    /// <summary>Control.</summary>
    public const byte Control = 0x0A;

    /// <summary>Informational Exceptions Control.</summary>
    public const byte InformationalExceptionsControl = 0x1C;

    /// <summary>The subpage of <see cref="InformationalExceptionsControl"/> that is the Logical Block Provisioning mode page. SBC-5 clause 6.5.9.</summary>
    public const byte ProvisioningSubpage = 0x02;

    /// <summary>Asks for all pages.</summary>
    public const byte All = 0x3F;

    /// <summary>The page itself, without a subpage.</summary>
    public const byte NoSubpage = 0x00;

    /// <summary>Asks for the page with all its subpages.</summary>
    public const byte AllSubpages = 0xFF;
}
