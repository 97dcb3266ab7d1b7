using System.CommandLine;
using System.Net.Http.Json;
using Scuse.Cli.Configuration;
using Scuse.Cli.Control;
using Scuse.Cli.Serving;
using Scuse.Engine.Management;

namespace Scuse.Cli.Commands;

/// <summary><c>scuse target</c>: the targets of a running engine.</summary>
static class TargetCommand
{
    public static Command Create() => new("target", "Say, or change, which targets a running engine has")
    {
        new ListCommand(),
        new AddCommand(),
        new RemoveCommand(),
        new RedirectCommand(),
    };

    sealed class ListCommand() : ControlCommand("ls", "List the targets")
    {
        protected override Task AnswerAsync(ControlClient? engine, ParseResult parsed, bool asJson, CancellationToken cancellation) =>
            ShowAsync(engine!, "targets", ControlJson.Default.IReadOnlyListTargetStatus, asJson, Show, cancellation);

        static void Show(IReadOnlyList<TargetStatus> targets) => Report.Table(
            ["TARGET", ">LUNS", ">SESSIONS", "ACCESS", "STATE"],
            targets.Select(static target => (IReadOnlyList<string?>)
            [
                target.Name, Report.Number(target.Luns.Count), Report.Number(target.Sessions), target.IsRestricted ? "restricted" : "anybody", StateOf(target),
            ]));

        static string StateOf(TargetStatus target)
        {
            string moving = target.Redirection is { } to ? $"moving to {to.Address}" : "";
            string draining = target.IsDraining ? $"draining, {target.DrainSecondsLeft} s left" : "";
            return (moving.Length, draining.Length) switch
            {
                (0, 0) => "serving",
                (0, _) => draining,
                (_, 0) => moving,
                _ => $"{moving}, {draining}",
            };
        }
    }

    sealed class AddCommand : ControlCommand
    {
        readonly Argument<string> _name = new("NAME") { Description = "The target's iSCSI name" };
        readonly Argument<string[]> _specs = new("SPEC") { Description = "One logical unit each, LUN 0 first, as scuse serve takes them", Arity = ArgumentArity.OneOrMore };
        readonly Option<string[]> _initiator = new("--initiator") { Description = "Lets only these initiators log in, instead of those that the engine was told for all; can be given several times", HelpName = "PATTERN" };
        readonly Option<string?> _chapFile = new("--chap-file") { Description = "A file with users and secrets of its own; the engine reads it", HelpName = "FILE" };
        readonly Option<string[]> _lunMap = new("--lun-map") { Description = "What some initiators see; can be given several times", HelpName = LunMapSpec.Usage };

        public AddCommand()
            : base("add", "Bring a target up, until the engine ends or reads its file again; initiators find it when all its handlers serve")
        {
            Arguments.Add(_name);
            Arguments.Add(_specs);
            Options.Add(_initiator);
            Options.Add(_chapFile);
            Options.Add(_lunMap);
        }

        protected override async Task AnswerAsync(ControlClient? engine, ParseResult parsed, bool asJson, CancellationToken cancellation)
        {
            TargetSettings settings = Read(parsed);
            using var content = JsonContent.Create(settings, SettingsJson.Default.TargetSettings);
            string text = await engine!.PostAsync("targets", content, cancellation);
            if (asJson)
            {
                Console.Write(text);
                return;
            }

            TargetStatus target = ControlClient.Parse(text, ControlJson.Default.TargetStatus);
            Report.Line($"target {target.Name} was added, with {target.Luns.Count} {(target.Luns.Count == 1 ? "LUN" : "LUNs")}");
        }

        /// <summary>The target; a mistake is the command line's, not the engine's, and files are found from here.</summary>
        TargetSettings Read(ParseResult parsed)
        {
            var specs = new LunSpecs(new EngineSpecOptions());
            string[] full = [.. parsed.GetValue(_specs)!.Select(static spec => LunSpecs.WithFullPath(spec, Environment.CurrentDirectory))];
            Array.ForEach(full, spec => specs.Add(spec));
            string[] maps = parsed.GetValue(_lunMap) ?? [], initiators = parsed.GetValue(_initiator) ?? [];
            Array.ForEach(maps, static map => LunMapSpec.Parse(map));
            return new TargetSettings
            {
                Name = TargetNames.Check(parsed.GetValue(_name)!),
                Luns = [.. full.Select(static spec => new LunSettings { Spec = spec })],
                Initiators = initiators.Length > 0 ? initiators : null,
                ChapFile = parsed.GetValue(_chapFile) is { } file ? Path.GetFullPath(file) : null,
                LunMaps = maps.Length > 0 ? maps : null,
            };
        }
    }

    sealed class RemoveCommand : ControlCommand
    {
        readonly Argument<string> _target = new("TARGET") { Description = "Its name, or what stands behind its last colon where no other has the same" };
        readonly Option<bool> _force = new("--force") { Description = "Also when initiators are logged in: their sessions are dropped, and what they have under way ends" };

        public RemoveCommand()
            : base("remove", "Take a target away, and end its handlers; what it has kept in files stays")
        {
            Arguments.Add(_target);
            Options.Add(_force);
        }

        protected override async Task AnswerAsync(ControlClient? engine, ParseResult parsed, bool asJson, CancellationToken cancellation)
        {
            string text = await engine!.DeleteAsync($"{LunArgument.TargetResource(parsed.GetValue(_target)!)}?force={(parsed.GetValue(_force) ? "true" : "false")}", cancellation);
            if (asJson)
            {
                Console.Write(text);
                return;
            }

            RemovedTarget removed = ControlClient.Parse(text, ControlJson.Default.RemovedTarget);
            string sessions = removed.DroppedSessions switch { 0 => "nobody was logged in", 1 => "1 session was dropped", var count => $"{count} sessions were dropped" };
            Report.Line($"target {removed.Name} was removed; {sessions}");
        }
    }
}
