using System.CommandLine;

namespace Scuse.Cli;

/// <summary><c>scuse handler SPEC</c>: a built-in handler in this process.</summary>
static class HandlerCommand
{
    public static Command Create()
    {
        var spec = new Argument<string>("SPEC") { Description = $"What to serve: {BuiltInHandlers.Usage}" };
        var socket = new Option<string?>("--socket") { Description = "The engine's attach socket; $SCUSE_SOCKET when not given", HelpName = "PATH" };
        var device = new Option<string?>("--device") { Description = "The device to serve: NAME of the engine's attach:NAME; $SCUSE_DEVICE when not given", HelpName = "NAME" };
        var command = new Command("handler", "Run a built-in handler in this process; it attaches to a running engine") { spec, socket, device };
        command.SetAction(async (parsed, _) =>
        {
            List<string> arguments = [];
            if (parsed.GetValue(socket) is { } path)
            {
                arguments.AddRange(["--socket", path]);
            }

            if (parsed.GetValue(device) is { } name)
            {
                arguments.AddRange(["--device", name]);
            }

            using AllocationReport? report = Environment.GetEnvironmentVariable(AllocationReport.Variable) == "1" ? new AllocationReport("handler") : null;
            return await BuiltInHandlers.RunAsync(parsed.GetValue(spec)!, arguments);
        });
        return command;
    }
}
