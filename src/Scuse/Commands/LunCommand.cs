using System.CommandLine;
using Scuse.Cli.Control;
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
    };

    /// <summary>An operation on one logical unit, and what it came to.</summary>
    internal abstract class Operation : ControlCommand
    {
        readonly Argument<int> _lun = new("LUN") { Description = "The logical unit number" };

        protected Operation(string name, string description)
            : base(name, description)
        {
            Arguments.Add(_lun);
        }

        protected sealed override async Task AnswerAsync(ControlClient? engine, ParseResult parsed, bool asJson, CancellationToken cancellation)
        {
            string text = await PostAsync(engine!, $"luns/{parsed.GetValue(_lun)}", parsed, cancellation);
            if (asJson)
            {
                Console.Write(text);
            }
            else
            {
                OperationOutcome outcome = ControlClient.Parse(text, ControlJson.Default.OperationOutcome);
                Report.Line($"LUN {outcome.Lun.Number}: {Say(outcome)}");
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
}
