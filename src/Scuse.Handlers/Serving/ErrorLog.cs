namespace Scuse.Serving;

/// <summary>Tells a person of failures, each kind once: a broken disk fails thousands of commands a second, and the first line says it all.</summary>
sealed class ErrorLog(TextWriter writer)
{
    const int MaxKinds = 64;

    readonly HashSet<(string Operation, Type Kind)> _told = [];
    readonly Lock _lock = new();

    internal void Failed(string operation, Exception failure)
    {
        lock (_lock)
        {
            if (_told.Count < MaxKinds && _told.Add((operation, failure.GetType())))
            {
                writer.WriteLine($"{operation} failed: {failure.GetType().Name}: {OneLine(failure.Message)} (reported as HARDWARE ERROR; told once)");
            }
        }
    }

    internal void Line(string text)
    {
        lock (_lock)
        {
            writer.WriteLine(text);
        }
    }

    internal static string OneLine(string message) => message.ReplaceLineEndings(" ").Trim();
}
