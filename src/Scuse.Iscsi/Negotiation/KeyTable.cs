namespace Scuse.Iscsi.Negotiation;

/// <summary>Every text key that we know. RFC 7143 section 13.</summary>
internal static class KeyTable
{
    public const string AuthMethod = "AuthMethod";
    public const string ChapAlgorithm = "CHAP_A";
    public const string ChapIdentifier = "CHAP_I";
    public const string ChapChallenge = "CHAP_C";
    public const string ChapName = "CHAP_N";
    public const string ChapResponse = "CHAP_R";
    public const string InitiatorName = "InitiatorName";
    public const string TargetName = "TargetName";
    public const string TargetAddress = "TargetAddress";
    public const string SessionType = "SessionType";
    public const string SendTargets = "SendTargets";
    public const string TargetPortalGroupTag = "TargetPortalGroupTag";
    public const string MaxRecvDataSegmentLength = "MaxRecvDataSegmentLength";
    public const string FirstBurstLength = "FirstBurstLength";
    public const string MaxBurstLength = "MaxBurstLength";
    public const string InitialR2T = "InitialR2T";
    public const string ImmediateData = "ImmediateData";
    public const string Discovery = "Discovery";
    public const string Normal = "Normal";
    public const string CRC32C = "CRC32C";

    const uint SmallestLength = 512;
    const uint LargestLength = (1 << 24) - 1;

    static readonly KeyDefinition[] Definitions =
    [
        new(AuthMethod, KeyKind.List, KeyPhases.Security) { OurList = [KeyResult.None] },

        // Their order and their meaning are the business of SecurityNegotiation. RFC 7143 section 12.1.3.
        new(ChapAlgorithm, KeyKind.Request, KeyPhases.Security),
        new(ChapIdentifier, KeyKind.Request, KeyPhases.Security),
        new(ChapChallenge, KeyKind.Request, KeyPhases.Security),
        new(ChapName, KeyKind.Request, KeyPhases.Security),
        new(ChapResponse, KeyKind.Request, KeyPhases.Security),
        new(InitiatorName, KeyKind.TextDeclaration, KeyPhases.Login) { Apply = static (p, r) => p.InitiatorName = r.Text },
        new("InitiatorAlias", KeyKind.TextDeclaration, KeyPhases.All) { Apply = static (p, r) => p.InitiatorAlias = r.Text },
        new(TargetName, KeyKind.TextDeclaration, KeyPhases.Login) { Apply = static (p, r) => p.TargetName = r.Text },
        new(SessionType, KeyKind.TextDeclaration, KeyPhases.Login) { Apply = static (p, r) => p.IsDiscovery = r.Text == Discovery },
        new("TargetAlias", KeyKind.TextDeclaration, KeyPhases.All) { FromInitiator = false },
        new(TargetAddress, KeyKind.TextDeclaration, KeyPhases.All) { FromInitiator = false },
        new(TargetPortalGroupTag, KeyKind.TextDeclaration, KeyPhases.Login) { FromInitiator = false },
        new(SendTargets, KeyKind.Request, KeyPhases.FullFeature),
        new("HeaderDigest", KeyKind.List, KeyPhases.Operational)
        {
            OurList = [CRC32C, KeyResult.None],
            Apply = static (p, r) => p.Connection.HeaderDigest = r.Text == CRC32C,
        },
        new("DataDigest", KeyKind.List, KeyPhases.Operational)
        {
            OurList = [CRC32C, KeyResult.None],
            Apply = static (p, r) => p.Connection.DataDigest = r.Text == CRC32C,
        },
        new("MaxConnections", KeyKind.NumericMinimum, KeyPhases.Operational)
        {
            Minimum = 1, Maximum = 65535, IsLeadingOnly = true, IrrelevantInDiscovery = true,
            OurNumber = static o => (uint)o.MaxConnectionsPerSession,
            Apply = static (p, r) => p.MaxConnections = (int)r.Number,
        },
        new(InitialR2T, KeyKind.BooleanOr, KeyPhases.Operational)
        {
            IsLeadingOnly = true, IrrelevantInDiscovery = true,
            OurFlag = static o => o.InitialR2T,
            Apply = static (p, r) => p.InitialR2T = r.Flag,
        },
        new(ImmediateData, KeyKind.BooleanAnd, KeyPhases.Operational)
        {
            IsLeadingOnly = true, IrrelevantInDiscovery = true,
            OurFlag = static o => o.ImmediateData,
            Apply = static (p, r) => p.ImmediateData = r.Flag,
        },
        new(MaxRecvDataSegmentLength, KeyKind.NumericDeclaration, KeyPhases.Operational | KeyPhases.FullFeature)
        {
            Minimum = SmallestLength, Maximum = LargestLength,
            Apply = static (p, r) => p.Connection.InitiatorMaxRecvDataSegmentLength = (int)r.Number,
        },
        new(MaxBurstLength, KeyKind.NumericMinimum, KeyPhases.Operational)
        {
            Minimum = SmallestLength, Maximum = LargestLength, IsLeadingOnly = true, IrrelevantInDiscovery = true,
            OurNumber = static o => (uint)o.MaxBurstLength,
            Apply = static (p, r) => p.MaxBurstLength = (int)r.Number,
        },
        new(FirstBurstLength, KeyKind.NumericMinimum, KeyPhases.Operational)
        {
            Minimum = SmallestLength, Maximum = LargestLength, IsLeadingOnly = true, IrrelevantInDiscovery = true,
            OurNumber = static o => (uint)o.FirstBurstLength,
            Apply = static (p, r) => p.FirstBurstLength = (int)r.Number,
        },
        new("DefaultTime2Wait", KeyKind.NumericMaximum, KeyPhases.Operational)
        {
            IsLeadingOnly = true, Maximum = 3600,
            OurNumber = static _ => 2,
            Apply = static (p, r) => p.DefaultTime2WaitSeconds = (int)r.Number,
        },
        new("DefaultTime2Retain", KeyKind.NumericMinimum, KeyPhases.Operational)
        {
            IsLeadingOnly = true, Maximum = 3600,
            OurNumber = static o => o.ErrorRecoveryLevel < 2 ? 0 : (uint)o.Time2RetainSeconds, // below, no tasks of a lost connection are kept
            Apply = static (p, r) => p.DefaultTime2RetainSeconds = (int)r.Number,
        },
        new("MaxOutstandingR2T", KeyKind.NumericMinimum, KeyPhases.Operational)
        {
            Minimum = 1, Maximum = 65535, IsLeadingOnly = true, IrrelevantInDiscovery = true,
            OurNumber = static o => (uint)o.MaxOutstandingR2T,
            Apply = static (p, r) => p.MaxOutstandingR2T = (int)r.Number,
        },
        new("DataPDUInOrder", KeyKind.BooleanOr, KeyPhases.Operational) { IsLeadingOnly = true, IrrelevantInDiscovery = true, OurFlag = static _ => true },
        new("DataSequenceInOrder", KeyKind.BooleanOr, KeyPhases.Operational) { IsLeadingOnly = true, IrrelevantInDiscovery = true, OurFlag = static _ => true },
        new("ErrorRecoveryLevel", KeyKind.NumericMinimum, KeyPhases.Operational)
        {
            IsLeadingOnly = true, Maximum = 2,
            OurNumber = static o => (uint)o.ErrorRecoveryLevel,
            Apply = static (p, r) => p.ErrorRecoveryLevel = (int)r.Number,
        },
        new("TaskReporting", KeyKind.List, KeyPhases.Operational) { IsLeadingOnly = true, IrrelevantInDiscovery = true, OurList = ["RFC3720"] },

        // RFC 7144 section 7.1.1: 1 stands for RFC 7143 alone, 2 for RFC 7144 as well.
        new("iSCSIProtocolLevel", KeyKind.NumericMinimum, KeyPhases.Operational)
        {
            Maximum = 31, IsLeadingOnly = true, IrrelevantInDiscovery = true,
            OurNumber = static _ => 2,
            Apply = static (p, r) => p.ProtocolLevel = (int)r.Number,
        },
        new("IFMarker", KeyKind.Obsolete, KeyPhases.Operational),
        new("OFMarker", KeyKind.Obsolete, KeyPhases.Operational),
        new("IFMarkInt", KeyKind.Obsolete, KeyPhases.Operational) { FixedAnswer = KeyResult.Irrelevant },
        new("OFMarkInt", KeyKind.Obsolete, KeyPhases.Operational) { FixedAnswer = KeyResult.Irrelevant },
    ];

    static readonly Dictionary<string, KeyDefinition> ByName = Definitions.ToDictionary(definition => definition.Name, StringComparer.Ordinal);

    public static IReadOnlyCollection<KeyDefinition> All => Definitions;

    /// <summary>The key by its name, which is case-sensitive; null for an unknown one. RFC 7143 section 6.1.</summary>
    public static KeyDefinition? Find(string name) => ByName.GetValueOrDefault(name);
}
