using System.CommandLine;
using Scuse.Cli.Control;
using Scuse.Engine.Management;

namespace Scuse.Cli.Commands;

/// <summary><c>scuse sessions</c>: the initiators that are logged in.</summary>
sealed class SessionsCommand() : ControlCommand("sessions", "List the initiators that are logged in to a running engine")
{
    protected override Task AnswerAsync(ControlClient? engine, ParseResult parsed, bool asJson, CancellationToken cancellation) => TargetColumn.ShowAsync(
        engine!,
        "sessions",
        ControlJson.Default.IReadOnlyListSessionStatus,
        asJson,
        [">TSIH", "INITIATOR", "ISID", "ADDRESS", "SINCE", ">CONNECTIONS", ">BUSY", ">COMMANDS", ">READ", ">WRITTEN", "TYPE", "AUTH", "USER"],
        static session => session.Target,
        Row,
        cancellation);

    static string?[] Row(SessionStatus session) =>
    [
        Report.Number(session.Tsih),
        session.Initiator,
        session.Isid,
        session.Address,
        Report.Time(session.Since),
        Report.Number(session.Connections.Count),
        Report.Number(session.Outstanding),
        Report.Number(session.Commands),
        Report.Size(session.ReadBytes),
        Report.Size(session.WrittenBytes),
        session.IsDiscovery ? "discovery" : "normal",
        session.AuthMethod,
        session.User ?? "",
    ];
}
