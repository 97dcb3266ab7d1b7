using System.CommandLine;
using Scuse.Cli.Control;
using Scuse.Engine;
using Scuse.Engine.Management;

namespace Scuse.Cli.Commands;

/// <summary><c>scuse reload</c>: has an engine read its configuration file again.</summary>
sealed class ReloadCommand : ControlCommand
{
    readonly Option<bool> _force = new("--force") { Description = "Also when initiators are logged in to a target that is no longer in the file: their sessions are dropped" };

    public ReloadCommand()
        : base("reload", "Have a running engine read its --config file again: targets come and go, and others may log in. Nothing is done when the file is wrong")
    {
        Options.Add(_force);
    }

    protected override async Task AnswerAsync(ControlClient? engine, ParseResult parsed, bool asJson, CancellationToken cancellation)
    {
        string text = await engine!.PostAsync($"reload?force={(parsed.GetValue(_force) ? "true" : "false")}", null, cancellation);
        Reconfiguration done = ControlClient.Parse(text, ControlJson.Default.Reconfiguration);
        if (asJson)
        {
            Console.Write(text);
        }
        else
        {
            Say(done);
        }

        if (done.Failed.Count > 0)
        {
            throw new EngineException(string.Join("; ", done.Failed.Select(static failed => $"target {failed.Target} could not be added: {failed.Reason}")));
        }
    }

    static void Say(Reconfiguration done)
    {
        string[] lines =
        [
            .. done.Removed.Select(static target => $"target {target} was removed"),
            .. done.Added.Select(static target => $"target {target} was added"),
            .. done.Changed.Select(static target => $"target {target}: who may log in, or what they see, was changed"),
            .. done.IsDiscoveryChanged ? ["who may ask which targets there are was changed"] : Array.Empty<string>(),
            .. done.NeedsRestart.Select(static what => $"not changed while the engine runs: {what}"),
        ];
        foreach (string line in lines.Length > 0 || done.Failed.Count > 0 ? lines : ["nothing has changed"])
        {
            Report.Line(line);
        }
    }
}
