using System.Globalization;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Logging.Console;

namespace Scuse.Cli.Serving;

/// <summary>A log entry as one line that begins with the time: <c>2026-11-22 10:15:02.123 warning LUN 0: ...</c>.</summary>
sealed class LineFormatter() : ConsoleFormatter(FormatterName)
{
    public const string FormatterName = "line";

    public override void Write<TState>(in LogEntry<TState> logEntry, IExternalScopeProvider? scopeProvider, TextWriter textWriter)
    {
        textWriter.Write(DateTime.Now.ToString("yyyy-MM-dd HH:mm:ss.fff", CultureInfo.InvariantCulture));
        textWriter.Write(logEntry.LogLevel switch
        {
            LogLevel.Critical => " critical ",
            LogLevel.Error => " error ",
            LogLevel.Warning => " warning ",
            LogLevel.Information => " ",
            _ => " debug ",
        });
        textWriter.Write(logEntry.Formatter(logEntry.State, logEntry.Exception));
        if (logEntry.Exception is { } exception)
        {
            textWriter.Write(": ");
            textWriter.Write(exception);
        }

        textWriter.WriteLine();
    }
}
