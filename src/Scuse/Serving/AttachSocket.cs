using System.Net.Sockets;
using System.Text.RegularExpressions;
using Scuse.Cli.Control;
using Scuse.Ring.Attach;

namespace Scuse.Cli.Serving;

/// <summary>Where the attach socket goes when nobody says.</summary>
static partial class AttachSocket
{
    /// <summary>
    /// The well-known path where somebody has to find it: one who starts a handler himself, or the handlers that an engine before has left running; one of
    /// this process's own otherwise, so that any number of engines run side by side.
    /// </summary>
    public static string DefaultPath(IEnumerable<string> specs, bool keepsHandlers) =>
        keepsHandlers || specs.Any(static spec => spec.StartsWith("attach:", StringComparison.Ordinal))
            ? AttachSocketPath.WellKnown(Environment.GetEnvironmentVariable)
            : AttachSocketPath.OfProcess(Environment.GetEnvironmentVariable, Environment.ProcessId);

    /// <summary>
    /// Removes the sockets of engines that were killed, and could not do it themselves. What it cannot be sure of stays: a process that it does not see may live in another container.
    /// </summary>
    /// <param name="folder">Where engines have their own sockets.</param>
    public static void RemoveLeftovers(string folder)
    {
        try
        {
            foreach (string path in Directory.Exists(folder) ? Directory.GetFiles(folder) : [])
            {
                Match name = OwnSocket().Match(Path.GetFileName(path));
                if (name.Success && !Directory.Exists($"/proc/{name.Groups[1].ValueSpan}") && ControlSocket.IsStale(path, name.Groups[2].Success ? SocketType.Stream : SocketType.Seqpacket))
                {
                    File.Delete(path);
                }
            }
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            // Somebody else's folder, or somebody else tidies up too.
        }
    }

    [GeneratedRegex(@"^engine-(\d+)\.sock(\.control)?$")]
    private static partial Regex OwnSocket();
}
