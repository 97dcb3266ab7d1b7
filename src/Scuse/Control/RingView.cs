using System.Globalization;
using System.Text.Json;
using Scuse.Engine.Management;
using Scuse.Ring.Diagnostics;

namespace Scuse.Cli.Control;

/// <summary>A ring as people like to see it.</summary>
static class RingView
{
    const int ExtentsShown = 4;

    public static void Show(RingStatus status)
    {
        string handler = status.Handler is { } there ? $"handler {there.Name} (pid {there.Pid})" : "no handler";
        string which = status.Rings > 1 ? $", ring {status.Number} of {status.Rings}" : "";
        Report.Line($"LUN {status.Lun}{which}, {Name(status.State)}, {handler}, {Report.Time(status.At)}");
        if (status.DataArea is { } area)
        {
            Report.Line(
                $"data area: {area.BlocksInUse} blocks of {area.BlockBytes} bytes in use ({Report.Size(area.BytesInUse)}), high water {area.HighWaterBlocks} ({Report.Size((long)area.HighWaterBlocks * area.BlockBytes)}), at most {Report.Size(area.LimitBytes)}");
        }

        if (status.Ring is { } ring)
        {
            Show(ring);
        }

        Report.Line();
        Report.Line($"{status.Commands.Count} commands by the engine's own record");
        if (status.Commands.Count > 0)
        {
            Report.Table(
                [">ID", "STATE", "COMMAND", ">AGE", ">WITH HANDLER", ">TIME LEFT", "POSTED", ">OUT", ">IN", "TAG", "INITIATOR"],
                status.Commands.Select(static command => (IReadOnlyList<string?>)
                [
                    command.Id > 0 ? Report.Number(command.Id) : null,
                    Name(command.State),
                    command.Command,
                    Report.Seconds(command.AgeMs),
                    Report.Seconds(command.WithHandlerMs),
                    Report.Seconds(command.TimeLeftMs),
                    command.WasPosted ? "yes" : "no",
                    Report.Number(command.DataOutBytes),
                    Report.Number(command.DataInBytes),
                    command.Tag is { } tag ? tag.ToString("x8", CultureInfo.InvariantCulture) : null,
                    command.Initiator,
                ]));
        }
    }

    public static void Show(RingDump dump)
    {
        if (dump.Mailbox is { } mailbox)
        {
            Report.Line(
                $"mailbox: version {mailbox.Version}, flags {(mailbox.FlagNames.Count == 0 ? "none" : string.Join(' ', mailbox.FlagNames))}, ring of {mailbox.CommandRingBytes} bytes at {mailbox.CommandRingOffset}, region of {dump.RegionBytes}");
            Report.Line($"head {mailbox.Head}, tail {mailbox.Tail}, target {Waiting(mailbox.TargetWaiting)}, handler {Waiting(mailbox.HandlerWaiting)}");
        }

        if (dump.Answered.Count > 0)
        {
            Report.Line();
            Report.Line(dump.IsReapedKnown ? $"{dump.Answered.Count} slots answered and not reaped" : $"the last {dump.Answered.Count} answers before the tail");
            Report.Table(
                [">OFFSET", ">LENGTH", "ENTRY", ">ID", "STATUS", "FLAGS", ">READ_LEN", "SENSE", "WRONG"],
                dump.Answered.Select(static entry => (IReadOnlyList<string?>)
                [
                    Report.Number(entry.Offset),
                    Report.Number(entry.Length),
                    Entry(entry),
                    Id(entry),
                    entry.Answer is { } answer ? $"{answer.Status:X2}h {StatusName(answer.Status)}" : null,
                    string.Join(' ', entry.ResponseFlagNames),
                    entry.Answer is { } data ? Report.Number(data.ReadLength) : null,
                    Hex(entry.Answer?.Sense),
                    entry.Problem,
                ]));
        }

        Report.Line();
        Report.Line($"{dump.Entries.Count} entries from tail to head");
        if (dump.Entries.Count > 0)
        {
            Report.Table(
                [">OFFSET", ">LENGTH", "ENTRY", ">ID", "FLAGS", "COMMAND", "CDB", "DATA", "WRONG"],
                dump.Entries.Select(static entry => (IReadOnlyList<string?>)
                [
                    Report.Number(entry.Offset),
                    Report.Number(entry.Length),
                    Entry(entry),
                    Id(entry),
                    string.Join(' ', entry.ResponseFlagNames),
                    Asked(entry),
                    Hex(entry.Request?.Cdb),
                    entry.Request is { } request ? Data(request) : null,
                    entry.Problem,
                ]));
        }

        foreach (string problem in dump.Problems)
        {
            Report.Line($"wrong: {problem}");
        }
    }

    static string Waiting(uint word) => word switch { 0 => "awake", 1 => "waiting", _ => $"waiting ({word})" };

    static string Entry(RingEntryDump entry) => entry.Kind switch
    {
        RingEntryKind.Pad => "PAD",
        RingEntryKind.Command => "CMD",
        RingEntryKind.TaskManagement => "TMR",
        _ => $"op {entry.Operation}",
    };

    static string? Id(RingEntryDump entry) => entry.Kind == RingEntryKind.Command || entry.Id != 0 ? Report.Number(entry.Id) : null;

    static string? Asked(RingEntryDump entry) => entry switch
    {
        { Notice: { } notice } => $"{notice.Name} of {(notice.Ids.Count == 0 ? $"{notice.Count} ids" : string.Join(' ', notice.Ids))}",
        { IsBeingAnswered: true } => "being answered",
        _ => entry.Request?.Command,
    };

    static string Data(RingRequestDump request) =>
        request.BidiDataIn.Count == 0 ? Extents(request.Data) : $"out {Extents(request.Data)}, in {Extents(request.BidiDataIn)}";

    static string Extents(IReadOnlyList<RingExtentDump> extents)
    {
        string shown = string.Join(", ", extents.Take(ExtentsShown).Select(static extent =>
            $"{extent.Length} at {extent.Offset} ({(extent.FirstBlock < 0 ? "outside" : extent.FirstBlock == extent.LastBlock ? $"block {extent.FirstBlock}" : $"blocks {extent.FirstBlock}-{extent.LastBlock}")})"));
        return extents.Count > ExtentsShown ? $"{shown}, and {extents.Count - ExtentsShown} more" : shown;
    }

    static string? Hex(byte[]? bytes) => bytes is null ? null : Convert.ToHexStringLower(bytes);

    static string StatusName(byte status) => Enum.IsDefined((Scsi.ScsiStatus)status) ? ((Scsi.ScsiStatus)status).ToString() : "unknown";

    static string Name<T>(T value)
        where T : struct, Enum => JsonNamingPolicy.CamelCase.ConvertName(value.ToString());
}
