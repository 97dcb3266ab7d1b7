using System.CommandLine;

namespace Scuse.Cli;

/// <summary><c>scuse handler SPEC</c>: a built-in handler in this process.</summary>
static class HandlerCommand
{
    public static Command Create()
    {
        var spec = new Argument<string>("SPEC")
        {
            Description = $"What to serve: {BuiltInHandlers.Usage}. With nothing after the colon each device is what the engine's own spec says",
        };
        var socket = new Option<string?>("--socket") { Description = "The engine's attach socket; $SCUSE_SOCKET when not given", HelpName = "PATH" };
        var device = new Option<string[]>("--device")
        {
            Description = "The device to serve: NAME of the engine's attach:NAME; may be repeated, or be several names with commas; $SCUSE_DEVICE when not given",
            HelpName = "NAME",
        };
        var replace = new Option<bool>("--replace") { Description = "Take the devices over from the handler that serves them, without a failed command" };
        var command = new Command("handler", "Run a built-in handler in this process; it attaches to a running engine") { spec, socket, device, replace };
        command.SetAction(async (parsed, _) =>
        {
            List<string> arguments = [];
            if (parsed.GetValue(socket) is { } path)
            {
                arguments.AddRange(["--socket", path]);
            }

            foreach (string name in parsed.GetValue(device) ?? [])
            {
                arguments.AddRange(["--device", name]);
            }

            if (parsed.GetValue(replace))
            {
                arguments.Add("--replace");
            }

            using AllocationReport? report = Environment.GetEnvironmentVariable(AllocationReport.Variable) == "1" ? new AllocationReport("handler") : null;
            return await BuiltInHandlers.RunAsync(parsed.GetValue(spec)!, arguments);
        });
        return command;
    }
}
