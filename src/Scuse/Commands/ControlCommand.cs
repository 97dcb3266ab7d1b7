using System.CommandLine;
using System.Text.Json;
using Scuse.Cli.Control;
using Scuse.Engine;

namespace Scuse.Cli.Commands;

/// <summary>What all commands that ask a running engine have in common: which engine, for whom the answer is, and what becomes of errors.</summary>
abstract class ControlCommand : Command
{
    readonly Option<string?> _control = new("--control") { Description = "The engine's control socket; needed when more than one engine runs, or its sockets are elsewhere", HelpName = "PATH" };
    readonly Option<bool> _json = new("--json") { Description = "For programs: JSON, as the control interface says it" };

    protected ControlCommand(string name, string description)
        : base(name, description)
    {
        Options.Add(_control);
        Options.Add(_json);
        SetAction(RunAsync);
    }

    /// <summary>Whether an engine is asked at all.</summary>
    protected virtual bool NeedsEngine(ParseResult parsed) => true;

    /// <summary>Asks, and writes the answer to standard output.</summary>
    /// <param name="engine">The engine; null unless <see cref="NeedsEngine"/>.</param>
    /// <param name="parsed">The command line.</param>
    /// <param name="asJson">Whether the answer is for a program.</param>
    /// <param name="cancellation">Ends the wait for an answer.</param>
    protected abstract Task AnswerAsync(ControlClient? engine, ParseResult parsed, bool asJson, CancellationToken cancellation);

    /// <summary>Gets a resource, and shows it as it is or as people like it.</summary>
    protected static async Task ShowAsync<T>(
        ControlClient engine, string resource, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type, bool asJson, Action<T> show, CancellationToken cancellation)
    {
        string text = await engine.GetTextAsync(resource, cancellation);
        if (asJson)
        {
            Console.Write(text);
        }
        else
        {
            show(ControlClient.Parse(text, type));
        }
    }

    /// <summary>An enumeration's value as JSON has it.</summary>
    protected static string NameOf<T>(T value)
        where T : struct, Enum => JsonNamingPolicy.CamelCase.ConvertName(value.ToString());

    async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellation)
    {
        try
        {
            using ControlClient? engine = NeedsEngine(parsed) ? ControlClient.For(parsed.GetValue(_control)) : null;
            await AnswerAsync(engine, parsed, parsed.GetValue(_json), cancellation);
            return ExitCodes.Success;
        }
        catch (FormatException exception)
        {
            await Console.Error.WriteLineAsync($"scuse: {exception.Message}");
            return ExitCodes.Usage;
        }
        catch (Exception exception) when (exception is EngineException or IOException or UnauthorizedAccessException or JsonException)
        {
            await Console.Error.WriteLineAsync($"scuse: {exception.Message}");
            return ExitCodes.Failure;
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            return ExitCodes.Failure;
        }
    }
}
