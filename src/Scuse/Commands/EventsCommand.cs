using System.CommandLine;
using Scuse.Cli.Control;
using Scuse.Engine.Management;

namespace Scuse.Cli.Commands;

/// <summary><c>scuse events [LUN]</c>: what happened to the logical units lately.</summary>
sealed class EventsCommand : ControlCommand
{
    readonly LunArgument _lun = new("One logical unit, as LUN or TARGET/LUN; without it all of them", isOptional: true);

    public EventsCommand()
        : base("events", "Tell what happened to the logical units of a running engine lately")
    {
        Arguments.Add(_lun);
    }

    protected override Task AnswerAsync(ControlClient? engine, ParseResult parsed, bool asJson, CancellationToken cancellation) => TargetColumn.ShowAsync(
        engine!,
        _lun.ResourceOf(parsed) is { } lun ? $"{lun}/events" : "events",
        ControlJson.Default.IReadOnlyListLunEventStatus,
        asJson,
        ["TIME", ">LUN", "EVENT", "WHAT"],
        static happened => happened.Target,
        static happened => [Report.Time(happened.At), Report.Number(happened.Lun), NameOf(happened.Kind), happened.Text],
        cancellation);
}
