namespace Scuse.Scsi;

/// <summary>
/// Service actions: what tells commands with the same operation code apart. They are the low five bits of byte 1 of a CDB, or bytes 8 and 9
/// of a variable length CDB. SPC-4 clause 4.2.5.
/// </summary>
public static class ServiceAction
{
    /// <summary>The bits of byte 1 that hold the service action.</summary>
    public const byte Mask = 0x1F;

    /// <summary>EXTENDED COPY(LID1), of THIRD-PARTY COPY OUT.</summary>
    public const byte ExtendedCopyLid1 = 0x00;

    /// <summary>EXTENDED COPY(LID4), of THIRD-PARTY COPY OUT.</summary>
    public const byte ExtendedCopyLid4 = 0x01;

    /// <summary>POPULATE TOKEN, of THIRD-PARTY COPY OUT. SBC-3.</summary>
    public const byte PopulateToken = 0x10;

    /// <summary>WRITE USING TOKEN, of THIRD-PARTY COPY OUT. SBC-3.</summary>
    public const byte WriteUsingToken = 0x11;

    /// <summary>RECEIVE ROD TOKEN INFORMATION, of THIRD-PARTY COPY IN.</summary>
    public const byte RodTokenInformation = 0x07;

    /// <summary>RECEIVE COPY STATUS(LID1), of THIRD-PARTY COPY IN.</summary>
    public const byte CopyStatusLid1 = 0x00;

    /// <summary>RECEIVE COPY DATA(LID1), of THIRD-PARTY COPY IN.</summary>
    public const byte CopyDataLid1 = 0x01;

    /// <summary>RECEIVE COPY OPERATING PARAMETERS, of THIRD-PARTY COPY IN.</summary>
    public const byte CopyOperatingParameters = 0x03;

    /// <summary>RECEIVE COPY FAILURE DETAILS(LID1), of THIRD-PARTY COPY IN.</summary>
    public const byte CopyFailureDetailsLid1 = 0x04;

    /// <summary>RECEIVE COPY STATUS(LID4), of THIRD-PARTY COPY IN.</summary>
    public const byte CopyStatusLid4 = 0x05;

    /// <summary>OVERWRITE, of SANITIZE.</summary>
    public const byte SanitizeOverwrite = 0x01;

    /// <summary>BLOCK ERASE, of SANITIZE.</summary>
    public const byte SanitizeBlockErase = 0x02;

    /// <summary>EXIT FAILURE MODE, of SANITIZE.</summary>
    public const byte SanitizeExitFailureMode = 0x1F;

    /// <summary>READ CAPACITY(16), of SERVICE ACTION IN(16).</summary>
    public const byte ReadCapacity16 = 0x10;

    /// <summary>READ LONG(16), of SERVICE ACTION IN(16).</summary>
    public const byte ReadLong16 = 0x11;

    /// <summary>GET LBA STATUS, of SERVICE ACTION IN(16).</summary>
    public const byte GetLbaStatus = 0x12;

    /// <summary>REPORT REFERRALS, of SERVICE ACTION IN(16).</summary>
    public const byte ReportReferrals = 0x13;

    /// <summary>WRITE LONG(16), of SERVICE ACTION OUT(16).</summary>
    public const byte WriteLong16 = 0x11;

    /// <summary>REPORT IDENTIFYING INFORMATION, of MAINTENANCE IN.</summary>
    public const byte ReportIdentifyingInformation = 0x05;

    /// <summary>REPORT TARGET PORT GROUPS, of MAINTENANCE IN.</summary>
    public const byte ReportTargetPortGroups = 0x0A;

    /// <summary>REPORT SUPPORTED OPERATION CODES, of MAINTENANCE IN.</summary>
    public const byte ReportSupportedOperationCodes = 0x0C;

    /// <summary>REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS, of MAINTENANCE IN.</summary>
    public const byte ReportSupportedTaskManagementFunctions = 0x0D;

    /// <summary>REPORT TIMESTAMP, of MAINTENANCE IN.</summary>
    public const byte ReportTimestamp = 0x0F;

    /// <summary>SET TARGET PORT GROUPS, of MAINTENANCE OUT.</summary>
    public const byte SetTargetPortGroups = 0x0A;

    /// <summary>Of PERSISTENT RESERVE OUT.</summary>
    public const byte PreemptAndAbort = 0x05;

    /// <summary>SET IDENTIFYING INFORMATION, of MAINTENANCE OUT.</summary>
    public const byte SetIdentifyingInformation = 0x06;

    /// <summary>SET TIMESTAMP, of MAINTENANCE OUT.</summary>
    public const byte SetTimestamp = 0x0F;

    /// <summary>READ(32), of the variable length CDB.</summary>
    public const ushort Read32 = 0x0009;

    /// <summary>VERIFY(32), of the variable length CDB.</summary>
    public const ushort Verify32 = 0x000A;

    /// <summary>WRITE(32), of the variable length CDB.</summary>
    public const ushort Write32 = 0x000B;

    /// <summary>WRITE AND VERIFY(32), of the variable length CDB.</summary>
    public const ushort WriteAndVerify32 = 0x000C;

    /// <summary>WRITE SAME(32), of the variable length CDB.</summary>
    public const ushort WriteSame32 = 0x000D;
}
