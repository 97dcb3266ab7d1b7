using System.CommandLine;
using System.Net.Http.Json;
using Scuse.Cli.Control;
using Scuse.Cli.Serving;

namespace Scuse.Cli.Commands;

/// <summary><c>scuse drain</c>: moves initiators away from a running engine.</summary>
sealed class DrainCommand : ControlCommand
{
    readonly Option<int> _seconds = new("--seconds") { Description = "How long they may take to log out before they are dropped, 0 to 65535", HelpName = "N", DefaultValueFactory = _ => DrainRequest.DefaultSeconds };
    readonly Option<bool> _off = new("--off") { Description = "Take new sessions again; who is still here may stay" };
    readonly Option<string?> _target = new("--target") { Description = "The target; all there are when not given", HelpName = "IQN" };

    public DrainCommand()
        : base("drain", "Take no new sessions, ask those that are here to log out, and drop them when their time is over")
    {
        Options.Add(_seconds);
        Options.Add(_off);
        Options.Add(_target);
    }

    protected override async Task AnswerAsync(ControlClient? engine, ParseResult parsed, bool asJson, CancellationToken cancellation)
    {
        string? target = parsed.GetValue(_target);
        if (parsed.GetValue(_off))
        {
            MovingText.Say(await engine!.DeleteAsync($"drain?target={Uri.EscapeDataString(target ?? "")}", cancellation), asJson);
            return;
        }

        var request = new DrainRequest(RedirectionSpec.CheckSeconds(parsed.GetValue(_seconds)), target);
        using var content = JsonContent.Create(request, ControlJson.Default.DrainRequest);
        MovingText.Say(await engine!.PostAsync("drain", content, cancellation), asJson);
    }
}
