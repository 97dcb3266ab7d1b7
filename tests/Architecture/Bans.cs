using System.Text.RegularExpressions;

namespace Scuse.Architecture.Tests;

/// <summary>One thing that code outside the named projects must not contain, or that the named projects must not.</summary>
sealed record Ban(string What, Regex Pattern, string Why, Func<string, bool> AppliesTo);

/// <summary>The bans that ARCHITECTURE.md states, as something that can be searched for.</summary>
static class Bans
{
    static readonly string[] ProtocolProjects = ["Scuse.Scsi", "Scuse.Device", "Scuse.Ring", "Scuse.Target", "Scuse.Iscsi"];

    public static IReadOnlyList<Ban> InSource { get; } =
    [
        new("unsafe", Code(@"\bunsafe\b"), "pointers live in Scuse.Linux and Scuse.Ring", Outside("Scuse.Linux", "Scuse.Ring")),
        new("native calls", Code(@"\b(DllImport|LibraryImport)\b"), "native calls live in Scuse.Linux", Outside("Scuse.Linux")),
        Protocol("sockets", @"\bSystem\s*\.\s*Net\s*\.\s*Sockets\b|\bnew\s+(Socket|TcpClient|TcpListener)\b"),
        Protocol("files", @"(?<![\w.])(System\s*\.\s*IO\s*\.\s*)?(File|Directory)\s*\.\s*[A-Z]\w*\s*\(|\bFileStream\b|\bRandomAccess\s*\.\s*[A-Z]\w*\s*\("),
        Protocol("threads", @"\bnew\s+(System\s*\.\s*Threading\s*\.\s*)?Thread\b|(?<![\w])Thread\s*\.\s*(Sleep|Yield|SpinWait|CurrentThread|Join)\b|\bThreadPool\b"),
        Protocol("tasks started or delayed", @"\bTask\s*\.\s*(Run|Delay|Factory)\b|\bnew\s+(PeriodicTimer|Timer)\b"),
        Protocol("clocks", @"\b(DateTime|DateTimeOffset)\s*\.\s*(Now|UtcNow|Today)\b|\bStopwatch\b|\bEnvironment\s*\.\s*TickCount(64)?\b|\bTimeProvider\s*\.\s*System\b"),
    ];

    /// <summary>What is wrong in one source file, one sentence each with the line.</summary>
    public static IEnumerable<string> BrokenBy(string project, string fileName, string source)
    {
        string code = SourceText.CodeOf(source);
        foreach (Ban ban in InSource.Where(ban => ban.AppliesTo(project)))
        {
            foreach (Match match in ban.Pattern.Matches(code))
            {
                int line = code.AsSpan(0, match.Index).Count('\n') + 1;
                yield return $"{project}/{fileName}:{line} has `{match.Value}` ({ban.What}): {ban.Why}.";
            }
        }
    }

    /// <summary>What is wrong in one project file.</summary>
    public static IEnumerable<string> BrokenBy(Project project)
    {
        bool allows = project.Xml.Descendants("AllowUnsafeBlocks").Any(element => element.Value.Trim().Equals("true", StringComparison.OrdinalIgnoreCase));
        if (allows && project.Name is not ("Scuse.Linux" or "Scuse.Ring"))
        {
            yield return $"{project.Name} sets AllowUnsafeBlocks: pointers live in Scuse.Linux and Scuse.Ring.";
        }
    }

    static Ban Protocol(string what, string pattern) =>
        new(what, Code(pattern), "protocol code opens nothing, waits for nothing and reads no clock", project => ProtocolProjects.Contains(project));

    static Func<string, bool> Outside(params string[] projects) => project => !projects.Contains(project);

    static Regex Code(string pattern) => new(pattern, RegexOptions.CultureInvariant);
}
