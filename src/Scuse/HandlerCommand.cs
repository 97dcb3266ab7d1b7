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
        var kernel = new Option<bool>("--kernel")
        {
            Description = "Serve the kernel's user backstores (TCMU) whose dev_config begins with the subtype, those of now and of later; --device: only that one. What follows the subtype and a slash is the device's spec",
        };
        var subtype = new Option<string?>("--subtype") { Description = "With --kernel: whose backstores; scuse-memory and scuse-file when not given", HelpName = "NAME" };
        var recovery = new Option<string?>("--recovery")
        {
            Description = "With --kernel: what becomes of commands that a handler left behind. reset: they end in BUSY, and initiators repeat them (the default); continue: they are done",
            HelpName = "reset|continue",
        };
        var command = new Command("handler", "Run a built-in handler in this process; it attaches to a running engine, or serves the kernel") { spec, socket, device, replace, kernel, subtype, recovery };
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

            if (parsed.GetValue(kernel))
            {
                arguments.Add("--kernel");
            }

            foreach ((Option<string?> option, string name) in ((Option<string?>, string)[])[(subtype, "--subtype"), (recovery, "--recovery")])
            {
                if (parsed.GetValue(option) is { } value)
                {
                    arguments.AddRange([name, value]);
                }
            }

            using AllocationReport? report = Environment.GetEnvironmentVariable(AllocationReport.Variable) == "1" ? new AllocationReport("handler") : null;
            return await BuiltInHandlers.RunAsync(parsed.GetValue(spec)!, arguments);
        });
        return command;
    }
}
