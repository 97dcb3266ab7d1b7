namespace Scuse.Simulation;

/// <summary>The long forms when the command line asks for one, the tests otherwise.</summary>
static class Program
{
    public static int Main(string[] args) =>
        CommandLine.Run(args) ?? Xunit.Runner.InProc.SystemConsole.ConsoleRunner.Run(args).GetAwaiter().GetResult();
}
