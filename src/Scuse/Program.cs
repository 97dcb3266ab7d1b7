using System.CommandLine;
using Scuse.Cli;

// A mistake on the command line is one line, not a page of usage.
var root = new RootCommand("SCSI in userspace: disks over iSCSI, each served by a process of its own.")
{
    ServeCommand.Create(),
    HandlerCommand.Create(),
};
ParseResult command = root.Parse(args.Length == 0 ? ["--help"] : args);
if (command.Errors.Count > 0)
{
    await Console.Error.WriteLineAsync($"scuse: {command.Errors[0].Message}");
    return ExitCodes.Usage;
}

return await command.InvokeAsync();
