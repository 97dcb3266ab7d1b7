using System.Runtime.CompilerServices;

namespace Scuse.Peers;

/// <summary>The initiators of tests/initiators, compiled when they are first wanted.</summary>
static class Initiators
{
    /// <summary>Compiles one of them; returns the program's path.</summary>
    /// <exception cref="PeerException">Its source is not there, or cannot be compiled.</exception>
    public static async Task<string> BuildAsync(string name)
    {
        string folder = Path.GetFullPath(Path.Combine(ThisFolder(), "../../initiators"));
        if (!Directory.Exists(folder))
        {
            throw new PeerException($"{folder} with the initiators' sources is not there");
        }

        string program = Path.Combine(AppContext.BaseDirectory, $"initiator-{name}");
        (await Peer.RunAsync("/bin/sh", Path.Combine(folder, "build.sh"), name, program)).OrThrow();
        return program;
    }

    static string ThisFolder([CallerFilePath] string thisFile = "") => Path.GetDirectoryName(thisFile)!;
}
