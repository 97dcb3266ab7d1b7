using System.CommandLine;
using System.Net.Http.Json;
using Scuse.Cli.Control;
using Scuse.Cli.Serving;

namespace Scuse.Cli.Commands;

/// <summary><c>scuse target redirect</c>: has initiators log in somewhere else.</summary>
sealed class RedirectCommand : ControlCommand
{
    readonly Argument<string?> _address = new("ADDRESS") { Description = $"{RedirectionSpec.Usage}; port 3260 when none is given", Arity = ArgumentArity.ZeroOrOne };
    readonly Option<bool> _permanent = new("--permanent") { Description = "Initiators may forget this engine's address; discovery tells them the new one" };
    readonly Option<bool> _off = new("--off") { Description = "Take new sessions here again" };
    readonly Option<string?> _target = new("--target") { Description = "The target; all there are when not given", HelpName = "IQN" };

    public RedirectCommand()
        : base("redirect", "Send new sessions to another address; those that are here stay until scuse drain moves them")
    {
        Arguments.Add(_address);
        Options.Add(_permanent);
        Options.Add(_off);
        Options.Add(_target);
    }

    protected override async Task AnswerAsync(ControlClient? engine, ParseResult parsed, bool asJson, CancellationToken cancellation)
    {
        string? address = parsed.GetValue(_address);
        bool off = parsed.GetValue(_off), permanent = parsed.GetValue(_permanent);
        if (off == address is not null || (off && permanent))
        {
            throw new FormatException($"say either where to, as {RedirectionSpec.Usage}, or --off");
        }

        string? target = parsed.GetValue(_target);
        if (off)
        {
            MovingText.Say(await engine!.DeleteAsync($"redirect?target={Uri.EscapeDataString(target ?? "")}", cancellation), asJson);
            return;
        }

        _ = RedirectionSpec.Parse(address!, permanent); // a mistake is the command line's, not the engine's
        using var content = JsonContent.Create(new RedirectRequest(address!, permanent, target), ControlJson.Default.RedirectRequest);
        MovingText.Say(await engine!.PostAsync("redirect", content, cancellation), asJson);
    }
}
