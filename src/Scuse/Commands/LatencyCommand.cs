using System.CommandLine;
using System.Globalization;
using Scuse.Cli.Control;
using Scuse.Engine.Management;

namespace Scuse.Cli.Commands;

/// <summary><c>scuse latency [LUN]</c>: what commands have spent their time with.</summary>
sealed class LatencyCommand : ControlCommand
{
    readonly LunArgument _lun = new("One logical unit, as LUN or TARGET/LUN; without it all of them", isOptional: true);

    public LatencyCommand()
        : base("latency", "Tell how long commands have spent in each stage: waiting, on the network, in the ring, with the handler")
    {
        Arguments.Add(_lun);
    }

    protected override Task AnswerAsync(ControlClient? engine, ParseResult parsed, bool asJson, CancellationToken cancellation) => TargetColumn.ShowAsync(
        engine!,
        _lun.ResourceOf(parsed) is { } lun ? $"{lun}/latency" : "latency",
        ControlJson.Default.IReadOnlyListStageLatency,
        asJson,
        [">LUN", "STAGE", ">COMMANDS", ">MEAN", ">P50", ">P99", ">P99.9", ">MAX"],
        static stage => stage.Target,
        static stage =>
        [
            Report.Number(stage.Lun), NameOf(stage.Stage), Report.Number(stage.Commands), Time(stage.MeanUs), Time(stage.P50Us), Time(stage.P99Us), Time(stage.P999Us), Time(stage.MaxUs),
        ],
        cancellation);

    static string Time(double us) => us switch
    {
        < 1000 => string.Create(CultureInfo.InvariantCulture, $"{us:0.#} us"),
        < 1_000_000 => string.Create(CultureInfo.InvariantCulture, $"{us / 1000:0.##} ms"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{us / 1_000_000:0.##} s"),
    };
}
