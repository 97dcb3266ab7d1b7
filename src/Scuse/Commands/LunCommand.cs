using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Scuse.Cli.Control;
using Scuse.Engine;
using Scuse.Engine.Management;

namespace Scuse.Cli.Commands;

/// <summary><c>scuse lun</c>: what operators can do to a logical unit.</summary>
static class LunCommand
{
    public static Command Create() => new("lun", "Do something to a logical unit of a running engine")
    {
        new BlockCommand(),
        new UnblockCommand(),
        new ResetCommand(),
        new ReplaceCommand(),
    };

    /// <summary>An operation on one logical unit, and what it came to.</summary>
    internal abstract class Operation : ControlCommand
    {
        readonly LunArgument _lun = new();

        protected Operation(string name, string description)
            : base(name, description)
        {
            Arguments.Add(_lun);
        }

        protected sealed override async Task AnswerAsync(ControlClient? engine, ParseResult parsed, bool asJson, CancellationToken cancellation)
        {
            string text = await PostAsync(engine!, _lun.ResourceOf(parsed)!, parsed, cancellation);
            if (asJson)
            {
                Console.Write(text);
            }
            else
            {
                OperationOutcome outcome = ControlClient.Parse(text, ControlJson.Default.OperationOutcome);
                Report.Line($"LUN {_lun.Of(parsed)}: {Say(outcome)}");
            }
        }

        protected abstract Task<string> PostAsync(ControlClient engine, string lun, ParseResult parsed, CancellationToken cancellation);

        /// <summary>What it came to, for people.</summary>
        protected abstract string Say(OperationOutcome outcome);
    }

    sealed class BlockCommand() : Operation("block", "Hold back the commands of a logical unit; what its handler has goes on")
    {
        protected override Task<string> PostAsync(ControlClient engine, string lun, ParseResult parsed, CancellationToken cancellation) =>
            engine.PostAsync($"{lun}/block", null, cancellation);

        protected override string Say(OperationOutcome outcome) => $"blocked; the handler still has {outcome.Lun.Outstanding} commands";
    }

    sealed class UnblockCommand() : Operation("unblock", "Let the commands of a logical unit through again")
    {
        protected override Task<string> PostAsync(ControlClient engine, string lun, ParseResult parsed, CancellationToken cancellation) =>
            engine.PostAsync($"{lun}/unblock", null, cancellation);

        protected override string Say(OperationOutcome outcome) => $"unblocked; {NameOf(outcome.Lun.State)}";
    }

    sealed class ResetCommand : Operation
    {
        readonly Option<bool> _busy = new("--busy") { Description = "End the commands with BUSY, so that initiators try again; the default" };
        readonly Option<bool> _fail = new("--fail") { Description = "End the commands with LOGICAL UNIT COMMUNICATION FAILURE" };

        public ResetCommand()
            : base("reset", "End every command that the handler of a logical unit was given, and the handler with them; block first")
        {
            Options.Add(_busy);
            Options.Add(_fail);
        }

        protected override Task<string> PostAsync(ControlClient engine, string lun, ParseResult parsed, CancellationToken cancellation)
        {
            bool fail = parsed.GetValue(_fail);
            return fail && parsed.GetValue(_busy)
                ? throw new FormatException("--busy and --fail exclude each other")
                : engine.PostAsync($"{lun}/reset?how={(fail ? "fail" : "busy")}", null, cancellation);
        }

        protected override string Say(OperationOutcome outcome) => $"ring reset; {outcome.EndedCommands} commands ended";
    }

    sealed class ReplaceCommand : ControlCommand
    {
        readonly LunArgument _lun = new();
        readonly Option<string?> _command = new("--command") { Description = "The program that takes over, as after exec:; the same as before when not given", HelpName = "COMMAND" };
        readonly Option<bool> _force = new("--force") { Description = "Also when what was written is lost with the old handler, as with memory:" };

        public ReplaceCommand()
            : base("replace", "Have a new process take a logical unit over from its handler, without a failed command")
        {
            Arguments.Add(_lun);
            Options.Add(_command);
            Options.Add(_force);
        }

        protected override async Task AnswerAsync(ControlClient? engine, ParseResult parsed, bool asJson, CancellationToken cancellation)
        {
            var request = new ReplaceRequest(parsed.GetValue(_command), parsed.GetValue(_force));
            using var content = new StringContent(JsonSerializer.Serialize(request, ControlJson.Default.ReplaceRequest), Encoding.UTF8, "application/json");
            string text = await engine!.PostAsync($"{_lun.ResourceOf(parsed)}/replace", content, cancellation);
            if (asJson)
            {
                Console.Write(text);
                return;
            }

            ReplacementResult result = ControlClient.Parse(text, ControlJson.Default.ReplacementResult);
            string luns = $"LUN {string.Join(", ", result.Luns.Select(lun => _lun.Of(parsed)!.Value with { Number = lun }))}";
            string before = result.OldPid is { } old ? $" after process {old}" : "";
            Report.Line(string.Create(CultureInfo.InvariantCulture, $"{luns}: process {result.NewPid} serves{before}; commands waited for {result.PauseMs:0.0} ms at most"));
        }
    }
}
