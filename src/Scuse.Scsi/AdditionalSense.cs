namespace Scuse.Scsi;

/// <summary>Additional sense codes with their qualifiers, as one 16-bit value: ASC in the high byte, ASCQ in the low. SPC-4 annex D.</summary>
public static class AdditionalSense
{
    /// <summary>Nothing further.</summary>
    public const ushort None = 0x0000;

    /// <summary>OPERATION IN PROGRESS.</summary>
    public const ushort OperationInProgress = 0x0016;

    /// <summary>LOGICAL UNIT NOT READY, CAUSE NOT REPORTABLE.</summary>
    public const ushort NotReady = 0x0400;

    /// <summary>LOGICAL UNIT IS IN PROCESS OF BECOMING READY.</summary>
    public const ushort BecomingReady = 0x0401;

    /// <summary>LOGICAL UNIT NOT READY, INITIALIZING COMMAND REQUIRED: it was stopped with START STOP UNIT.</summary>
    public const ushort InitializingCommandRequired = 0x0402;

    /// <summary>LOGICAL UNIT NOT READY, MANUAL INTERVENTION REQUIRED.</summary>
    public const ushort ManualInterventionRequired = 0x0403;

    /// <summary>LOGICAL UNIT NOT ACCESSIBLE, ASYMMETRIC ACCESS STATE TRANSITION.</summary>
    public const ushort AsymmetricAccessStateTransition = 0x040A;

    /// <summary>LOGICAL UNIT NOT ACCESSIBLE, TARGET PORT IN STANDBY STATE.</summary>
    public const ushort TargetPortInStandbyState = 0x040B;

    /// <summary>LOGICAL UNIT NOT ACCESSIBLE, TARGET PORT IN UNAVAILABLE STATE.</summary>
    public const ushort TargetPortInUnavailableState = 0x040C;

    /// <summary>LOGICAL UNIT NOT READY, FORMAT IN PROGRESS.</summary>
    public const ushort FormatInProgress = 0x0404;

    /// <summary>LOGICAL UNIT NOT READY, SANITIZE IN PROGRESS.</summary>
    public const ushort SanitizeInProgress = 0x041B;

    /// <summary>LOGICAL UNIT COMMUNICATION FAILURE: the handler is gone or did not answer in time.</summary>
    public const ushort CommunicationFailure = 0x0800;

    /// <summary>UNREACHABLE COPY TARGET: a segment names a source or destination that is not in the list.</summary>
    public const ushort UnreachableCopyTarget = 0x0804;

    /// <summary>WRITE ERROR.</summary>
    public const ushort WriteError = 0x0C00;

    /// <summary>THIRD PARTY DEVICE FAILURE: a copy's source or destination has refused a command or failed it.</summary>
    public const ushort ThirdPartyDeviceFailure = 0x0D01;

    /// <summary>COPY TARGET DEVICE NOT REACHABLE.</summary>
    public const ushort CopyTargetDeviceNotReachable = 0x0D02;

    /// <summary>INCORRECT COPY TARGET DEVICE TYPE.</summary>
    public const ushort IncorrectCopyTargetDeviceType = 0x0D03;

    /// <summary>COPY TARGET DEVICE DATA UNDERRUN.</summary>
    public const ushort CopyTargetDeviceDataUnderrun = 0x0D04;

    /// <summary>UNRECOVERED READ ERROR.</summary>
    public const ushort UnrecoveredReadError = 0x1100;

    /// <summary>PARAMETER LIST LENGTH ERROR.</summary>
    public const ushort ParameterListLengthError = 0x1A00;

    /// <summary>MISCOMPARE DURING VERIFY OPERATION.</summary>
    public const ushort MiscompareDuringVerify = 0x1D00;

    /// <summary>INVALID COMMAND OPERATION CODE.</summary>
    public const ushort InvalidOperationCode = 0x2000;

    /// <summary>ACCESS DENIED - NO ACCESS RIGHTS.</summary>
    public const ushort NoAccessRights = 0x2002;

    /// <summary>LOGICAL BLOCK ADDRESS OUT OF RANGE.</summary>
    public const ushort LbaOutOfRange = 0x2100;

    /// <summary>INVALID TOKEN OPERATION, UNSUPPORTED TOKEN TYPE.</summary>
    public const ushort UnsupportedTokenType = 0x2301;

    /// <summary>INVALID TOKEN OPERATION, TOKEN UNKNOWN.</summary>
    public const ushort TokenUnknown = 0x2304;

    /// <summary>INVALID TOKEN OPERATION, TOKEN EXPIRED.</summary>
    public const ushort TokenExpired = 0x2307;

    /// <summary>INVALID TOKEN OPERATION, TOKEN CANCELLED: what it stood for has changed, or its place was needed for another.</summary>
    public const ushort TokenCancelled = 0x2308;

    /// <summary>INVALID TOKEN OPERATION, TOKEN DELETED: somebody has asked for it.</summary>
    public const ushort TokenDeleted = 0x2309;

    /// <summary>INVALID TOKEN OPERATION, INVALID TOKEN LENGTH.</summary>
    public const ushort InvalidTokenLength = 0x230A;

    /// <summary>INVALID FIELD IN CDB.</summary>
    public const ushort InvalidFieldInCdb = 0x2400;

    /// <summary>LOGICAL UNIT NOT SUPPORTED.</summary>
    public const ushort LogicalUnitNotSupported = 0x2500;

    /// <summary>INVALID FIELD IN PARAMETER LIST.</summary>
    public const ushort InvalidFieldInParameterList = 0x2600;

    /// <summary>INVALID RELEASE OF PERSISTENT RESERVATION.</summary>
    public const ushort InvalidReleaseOfPersistentReservation = 0x2604;

    /// <summary>TOO MANY TARGET DESCRIPTORS: too many copy sources and destinations.</summary>
    public const ushort TooManyTargetDescriptors = 0x2606;

    /// <summary>UNSUPPORTED TARGET DESCRIPTOR TYPE CODE.</summary>
    public const ushort UnsupportedTargetDescriptorType = 0x2607;

    /// <summary>TOO MANY SEGMENT DESCRIPTORS.</summary>
    public const ushort TooManySegmentDescriptors = 0x2608;

    /// <summary>UNSUPPORTED SEGMENT DESCRIPTOR TYPE CODE.</summary>
    public const ushort UnsupportedSegmentDescriptorType = 0x2609;

    /// <summary>INEXACT SEGMENT: a copy of parts of blocks.</summary>
    public const ushort InexactSegment = 0x260A;

    /// <summary>INLINE DATA LENGTH EXCEEDED.</summary>
    public const ushort InlineDataLengthExceeded = 0x260B;

    /// <summary>WRITE PROTECTED.</summary>
    public const ushort WriteProtected = 0x2700;

    /// <summary>LOGICAL UNIT SOFTWARE WRITE PROTECTED: SWP is set in the Control mode page.</summary>
    public const ushort SoftwareWriteProtected = 0x2702;

    /// <summary>SPACE ALLOCATION FAILED WRITE PROTECT: the storage behind a thin disk is full.</summary>
    public const ushort SpaceAllocationFailed = 0x2707;

    /// <summary>POWER ON, RESET, OR BUS DEVICE RESET OCCURRED: this nexus is new to the logical unit. The code that initiators know best.</summary>
    public const ushort PowerOnOrResetOccurred = 0x2900;

    /// <summary>POWER ON OCCURRED.</summary>
    public const ushort PowerOnOccurred = 0x2901;

    /// <summary>SCSI BUS RESET OCCURRED.</summary>
    public const ushort BusResetOccurred = 0x2902;

    /// <summary>BUS DEVICE RESET FUNCTION OCCURRED: a LOGICAL UNIT RESET.</summary>
    public const ushort DeviceResetOccurred = 0x2903;

    /// <summary>I_T NEXUS LOSS OCCURRED.</summary>
    public const ushort NexusLossOccurred = 0x2907;

    /// <summary>MODE PARAMETERS CHANGED.</summary>
    public const ushort ModeParametersChanged = 0x2A01;

    /// <summary>LOG PARAMETERS CHANGED.</summary>
    public const ushort LogParametersChanged = 0x2A02;

    /// <summary>RESERVATIONS PREEMPTED.</summary>
    public const ushort ReservationsPreempted = 0x2A03;

    /// <summary>RESERVATIONS RELEASED.</summary>
    public const ushort ReservationsReleased = 0x2A04;

    /// <summary>REGISTRATIONS PREEMPTED.</summary>
    public const ushort RegistrationsPreempted = 0x2A05;

    /// <summary>ASYMMETRIC ACCESS STATE CHANGED.</summary>
    public const ushort AsymmetricAccessStateChanged = 0x2A06;

    /// <summary>CAPACITY DATA HAS CHANGED.</summary>
    public const ushort CapacityDataChanged = 0x2A09;

    /// <summary>TIMESTAMP CHANGED.</summary>
    public const ushort TimestampChanged = 0x2A10;

    /// <summary>COMMANDS CLEARED BY ANOTHER INITIATOR.</summary>
    public const ushort CommandsClearedByAnotherInitiator = 0x2F00;

    /// <summary>FORMAT COMMAND FAILED.</summary>
    public const ushort FormatCommandFailed = 0x3101;

    /// <summary>SANITIZE COMMAND FAILED.</summary>
    public const ushort SanitizeCommandFailed = 0x3103;

    /// <summary>THIN PROVISIONING SOFT THRESHOLD REACHED.</summary>
    public const ushort ThinProvisioningSoftThresholdReached = 0x3807;

    /// <summary>SAVING PARAMETERS NOT SUPPORTED.</summary>
    public const ushort SavingParametersNotSupported = 0x3900;

    /// <summary>MEDIUM NOT PRESENT.</summary>
    public const ushort MediumNotPresent = 0x3A00;

    /// <summary>LOGICAL UNIT FAILED SELF-TEST.</summary>
    public const ushort FailedSelfTest = 0x3E03;

    /// <summary>DEVICE IDENTIFIER CHANGED: the identifying information was set.</summary>
    public const ushort DeviceIdentifierChanged = 0x3F05;

    /// <summary>REPORTED LUNS DATA HAS CHANGED.</summary>
    public const ushort ReportedLunsDataChanged = 0x3F0E;

    /// <summary>INTERNAL TARGET FAILURE.</summary>
    public const ushort InternalTargetFailure = 0x4400;

    /// <summary>INVALID MESSAGE ERROR: an ACA task came without an auto contingent allegiance.</summary>
    public const ushort InvalidMessage = 0x4900;

    /// <summary>PROTOCOL SERVICE CRC ERROR: the transport lost some of the command's data. RFC 7143 section 11.4.7.2.</summary>
    public const ushort ProtocolServiceCrcError = 0x4705;

    /// <summary>DATA PHASE ERROR.</summary>
    public const ushort DataPhaseError = 0x4B00;

    /// <summary>INSUFFICIENT REGISTRATION RESOURCES.</summary>
    public const ushort InsufficientRegistrationResources = 0x5504;

    /// <summary>INSUFFICIENT RESOURCES TO CREATE ROD TOKEN.</summary>
    public const ushort InsufficientResourcesToCreateRodToken = 0x550D;
}
