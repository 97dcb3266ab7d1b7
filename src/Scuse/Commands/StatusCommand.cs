using System.CommandLine;
using Scuse.Cli.Control;
using Scuse.Engine.Management;

namespace Scuse.Cli.Commands;

/// <summary><c>scuse status</c>: a running engine as a whole.</summary>
sealed class StatusCommand() : ControlCommand("status", "Say how a running engine is")
{
    protected override Task AnswerAsync(ControlClient? engine, ParseResult parsed, bool asJson, CancellationToken cancellation) =>
        ShowAsync(engine!, "status", ControlJson.Default.EngineStatus, asJson, Show, cancellation);

    static void Show(EngineStatus status) => Report.Facts(
    [
        ("engine", $"scuse {status.Version}, process {status.Pid}, up {Report.Ago(status.Since)}, {Report.Size(status.MemoryBytes)} of memory"),
        .. status.Targets.Count == 0 ? [("targets", null)] : Array.Empty<(string, string?)>(),
        .. status.Targets.Select(target => ("target", (string?)(status.Targets.Count == 1 ? target.Name : $"{target.Name}: {target.Luns.Count} LUNs, {target.Sessions} sessions"))),
        (status.Portals.Count == 1 ? "portal" : "portals", string.Join(", ", status.Portals.Select(static portal => portal.Address))),
        .. status.Isns is { } isns ? [("iSNS", (string?)Isns(isns))] : Array.Empty<(string, string?)>(),
        ("attach socket", status.AttachSocket),
        ("control socket", status.ControlSocket),
        ("sessions", Report.Number(status.Sessions)),
        .. status.Moving.Select(static moving => (moving.Redirection is null ? "draining" : "moving", (string?)$"{moving.Target}: {MovingText.Of(moving)}")),
        ("LUNs", string.Join(", ", status.Luns.OrderBy(static state => state.Key).Select(static state => $"{state.Value} {NameOf(state.Key)}"))),
        ("commands", $"{status.Outstanding} with handlers, {status.Waiting} waiting"),
        ("data areas", $"{Report.Size(status.DataAreaBytesInUse)} in use, {Report.Size(status.DataAreaBytesHeld)} held, at most {Report.Size(status.DataAreaBytesLimit)}"),
    ]);

    static string Isns(IsnsStatus isns)
    {
        string problem = isns.Problem is { } text ? $"; {text}" : "";
        return isns.IsRegistered
            ? $"registered with {isns.Server}, for {isns.PeriodSeconds} s at a time, as {string.Join(", ", isns.Portals)}{problem}"
            : $"not registered with {isns.Server}{problem}";
    }
}
