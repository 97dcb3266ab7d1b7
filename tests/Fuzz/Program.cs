using Scuse.Fuzz.Running;

namespace Scuse.Fuzz;

/// <summary>The long form, <c>fuzz ...</c>; whatever else is asked is the test runner's business.</summary>
static class Program
{
    static int Main(string[] args) => args switch
    {
        ["fuzz", .. string[] rest] => FuzzCommand.Run(rest),
        _ when args.Contains("--server") || args.Contains("--internal-msbuild-node") =>
            Xunit.MicrosoftTestingPlatform.TestPlatformTestFramework.RunAsync(args, SelfRegisteredExtensions.AddSelfRegisteredExtensions).GetAwaiter().GetResult(),
        _ => Xunit.Runner.InProc.SystemConsole.ConsoleRunner.Run(args).GetAwaiter().GetResult(),
    };
}
