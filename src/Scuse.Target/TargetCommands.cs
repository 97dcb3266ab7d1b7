using Scuse.Device;
using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>The commands that the target core answers for every logical unit, for the device server to list in REPORT SUPPORTED OPERATION CODES.</summary>
public static class TargetCommands
{
    const int PersistentReserveInActions = 4, PersistentReserveOutActions = 8;

    static ReadOnlySpan<byte> ThirdPartyCopyIn =>
    [
        ServiceAction.CopyStatusLid1, ServiceAction.CopyDataLid1, ServiceAction.CopyOperatingParameters, ServiceAction.CopyFailureDetailsLid1,
        ServiceAction.CopyStatusLid4, ServiceAction.RodTokenInformation,
    ];

    /// <summary>In ascending order of operation code, then service action.</summary>
    public static IReadOnlyList<SupportedCommand> All { get; } = Build();

    static List<SupportedCommand> Build()
    {
        List<SupportedCommand> all =
        [
            new([OperationCode.Reserve6, 0x11, 0x00, 0x00, 0x00, 0x04]),
            new([OperationCode.Release6, 0x11, 0x00, 0x00, 0x00, 0x04]),
            new([OperationCode.Reserve10, 0x13, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04]),
            new([OperationCode.Release10, 0x13, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04]),
        ];
        for (byte action = 0; action < PersistentReserveInActions; action++)
        {
            all.Add(new([OperationCode.PersistentReserveIn, action, 0x00, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0x04], action));
        }

        for (byte action = 0; action < PersistentReserveOutActions; action++)
        {
            all.Add(new([OperationCode.PersistentReserveOut, action, 0xFF, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0x04], action));
        }

        foreach (byte action in (ReadOnlySpan<byte>)[ServiceAction.ExtendedCopyLid1, ServiceAction.ExtendedCopyLid4])
        {
            all.Add(new([OperationCode.ThirdPartyCopyOut, action, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x04], action));
        }

        foreach (byte action in (ReadOnlySpan<byte>)[ServiceAction.PopulateToken, ServiceAction.WriteUsingToken])
        {
            all.Add(new([OperationCode.ThirdPartyCopyOut, action, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x04], action));
        }

        foreach (byte action in ThirdPartyCopyIn)
        {
            byte identifier4 = action is ServiceAction.CopyStatusLid4 or ServiceAction.RodTokenInformation ? (byte)0xFF : (byte)0;
            byte identifier = action == ServiceAction.CopyOperatingParameters ? (byte)0 : (byte)0xFF;
            all.Add(new([OperationCode.ThirdPartyCopyIn, action, identifier, identifier4, identifier4, identifier4, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x04], action));
        }

        all.Add(new([OperationCode.ReportLuns, 0x00, 0xFF, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x04]));
        all.Add(new(
            [OperationCode.MaintenanceIn, 0xE0 | ServiceAction.ReportTargetPortGroups, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x04],
            ServiceAction.ReportTargetPortGroups));
        all.Add(new(
            [OperationCode.MaintenanceOut, ServiceAction.SetTargetPortGroups, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x04],
            ServiceAction.SetTargetPortGroups));
        all.Add(new(
            [OperationCode.MaintenanceIn, ServiceAction.ReportSupportedTaskManagementFunctions, 0x80, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x04],
            ServiceAction.ReportSupportedTaskManagementFunctions));
        return all;
    }
}
