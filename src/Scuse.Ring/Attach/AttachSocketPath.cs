namespace Scuse.Ring.Attach;

/// <summary>Where an engine's attach socket is when nobody says: both ends have to agree on it.</summary>
public static class AttachSocketPath
{
    /// <summary>The socket of the engine that handlers started by somebody else look for.</summary>
    /// <param name="environment">Looks up an environment variable.</param>
    public static string WellKnown(Func<string, string?> environment) => Path.Combine(Folder(environment), "engine.sock");

    /// <summary>A socket of one engine's own: for the handlers that it starts itself, which are told the path.</summary>
    /// <param name="environment">Looks up an environment variable.</param>
    /// <param name="processId">The engine's process.</param>
    public static string OfProcess(Func<string, string?> environment, int processId) => Path.Combine(Folder(environment), $"engine-{processId}.sock");

    /// <summary>The folder where the sockets of this user's engines are, unless somebody says otherwise.</summary>
    /// <param name="environment">Looks up an environment variable.</param>
    public static string Folder(Func<string, string?> environment)
    {
        ArgumentNullException.ThrowIfNull(environment);
        if (environment("XDG_RUNTIME_DIR") is { Length: > 0 } runtime)
        {
            return Path.Combine(runtime, "scuse");
        }

        return Environment.IsPrivilegedProcess ? "/run/scuse" : Path.Combine(Path.GetTempPath(), $"scuse-{Environment.UserName}");
    }
}
