using System.CommandLine;
using Scuse.Cli.Control;
using Scuse.Engine.Management;

namespace Scuse.Cli.Commands;

/// <summary><c>scuse ls</c>: the logical units of a running engine.</summary>
sealed class LsCommand() : ControlCommand("ls", "List the logical units of a running engine")
{
    protected override Task AnswerAsync(ControlClient? engine, ParseResult parsed, bool asJson, CancellationToken cancellation) =>
        ShowAsync(engine!, "luns", ControlJson.Default.IReadOnlyListLunStatus, asJson, Show, cancellation);

    static void Show(IReadOnlyList<LunStatus> luns) => Report.Table(
        [">LUN", "STATE", "HANDLER", ">PID", ">SIZE", ">BLOCK", "LEVEL", ">BUSY", ">WAIT", ">HELD", ">KEPT", ">DATA", ">RESTARTS", "SPEC"],
        luns.Select(Row));

    static string?[] Row(LunStatus lun) =>
    [
        Report.Number(lun.Number),
        NameOf(lun.State),
        lun.Handler?.Name,
        lun.Handler is { } handler ? Report.Number(handler.Pid) : null,
        lun.SizeBytes > 0 ? Report.Size(lun.SizeBytes) : null,
        lun.BlockSize > 0 ? Report.Number(lun.BlockSize) : null,
        lun.Level is { } level ? NameOf(level) : null,
        Report.Number(lun.Outstanding),
        Report.Number(lun.WaitingForRoom),
        Report.Number(lun.Held),
        Report.Number(lun.Kept),
        Report.Size(lun.DataArea.BytesInUse),
        Report.Number(lun.Restarts),
        lun.Spec,
    ];
}
