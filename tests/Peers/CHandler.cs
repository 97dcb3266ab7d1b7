using System.Runtime.CompilerServices;

namespace Scuse.Peers;

/// <summary>The handler in plain C of tests/c-handler.</summary>
static class CHandler
{
    /// <summary>Compiles it; returns the program's path.</summary>
    public static async Task<string> BuildAsync(string program, [CallerFilePath] string thisFile = "")
    {
        Needs.Program("gcc", "gcc and libc6-dev");
        string script = Path.Combine(Path.GetDirectoryName(thisFile)!, "../c-handler/build.sh");
        Assert.SkipUnless(File.Exists(script), "needs the sources (tests/c-handler)");
        (await Peer.RunAsync("/bin/sh", script, program)).OrThrow();
        return program;
    }
}
