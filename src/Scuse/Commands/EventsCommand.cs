using System.CommandLine;
using Scuse.Cli.Control;
using Scuse.Engine.Management;

namespace Scuse.Cli.Commands;

/// <summary><c>scuse events [LUN]</c>: what happened to the logical units lately.</summary>
sealed class EventsCommand : ControlCommand
{
    readonly Argument<int?> _lun = new("LUN") { Description = "One logical unit; without it all of them", Arity = ArgumentArity.ZeroOrOne };

    public EventsCommand()
        : base("events", "Tell what happened to the logical units of a running engine lately")
    {
        Arguments.Add(_lun);
    }

    protected override Task AnswerAsync(ControlClient? engine, ParseResult parsed, bool asJson, CancellationToken cancellation) =>
        ShowAsync(engine!, parsed.GetValue(_lun) is { } lun ? $"luns/{lun}/events" : "events", ControlJson.Default.IReadOnlyListLunEventStatus, asJson, Show, cancellation);

    static void Show(IReadOnlyList<LunEventStatus> events) => Report.Table(
        ["TIME", ">LUN", "EVENT", "WHAT"],
        events.Select(static happened => (IReadOnlyList<string?>)[Report.Time(happened.At), Report.Number(happened.Lun), NameOf(happened.Kind), happened.Text]));
}
