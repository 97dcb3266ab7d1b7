namespace Scuse.Cli.Serving;

/// <summary>Where the attach socket goes when nobody says.</summary>
static class AttachSocket
{
    /// <summary>
    /// A well-known path where somebody else starts a handler and has to find it; one of this process's own otherwise, so that any number of
    /// engines run side by side.
    /// </summary>
    public static string DefaultPath(IEnumerable<string> specs)
    {
        bool isSought = specs.Any(static spec => spec.StartsWith("attach:", StringComparison.Ordinal));
        return Path.Combine(Folder(), isSought ? "engine.sock" : $"engine-{Environment.ProcessId}.sock");
    }

    static string Folder()
    {
        if (Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR") is { Length: > 0 } runtime)
        {
            return Path.Combine(runtime, "scuse");
        }

        return Environment.IsPrivilegedProcess ? "/run/scuse" : Path.Combine(Path.GetTempPath(), $"scuse-{Environment.UserName}");
    }
}
