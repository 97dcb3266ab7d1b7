namespace Scuse.Scsi;

/// <summary>Codes of log pages and subpages. SPC-4 clause 7.3.</summary>
public static class LogPage
{
    /// <summary>Supported Log Pages; with <see cref="AllSubpages"/> Supported Log Pages and Subpages.</summary>
    public const byte SupportedPages = 0x00;

    /// <summary>Logical Block Provisioning. SBC-5 clause 6.4.5.</summary>
    public const byte LogicalBlockProvisioning = 0x0C;

    /// <summary>General Statistics and Performance.</summary>
    public const byte GeneralStatistics = 0x19;

    /// <summary>Informational Exceptions.</summary>
    public const byte InformationalExceptions = 0x2F;

    /// <summary>The page itself, without a subpage.</summary>
    public const byte NoSubpage = 0x00;

    /// <summary>Asks for the list of subpages.</summary>
    public const byte AllSubpages = 0xFF;
}
