using Scuse.Device.Commands;
using Scuse.Scsi;

namespace Scuse.Device;

/// <summary>What a command needs before it is done at all; the device server checks it in one place.</summary>
[Flags]
enum CommandNeeds : ushort
{
    None = 0,

    /// <summary>The medium: refused with 02/04/02 while the unit is stopped.</summary>
    Medium = 1,

    /// <summary>A medium that can be written: refused with 07/27/00 on a read-only device, with 07/27/02 while SWP is set.</summary>
    Writable = 2,

    /// <summary>The Unmap feature: without it the command does not exist.</summary>
    UnmapFeature = 4,

    /// <summary>Writes that are stored all or none: without them the command does not exist.</summary>
    AtomicWrites = 256,

    /// <summary>Nobody else may come between its reading and its writing.</summary>
    Atomic = 16,

    /// <summary>It is done, and reports nothing, even when a deferred error waits to be told. SAM-5 clause 5.14.</summary>
    IgnoresDeferredErrors = 8,

    /// <summary>It is done while the whole medium is written, and after that has failed. SBC-3 clause 4.11.2.</summary>
    IgnoresMediumWork = 32,

    /// <summary>
    /// It has the whole medium written, and must start when nobody else is at it. From its start on the device server keeps the others off; it may go on for hours.
    /// </summary>
    StartsMediumWork = 64,

    /// <summary>It is a SANITIZE, which is the way out when one has failed.</summary>
    Sanitizes = 128,

    /// <summary>Somewhere to keep what survives a loss of power: without it the command does not exist.</summary>
    Store = 512,

    /// <summary>A clock: without it the command does not exist.</summary>
    Clock = 1024,

    /// <summary>The Extents feature: without it the command does not exist.</summary>
    ExtentsFeature = 2048,

    /// <summary>It works through so many blocks as it names, many of them perhaps: how long that takes nobody can say beforehand.</summary>
    TakesLong = 4096,
}

/// <summary>Does one command; the needs of its table entry are already met.</summary>
delegate ValueTask<ScsiResult> CommandHandler(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command);

/// <summary>One line of the command table.</summary>
sealed record CommandEntry(SupportedCommand Command, TransferDirection Direction, CommandNeeds Needs, CommandHandler Handler)
{
    public bool ExistsFor(BlockDeviceInfo info) =>
        ((Needs & CommandNeeds.UnmapFeature) == 0 || info.Has(BlockDeviceFeatures.Unmap))
        && ((Needs & CommandNeeds.ExtentsFeature) == 0 || info.Has(BlockDeviceFeatures.Extents))
        && ((Needs & CommandNeeds.AtomicWrites) == 0 || BlockLimits.MaxAtomicBlocks(info) > 0);

    /// <summary>Whether the command exists in a device server, with what that was given.</summary>
    public bool ExistsIn(DeviceServer server, BlockDeviceInfo info) =>
        ExistsFor(info)
        && ((Needs & CommandNeeds.Store) == 0 || server.CanSave)
        && ((Needs & CommandNeeds.Clock) == 0 || server.HasClock);
}

/// <summary>
/// Every command that the device server does: dispatch and REPORT SUPPORTED OPERATION CODES both come from here.
/// The usage data shows the CDB byte by byte: the operation code (and service action), then a one for each bit that is looked at.
/// </summary>
static class CommandTable
{
    const CommandNeeds Reads = CommandNeeds.Medium;
    const CommandNeeds Writes = CommandNeeds.Medium | CommandNeeds.Writable;
    const CommandNeeds Always = CommandNeeds.IgnoresMediumWork;
    const CommandNeeds Sanitize = Writes | CommandNeeds.StartsMediumWork | CommandNeeds.Sanitizes;

    /// <summary>In ascending order of operation code, then service action.</summary>
    public static readonly CommandEntry[] Entries =
    [
        Entry("00 00 00 00 00 04", TransferDirection.None, CommandNeeds.Medium, UnitCommands.TestUnitReady),
        Entry("03 01 00 00 FF 04", TransferDirection.In, CommandNeeds.IgnoresDeferredErrors | Always, UnitCommands.RequestSense),
        Entry("04 FF 00 00 00 04", TransferDirection.None, Writes | CommandNeeds.StartsMediumWork, FormatCommands.FormatUnit),
        Entry("08 1F FF FF FF 04", TransferDirection.In, Reads, ReadWriteCommands.Read),
        Entry("0A 1F FF FF FF 04", TransferDirection.Out, Writes, ReadWriteCommands.Write),
        Entry("12 01 FF FF FF 04", TransferDirection.In, CommandNeeds.IgnoresDeferredErrors | Always, InquiryCommands.Inquiry),
        Entry("15 11 00 00 FF 04", TransferDirection.Out, CommandNeeds.None, ModeCommands.ModeSelect6),
        Entry("1A 08 FF FF FF 04", TransferDirection.In, CommandNeeds.None, ModeCommands.ModeSense6),
        Entry("1B 01 00 0F F7 04", TransferDirection.None, CommandNeeds.None, UnitCommands.StartStopUnit),
        Entry("1D E4 00 FF FF 04", TransferDirection.Out, CommandNeeds.Medium, DiagnosticCommands.SendDiagnostic),
        Entry("1E 00 00 00 03 04", TransferDirection.None, CommandNeeds.None, UnitCommands.PreventAllowMediumRemoval),
        Entry("25 00 FF FF FF FF 00 00 01 04", TransferDirection.In, CommandNeeds.None, CapacityCommands.ReadCapacity10),
        Entry("28 F8 FF FF FF FF 00 FF FF 04", TransferDirection.In, Reads, ReadWriteCommands.Read),
        Entry("2A F8 FF FF FF FF 00 FF FF 04", TransferDirection.Out, Writes, ReadWriteCommands.Write),
        Entry("2E F6 FF FF FF FF 00 FF FF 04", TransferDirection.Out, Writes, VerifyCommands.WriteAndVerify),
        Entry("2F F6 FF FF FF FF 00 FF FF 04", TransferDirection.Out, Reads | CommandNeeds.TakesLong, VerifyCommands.Verify),
        Entry("34 02 FF FF FF FF 00 FF FF 04", TransferDirection.None, Reads | CommandNeeds.TakesLong, CacheCommands.PreFetch),
        Entry("35 02 FF FF FF FF 00 FF FF 04", TransferDirection.None, CommandNeeds.Medium, CacheCommands.SynchronizeCache),
        Entry("37 00 1F 00 00 00 00 FF FF 04", TransferDirection.In, CommandNeeds.None, DefectCommands.ReadDefectData10),
        Entry("41 FE FF FF FF FF 00 FF FF 04", TransferDirection.Out, Writes | CommandNeeds.TakesLong, WriteSameCommands.WriteSame),
        Entry("42 01 00 00 00 00 00 FF FF 04", TransferDirection.Out, Writes | CommandNeeds.TakesLong | CommandNeeds.UnmapFeature, UnmapCommands.Unmap),
        Entry("48 A1 00 00 00 00 00 FF FF 04", TransferDirection.Out, Sanitize, SanitizeCommands.Overwrite, ServiceAction.SanitizeOverwrite),
        Entry("48 A2 00 00 00 00 00 FF FF 04", TransferDirection.Out, Sanitize | CommandNeeds.UnmapFeature | CommandNeeds.ExtentsFeature, SanitizeCommands.BlockErase, ServiceAction.SanitizeBlockErase),
        Entry("48 1F 00 00 00 00 00 FF FF 04", TransferDirection.Out, Sanitize, SanitizeCommands.ExitFailureMode, ServiceAction.SanitizeExitFailureMode),
        Entry("4C 03 FF FF 00 00 00 FF FF 04", TransferDirection.Out, CommandNeeds.None, LogCommands.LogSelect),
        Entry("4D 03 FF FF 00 FF FF FF FF 04", TransferDirection.In, CommandNeeds.None, LogCommands.LogSense),
        Entry("55 11 00 00 00 00 00 FF FF 04", TransferDirection.Out, CommandNeeds.None, ModeCommands.ModeSelect10),
        Entry("5A 18 FF FF 00 00 00 FF FF 04", TransferDirection.In, CommandNeeds.None, ModeCommands.ModeSense10),
        Entry("88 F8 FF FF FF FF FF FF FF FF FF FF FF FF 00 04", TransferDirection.In, Reads, ReadWriteCommands.Read),
        Entry("89 F8 FF FF FF FF FF FF FF FF 00 00 00 FF 00 04", TransferDirection.Out, Writes | CommandNeeds.Atomic, AtomicCommands.CompareAndWrite),
        Entry("8A F8 FF FF FF FF FF FF FF FF FF FF FF FF 00 04", TransferDirection.Out, Writes, ReadWriteCommands.Write),
        Entry("8B F8 FF FF FF FF FF FF FF FF FF FF FF FF 00 04", TransferDirection.Out, Writes | CommandNeeds.Atomic, AtomicCommands.OrWrite),
        Entry("8E F6 FF FF FF FF FF FF FF FF FF FF FF FF 00 04", TransferDirection.Out, Writes, VerifyCommands.WriteAndVerify),
        Entry("8F F6 FF FF FF FF FF FF FF FF FF FF FF FF 00 04", TransferDirection.Out, Reads | CommandNeeds.TakesLong, VerifyCommands.Verify),
        Entry("90 02 FF FF FF FF FF FF FF FF FF FF FF FF 00 04", TransferDirection.None, Reads | CommandNeeds.TakesLong, CacheCommands.PreFetch),
        Entry("91 02 FF FF FF FF FF FF FF FF FF FF FF FF 00 04", TransferDirection.None, CommandNeeds.Medium, CacheCommands.SynchronizeCache),
        Entry("93 FF FF FF FF FF FF FF FF FF FF FF FF FF 00 04", TransferDirection.Out, Writes | CommandNeeds.TakesLong, WriteSameCommands.WriteSame),
        Entry("9C F8 FF FF FF FF FF FF FF FF FF FF FF FF 00 04", TransferDirection.Out, Writes | CommandNeeds.Atomic | CommandNeeds.AtomicWrites, AtomicCommands.WriteAtomic),
        Entry("9E 10 FF FF FF FF FF FF FF FF FF FF FF FF 01 04", TransferDirection.In, CommandNeeds.None, CapacityCommands.ReadCapacity16, ServiceAction.ReadCapacity16),
        Entry("9E 12 FF FF FF FF FF FF FF FF FF FF FF FF 00 04", TransferDirection.In, CommandNeeds.Medium, CapacityCommands.GetLbaStatus, ServiceAction.GetLbaStatus),
        Entry("A3 05 00 00 00 00 FF FF FF FF FE 04", TransferDirection.In, CommandNeeds.Store, IdentifyingCommands.Report, ServiceAction.ReportIdentifyingInformation),
        Entry("A3 0C 87 FF FF FF FF FF FF FF 00 04", TransferDirection.In, Always, SupportedCommandsReport.Report, ServiceAction.ReportSupportedOperationCodes),
        Entry("A3 0F 00 00 00 00 FF FF FF FF 00 04", TransferDirection.In, CommandNeeds.Clock, TimestampCommands.Report, ServiceAction.ReportTimestamp),
        Entry("A4 06 00 00 00 00 FF FF FF FF FE 04", TransferDirection.Out, CommandNeeds.Store, IdentifyingCommands.Set, ServiceAction.SetIdentifyingInformation),
        Entry("A4 0F 00 00 00 00 FF FF FF FF 00 04", TransferDirection.Out, CommandNeeds.Clock, TimestampCommands.Set, ServiceAction.SetTimestamp),
        Entry("A8 F8 FF FF FF FF FF FF FF FF 00 04", TransferDirection.In, Reads, ReadWriteCommands.Read),
        Entry("AA F8 FF FF FF FF FF FF FF FF 00 04", TransferDirection.Out, Writes, ReadWriteCommands.Write),
        Entry("AE F6 FF FF FF FF FF FF FF FF 00 04", TransferDirection.Out, Writes, VerifyCommands.WriteAndVerify),
        Entry("AF F6 FF FF FF FF FF FF FF FF 00 04", TransferDirection.Out, Reads | CommandNeeds.TakesLong, VerifyCommands.Verify),
        Entry("B7 1F 00 00 00 00 FF FF FF FF 00 04", TransferDirection.In, CommandNeeds.None, DefectCommands.ReadDefectData12),
    ];

    /// <summary>By operation code: null for none, one entry, or several that differ by service action.</summary>
    static readonly CommandEntry[]?[] ByOpcode = Index();

    /// <summary>
    /// Finds the entry for a CDB. False with the refusal when the operation code is unknown (05/20/00), the service action is (05/24/00), or the CDB is
    /// too short for its operation code. What NACA asks for is the business of the task set.
    /// </summary>
    public static bool TryFind(ReadOnlySpan<byte> cdb, DeviceServer server, BlockDeviceInfo info, out CommandEntry entry, out SenseData refusal)
    {
        entry = null!;
        if (cdb.IsEmpty || ByOpcode[cdb[0]] is not { } candidates)
        {
            refusal = SenseData.InvalidOperationCode;
            return false;
        }

        int length = candidates[0].Command.Usage.Length;
        if (cdb.Length < length)
        {
            refusal = SenseData.InvalidFieldInCdb(0);
            return false;
        }

        if (!TryChoose(candidates, cdb[1], out entry))
        {
            refusal = SenseData.InvalidFieldInCdb(1);
            return false;
        }

        if (!entry.ExistsIn(server, info))
        {
            refusal = entry.Command.ServiceAction is null ? SenseData.InvalidOperationCode : SenseData.InvalidFieldInCdb(1);
            return false;
        }

        refusal = default;
        return true;
    }

    static bool TryChoose(CommandEntry[] candidates, byte cdbByte1, out CommandEntry entry)
    {
        entry = candidates[0];
        if (entry.Command.ServiceAction is null)
        {
            return true;
        }

        foreach (CommandEntry candidate in candidates)
        {
            if (candidate.Command.ServiceAction == (cdbByte1 & ServiceAction.Mask))
            {
                entry = candidate;
                return true;
            }
        }

        return false;
    }

    static CommandEntry Entry(string usage, TransferDirection direction, CommandNeeds needs, CommandHandler handler, byte? serviceAction = null) =>
        new(new SupportedCommand(Convert.FromHexString(usage.Replace(" ", "", StringComparison.Ordinal)), serviceAction), direction, needs, handler);

    static CommandEntry[]?[] Index()
    {
        var index = new CommandEntry[]?[256];
        foreach (CommandEntry entry in Entries)
        {
            index[entry.Command.Opcode] = [.. index[entry.Command.Opcode] ?? [], entry];
        }

        return index;
    }
}
