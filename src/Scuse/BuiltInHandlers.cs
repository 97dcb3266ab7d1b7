using Scuse.Handlers.File;
using Scuse.Handlers.Memory;

namespace Scuse.Cli;

/// <summary>The handlers that come with the command, by the kind that a spec begins with.</summary>
static class BuiltInHandlers
{
    public const string Usage = "memory:SIZE[?block=512|4096][&thick=1][&readonly=1], file:PATH[?size=SIZE][&block=512|4096][&thick=1][&readonly=1][&direct=1][&threads=N]";

    static readonly Dictionary<string, BuiltIn> All = new(StringComparer.Ordinal)
    {
        ["memory"] = new(MemoryProgram.Check, MemoryProgram.RunAsync),
        ["file"] = new(FileProgram.Check, FileProgram.RunAsync),
    };

    public static IEnumerable<string> Kinds => All.Keys;

    public static bool IsKind(string kind) => All.ContainsKey(kind);

    /// <summary>Checks what follows the kind, without opening anything.</summary>
    /// <exception cref="FormatException">It is wrong.</exception>
    public static void Check(string kind, string text) => All[kind].Check(text);

    /// <summary>Runs a handler until its target lets it go; returns the exit code.</summary>
    public static Task<int> RunAsync(string spec, IEnumerable<string> arguments)
    {
        int colon = spec.IndexOf(':', StringComparison.Ordinal);
        string kind = colon < 0 ? spec : spec[..colon];
        if (!All.TryGetValue(kind, out BuiltIn? handler))
        {
            Console.Error.WriteLine($"scuse: '{kind}' is not a kind of handler; there are {string.Join(", ", All.Keys)}");
            return Task.FromResult(ExitCodes.Usage);
        }

        return handler.RunAsync(colon < 0 ? "" : spec[(colon + 1)..], ["--name", kind, .. arguments]);
    }

    sealed record BuiltIn(Action<string> Check, Func<string, string[], Task<int>> RunAsync);
}
