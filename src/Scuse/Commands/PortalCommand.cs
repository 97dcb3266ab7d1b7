using System.CommandLine;
using System.Text;
using System.Text.Json;
using Scuse.Cli.Control;
using Scuse.Cli.Serving;
using Scuse.Engine.Management;

namespace Scuse.Cli.Commands;

/// <summary><c>scuse portal</c>: where initiators connect to a running engine.</summary>
static class PortalCommand
{
    public static Command Create() => new("portal", "Say, or change, where initiators connect to a running engine")
    {
        new ListCommand(),
        new AddCommand(),
        new RemoveCommand(),
    };

    sealed class ListCommand() : ControlCommand("ls", "List the portals")
    {
        protected override Task AnswerAsync(ControlClient? engine, ParseResult parsed, bool asJson, CancellationToken cancellation) =>
            ShowAsync(engine!, "portals", ControlJson.Default.IReadOnlyListPortalStatus, asJson, Show, cancellation);

        static void Show(IReadOnlyList<PortalStatus> portals) => Report.Table(
            ["ADDRESS", "ADVERTISED", "TLS", ">CONNECTIONS"],
            portals.Select(static portal => (IReadOnlyList<string?>)[portal.Address, portal.Advertised, portal.Tls ? "yes" : "no", Report.Number(portal.Connections)]));
    }

    sealed class AddCommand : ControlCommand
    {
        readonly Argument<string> _portal = new("PORTAL") { Description = $"{PortalSpec.Usage}; port 0 picks a free one" };

        public AddCommand()
            : base("add", "Have initiators connect at one more address, until the engine ends")
        {
            Arguments.Add(_portal);
        }

        protected override async Task AnswerAsync(ControlClient? engine, ParseResult parsed, bool asJson, CancellationToken cancellation)
        {
            string spec = parsed.GetValue(_portal)!;
            spec = PortalSpec.Format(PortalSpec.Parse(spec)); // a mistake is the command line's, not the engine's, and files are found from here
            using var content = new StringContent(JsonSerializer.Serialize(new PortalRequest(spec), ControlJson.Default.PortalRequest), Encoding.UTF8, "application/json");
            string text = await engine!.PostAsync("portals", content, cancellation);
            Say(text, asJson, static portal => $"portal {portal.Address} was added");
        }
    }

    sealed class RemoveCommand : ControlCommand
    {
        readonly Argument<string> _portal = new("ADDRESS:PORT") { Description = "As scuse portal ls shows it" };
        readonly Option<bool> _close = new("--close") { Description = "Close the connections that came by it; otherwise they go on" };

        public RemoveCommand()
            : base("remove", "Have initiators connect there no more")
        {
            Arguments.Add(_portal);
            Options.Add(_close);
        }

        protected override async Task AnswerAsync(ControlClient? engine, ParseResult parsed, bool asJson, CancellationToken cancellation)
        {
            bool close = parsed.GetValue(_close);
            string address = PortalSpec.ParseAddress(parsed.GetValue(_portal)!).ToString();
            string text = await engine!.DeleteAsync($"portals/{Uri.EscapeDataString(address)}?close={(close ? "true" : "false")}", cancellation);
            Say(text, asJson, portal => $"portal {portal.Address} was removed; {portal.Connections} connections {(close ? "were closed" : "go on")}");
        }
    }

    static void Say(string text, bool asJson, Func<PortalStatus, string> line)
    {
        if (asJson)
        {
            Console.Write(text);
        }
        else
        {
            Report.Line(line(ControlClient.Parse(text, ControlJson.Default.PortalStatus)));
        }
    }
}
