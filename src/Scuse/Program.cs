using System.CommandLine;
using Scuse.Cli;
using Scuse.Cli.Commands;

// A mistake on the command line is one line, not a page of usage.
var root = new RootCommand("SCSI in userspace: disks over iSCSI, each served by a process of its own.")
{
    ServeCommand.Create(),
    HandlerCommand.Create(),
    new LsCommand(),
    new StatusCommand(),
    new SessionsCommand(),
    new EventsCommand(),
    new LatencyCommand(),
    RingCommand.Create(),
    LunCommand.Create(),
    PortalCommand.Create(),
    TargetCommand.Create(),
    new DrainCommand(),
    new ReloadCommand(),
    AccessCommand.Create(),
    KernelCommand.Create(),
};
ParseResult command = root.Parse(args.Length == 0 ? ["--help"] : args);
if (command.Errors.Count > 0)
{
    string problem = command.UnmatchedTokens.Count > 0
        ? $"'{command.UnmatchedTokens[0]}' is not a command or option; scuse --help lists those there are"
        : command.Errors[0].Message;
    await Console.Error.WriteLineAsync($"scuse: {problem}");
    return ExitCodes.Usage;
}

// Signals are the host's business: it drains, which may take longer than a parser would wait.
return await command.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = null });
