using System.CommandLine;

namespace Scuse.Cli.Commands;

/// <summary><c>scuse target</c>: the targets of a running engine.</summary>
static class TargetCommand
{
    public static Command Create() => new("target", "Change the targets of a running engine")
    {
        new RedirectCommand(),
    };
}
