using System.CommandLine;
using Scuse.Cli.Control;
using Scuse.Engine.Management;

namespace Scuse.Cli.Commands;

/// <summary><c>scuse ls</c>: the logical units of a running engine.</summary>
sealed class LsCommand : ControlCommand
{
    static readonly Column[] s_columns = [">LUN", "STATE", "HANDLER", ">PID", ">SIZE", ">BLOCK", "LEVEL", ">BUSY", ">WAIT", ">HELD", ">KEPT", ">DATA", ">RESTARTS", "SPEC"];

    readonly Argument<string?> _which = new("WHICH") { Description = "A target, by its name or what stands behind its last colon, or a logical unit, as LUN or TARGET/LUN; without it all there are", Arity = ArgumentArity.ZeroOrOne };

    public LsCommand()
        : base("ls", "List the logical units of a running engine")
    {
        Arguments.Add(_which);
    }

    protected override async Task AnswerAsync(ControlClient? engine, ParseResult parsed, bool asJson, CancellationToken cancellation)
    {
        string? which = parsed.GetValue(_which);
        if (which is not null && (which.Contains('/', StringComparison.Ordinal) || which.All(char.IsAsciiDigit)))
        {
            await ShowAsync(engine!, LunArgument.ResourceOf(LunReference.Parse(which)), ControlJson.Default.LunStatus, asJson, static lun => Report.Table(s_columns, [Row(lun)]), cancellation);
            return;
        }

        string resource = which is null ? "luns" : $"{LunArgument.TargetResource(which)}/luns";
        await TargetColumn.ShowAsync(engine!, resource, ControlJson.Default.IReadOnlyListLunStatus, asJson, s_columns, static lun => lun.Target, Row, cancellation);
    }

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
