using System.Runtime.CompilerServices;
using Scuse.Peers;

namespace Scuse.Bench.Peers;

/// <summary>The C programs of the bench: programs/*.c.</summary>
static class BenchPrograms
{
    /// <summary>Compiles one; returns its path.</summary>
    /// <exception cref="PeerException">It cannot be compiled.</exception>
    public static async Task<string> BuildAsync(string name)
    {
        string program = Path.Combine(AppContext.BaseDirectory, $"bench-{name}");
        (await Peer.RunAsync("gcc", "-std=gnu99", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, Path.Combine(Folder(), $"{name}.c"))).OrThrow();
        return program;
    }

    static string Folder([CallerFilePath] string thisFile = "") => Path.Combine(Path.GetDirectoryName(thisFile)!, "programs");
}
