using System.Globalization;
using Spectre.Console;

namespace Scuse.Cli.Control;

/// <summary>A column of a table.</summary>
/// <param name="Header">What stands above it.</param>
/// <param name="IsNumber">Whether its cells end at its right edge.</param>
readonly record struct Column(string Header, bool IsNumber = false)
{
    public static implicit operator Column(string header) => header.StartsWith('>') ? new Column(header[1..], IsNumber: true) : new Column(header);
}

/// <summary>
/// What people get to see: on a terminal tables with lines and colours, elsewhere the same columns with blanks between them and neither, so that
/// other programs can take them apart.
/// </summary>
static class Report
{
    const string Nothing = "-";

    /// <summary>Writes rows under headers; a header that begins with &gt; is of numbers.</summary>
    public static void Table(IReadOnlyList<Column> columns, IEnumerable<IReadOnlyList<string?>> rows)
    {
        if (Console.IsOutputRedirected)
        {
            Plain(columns, [.. rows]);
            return;
        }

        var table = new Table { Border = TableBorder.Rounded };
        foreach (Column column in columns)
        {
            table.AddColumn(new TableColumn(new Markup(Markup.Escape(column.Header), new Style(decoration: Decoration.Bold))) { Alignment = column.IsNumber ? Justify.Right : Justify.Left });
        }

        foreach (IReadOnlyList<string?> row in rows)
        {
            table.AddRow(row.Select(static cell => new Text(Cell(cell), StyleOf(cell))));
        }

        AnsiConsole.Write(table);
    }

    /// <summary>Writes names and what they stand for.</summary>
    public static void Facts(params IEnumerable<(string Name, string? Value)> facts)
    {
        (string Name, string? Value)[] all = [.. facts];
        int width = all.Max(static fact => fact.Name.Length);
        foreach ((string name, string? value) in all)
        {
            Console.WriteLine($"{name.PadRight(width)}  {Cell(value)}");
        }
    }

    public static void Line(string text = "") => Console.WriteLine(text);

    public static string Number(long value) => value.ToString(CultureInfo.InvariantCulture);

    public static string Time(DateTimeOffset at) => at.ToLocalTime().ToString("yyyy-MM-dd HH:mm:ss.fff", CultureInfo.InvariantCulture);

    /// <summary>Milliseconds as seconds.</summary>
    public static string? Seconds(long? milliseconds) => milliseconds is { } some ? string.Create(CultureInfo.InvariantCulture, $"{some / 1000.0:0.000} s") : null;

    /// <summary>How long ago that was, in the largest two units.</summary>
    public static string Ago(DateTimeOffset since)
    {
        TimeSpan span = DateTimeOffset.UtcNow - since;
        return span.TotalDays >= 1 ? $"{(int)span.TotalDays} d {span.Hours} h"
            : span.TotalHours >= 1 ? $"{span.Hours} h {span.Minutes} min"
            : span.TotalMinutes >= 1 ? $"{span.Minutes} min {span.Seconds} s"
            : $"{Math.Max(0, span.Seconds)} s";
    }

    /// <summary>A size for people: exact where that is short, else rounded.</summary>
    public static string Size(long bytes)
    {
        if (SizeText.Format(bytes) is { Length: <= 5 } exact)
        {
            return exact;
        }

        const string units = "KMGTPE";
        double size = bytes;
        int unit = -1;
        for (; size >= 1024 && unit + 1 < units.Length; unit++)
        {
            size /= 1024;
        }

        return string.Create(CultureInfo.InvariantCulture, $"{size:0.0}{units[unit]}");
    }

    static void Plain(IReadOnlyList<Column> columns, IReadOnlyList<IReadOnlyList<string?>> rows)
    {
        int[] widths = [.. columns.Select((column, i) => rows.Select(row => Cell(row[i]).Length).Append(column.Header.Length).Max())];
        WriteRow([.. columns.Select(static column => column.Header)]);
        foreach (IReadOnlyList<string?> row in rows)
        {
            WriteRow(row);
        }

        void WriteRow(IReadOnlyList<string?> cells) =>
            Console.WriteLine(string.Join("  ", cells.Select((cell, i) => columns[i].IsNumber ? Cell(cell).PadLeft(widths[i]) : Cell(cell).PadRight(widths[i]))).TrimEnd());
    }

    /// <summary>Never empty, so that columns can be counted, and on one line.</summary>
    static string Cell(string? cell) => string.IsNullOrEmpty(cell) ? Nothing : cell.ReplaceLineEndings(" ");

    static Style StyleOf(string? cell) => cell switch
    {
        "serving" => Color.Green,
        "waitingForHandler" or "draining" => Color.Yellow,
        "blocked" or "overdue" or "aborted" => Color.Red,
        _ => Style.Plain,
    };
}
