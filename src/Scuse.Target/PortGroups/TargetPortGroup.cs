using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>
/// The target port group of the target's port, and how well it reaches the logical units: asymmetric logical unit access, explicit and implicit.
/// SPC-4 clause 5.16.2.
/// </summary>
/// <remarks>Touched only by the owning thread.</remarks>
public sealed class TargetPortGroup
{
    readonly ScsiTarget _target;

    internal TargetPortGroup(ScsiTarget target, ushort number)
    {
        _target = target;
        Number = RelativePortIdentifier = number;
    }

    /// <summary>The group's number in the target: TARGET PORT GROUP.</summary>
    public ushort Number { get; }

    /// <summary>The port's number in the target: RELATIVE TARGET PORT IDENTIFIER.</summary>
    public ushort RelativePortIdentifier { get; }

    /// <summary>The state that holds for every command that comes.</summary>
    public AsymmetricAccessState State { get; private set; }

    /// <summary>Whether commands go through as ever, which is all that the data path looks at.</summary>
    internal bool IsActive => State <= AsymmetricAccessState.ActiveNonOptimized;

    /// <summary>Why the state is what it is: STATUS CODE of SPC-4 table 308.</summary>
    internal byte StatusCode { get; private set; }

    /// <summary>Sets the state from within: an implicit change, of which every nexus is told. SPC-4 clause 5.16.2.7.</summary>
    public void SetState(AsymmetricAccessState state) => Change(state, by: null);

    /// <summary>A nexus has set the state, an explicit change, or null nobody: all others are told ASYMMETRIC ACCESS STATE CHANGED.</summary>
    internal void Change(AsymmetricAccessState state, Nexus? by)
    {
        const byte bySetTargetPortGroups = 1, implicitly = 2;
        StatusCode = by is null ? implicitly : bySetTargetPortGroups;
        if (state == State)
        {
            return;
        }

        State = state;
        foreach (LogicalUnit unit in _target.LogicalUnits)
        {
            _target.Establish(unit, AdditionalSense.AsymmetricAccessStateChanged, except: by);
        }
    }

    /// <summary>Whether the state lets a command through; if not, how it ends. SPC-4 clauses 5.16.2.4 and 5.16.2.5.</summary>
    internal bool Admits(ReadOnlySpan<byte> cdb, out ScsiResult refusal)
    {
        ushort code = State switch
        {
            AsymmetricAccessState.Standby when !IsServedInStandby(cdb) => AdditionalSense.TargetPortInStandbyState,
            AsymmetricAccessState.Unavailable when !IsServedWhenUnavailable(cdb) => AdditionalSense.TargetPortInUnavailableState,
            AsymmetricAccessState.Transitioning when !IsServedInTransition(cdb) => AdditionalSense.AsymmetricAccessStateTransition,
            _ => AdditionalSense.None,
        };
        refusal = ScsiResult.Check(SenseKey.NotReady, code);
        return code == AdditionalSense.None;
    }

    static bool IsServedInTransition(ReadOnlySpan<byte> cdb) =>
        cdb[0] is OperationCode.Inquiry or OperationCode.ReportLuns or OperationCode.RequestSense
        || Is(cdb, OperationCode.MaintenanceIn, ServiceAction.ReportTargetPortGroups);

    static bool IsServedWhenUnavailable(ReadOnlySpan<byte> cdb) =>
        IsServedInTransition(cdb) || Is(cdb, OperationCode.MaintenanceOut, ServiceAction.SetTargetPortGroups);

    // Beside what the clause names: what tells of the device and its commands without touching the medium.
    static bool IsServedInStandby(ReadOnlySpan<byte> cdb) =>
        IsServedWhenUnavailable(cdb)
        || cdb[0] is OperationCode.LogSelect or OperationCode.LogSense or OperationCode.ModeSelect6 or OperationCode.ModeSelect10
            or OperationCode.ModeSense6 or OperationCode.ModeSense10 or OperationCode.ReceiveDiagnosticResults or OperationCode.SendDiagnostic
            or OperationCode.PersistentReserveIn or OperationCode.PersistentReserveOut
            or OperationCode.MaintenanceIn or OperationCode.ReadCapacity10
        || Is(cdb, OperationCode.ServiceActionIn16, ServiceAction.ReadCapacity16);

    static bool Is(ReadOnlySpan<byte> cdb, byte operationCode, byte serviceAction) =>
        cdb[0] == operationCode && cdb.Length > 1 && (cdb[1] & ServiceAction.Mask) == serviceAction;
}
