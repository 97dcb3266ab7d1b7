namespace Scuse.Serving;

/// <summary>Tells a person of failures, each kind once: a broken disk fails thousands of commands a second, and the first line says it all.</summary>
sealed class ErrorLog
{
    const int MaxKinds = 64;

    readonly TextWriter _writer;
    readonly string _prefix;

    // Guarded by the writer's lock: what has been told, made when there is something to tell.
    HashSet<(string Operation, Type Kind)>? _told;

    /// <param name="writer">Where lines go.</param>
    /// <param name="device">The device that they are about, where there are several.</param>
    internal ErrorLog(TextWriter writer, string? device = null)
    {
        _writer = writer;
        _prefix = device is null ? "" : $"device '{device}': ";
    }

    internal void Failed(string operation, Exception failure)
    {
        lock (_writer)
        {
            _told ??= [];
            if (_told.Count < MaxKinds && _told.Add((operation, failure.GetType())))
            {
                _writer.WriteLine($"{_prefix}{operation} failed: {failure.GetType().Name}: {OneLine(failure.Message)} (reported as HARDWARE ERROR; told once)");
            }
        }
    }

    internal void Line(string text)
    {
        lock (_writer)
        {
            _writer.WriteLine(_prefix + text);
        }
    }

    internal static string OneLine(string message) => message.ReplaceLineEndings(" ").Trim();
}
