using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>How much reaches the handler of a logical unit.</summary>
public enum PassLevel
{
    /// <summary>Reads and writes; what else a block device needs, the engine's device server asks of the handler in these few words.</summary>
    Io,

    /// <summary>Every command but those that the target core owns: the division of the Linux kernel's passthrough.</summary>
    All,
}

/// <summary>Who answers a command.</summary>
public enum Responder
{
    /// <summary>The target core: it needs to know the nexus or the other logical units.</summary>
    TargetCore,

    /// <summary>The engine's device server, which may in turn read and write through the handler.</summary>
    DeviceServer,

    /// <summary>The handler, through the ring, with the CDB as the initiator sent it.</summary>
    Handler,
}

/// <summary>The one table that says what the target answers itself and what goes to the handler.</summary>
public static class PassTable
{
    static readonly Responder[] AtIo = Build(Responder.DeviceServer);
    static readonly Responder[] AtAll = Build(Responder.Handler);

    /// <summary>Who answers the command.</summary>
    public static Responder For(PassLevel level, ReadOnlySpan<byte> cdb) =>
        IsOfTheTarget(cdb) ? Responder.TargetCore : (level == PassLevel.Io ? AtIo : AtAll)[cdb[0]];

    /// <summary>Of the operation codes with service actions that others answer: those that speak of the target's ports and tasks.</summary>
    static bool IsOfTheTarget(ReadOnlySpan<byte> cdb) =>
        cdb[0] is OperationCode.MaintenanceIn or OperationCode.MaintenanceOut && cdb.Length > 1 && IsOfTheTarget(cdb[0], cdb[1] & ServiceAction.Mask);

    static bool IsOfTheTarget(byte operationCode, int serviceAction) => operationCode == OperationCode.MaintenanceIn
        ? serviceAction is ServiceAction.ReportTargetPortGroups or ServiceAction.ReportSupportedTaskManagementFunctions
        : serviceAction == ServiceAction.SetTargetPortGroups;

    static Responder[] Build(Responder others)
    {
        var table = new Responder[256];
        Array.Fill(table, others);

        // Owned by the core at every level: they speak of the target as a whole, or of who the initiator is.
        table[OperationCode.ReportLuns] = Responder.TargetCore;
        table[OperationCode.PersistentReserveIn] = Responder.TargetCore;
        table[OperationCode.PersistentReserveOut] = Responder.TargetCore;
        table[OperationCode.Reserve6] = Responder.TargetCore;
        table[OperationCode.Release6] = Responder.TargetCore;
        table[OperationCode.Reserve10] = Responder.TargetCore;
        table[OperationCode.Release10] = Responder.TargetCore;

        table[OperationCode.ThirdPartyCopyOut] = Responder.TargetCore;
        table[OperationCode.ThirdPartyCopyIn] = Responder.TargetCore;

        // The data path: to the handler at every level.
        table[OperationCode.Read6] = Responder.Handler;
        table[OperationCode.Read10] = Responder.Handler;
        table[OperationCode.Read12] = Responder.Handler;
        table[OperationCode.Read16] = Responder.Handler;
        table[OperationCode.Write6] = Responder.Handler;
        table[OperationCode.Write10] = Responder.Handler;
        table[OperationCode.Write12] = Responder.Handler;
        table[OperationCode.Write16] = Responder.Handler;
        return table;
    }
}
