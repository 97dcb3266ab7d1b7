using Scuse.Ring.Attach;

namespace Scuse.Cli.Serving;

/// <summary>Where the attach socket goes when nobody says.</summary>
static class AttachSocket
{
    /// <summary>
    /// The well-known path where somebody has to find it: one who starts a handler himself, or the handlers that an engine before has left running; one of
    /// this process's own otherwise, so that any number of engines run side by side.
    /// </summary>
    public static string DefaultPath(IEnumerable<string> specs, bool keepsHandlers) =>
        keepsHandlers || specs.Any(static spec => spec.StartsWith("attach:", StringComparison.Ordinal))
            ? AttachSocketPath.WellKnown(Environment.GetEnvironmentVariable)
            : AttachSocketPath.OfProcess(Environment.GetEnvironmentVariable, Environment.ProcessId);
}
