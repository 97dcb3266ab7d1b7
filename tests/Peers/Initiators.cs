using System.Runtime.CompilerServices;

namespace Scuse.Peers;

/// <summary>The initiators of tests/initiators, compiled when they are first wanted.</summary>
static class Initiators
{
    /// <summary>Compiles one of them; returns the program's path.</summary>
    public static async Task<string> BuildAsync(string name, [CallerFilePath] string thisFile = "")
    {
        string folder = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(thisFile)!, "../initiators"));
        Assert.SkipUnless(Directory.Exists(folder), "needs the sources (tests/initiators)");
        string program = Path.Combine(AppContext.BaseDirectory, $"initiator-{name}");
        (await Peer.RunAsync("/bin/sh", Path.Combine(folder, "build.sh"), name, program)).OrThrow();
        return program;
    }
}
