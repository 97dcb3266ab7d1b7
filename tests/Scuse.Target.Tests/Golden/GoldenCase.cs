using System.Globalization;

namespace Scuse.Target.Tests.Golden;

/// <summary>
/// One command and what must come of it, as a line of a table in this folder: <c>name | unit | CDB | Data-Out | result | Data-In | medium</c>. Columns at the end may be left out.
/// </summary>
/// <remarks>
/// The unit: words of <see cref="GoldenTests"/>, none for a thin disk of 128 blocks of 512 bytes, each filled with its number and one. Bytes are hexadecimal; <c>XX*N</c>
/// is a byte N times, <c>??</c> any byte, <c>...</c> at the end whatever follows. The result: a status, or sense as KEY/ASC/ASCQ, with <c>@N</c> when it points at a byte of the CDB,
/// <c>#N</c> at one of the parameter list, <c>+N</c> for the INFORMATION field. Data-In is all that comes back; without the column nothing does. The medium:
/// <c>N: bytes</c> for each block, apart by semicolons, that holds something else than before; <c>flushed</c>, <c>durable</c>, <c>unmapped</c> for how it came about.
/// </remarks>
sealed record GoldenCase(string Name, string[] Unit, byte[] Cdb, byte[] DataOut, string Result, string DataIn, string Medium)
{
    public static GoldenCase Parse(string line)
    {
        string[] columns = [.. line.Split('|').Select(static column => column.Trim()), .. Enumerable.Repeat("", 7)];
        return new(
            columns[0],
            columns[1].Split(' ', StringSplitOptions.RemoveEmptyEntries),
            Bytes(columns[2]),
            Bytes(columns[3]),
            columns[4],
            columns[5],
            columns[6]);
    }

    /// <summary>The bytes of a column without wildcards.</summary>
    public static byte[] Bytes(string column) => [.. Pattern(column).Select(static value => value ?? throw new FormatException("a wildcard has no value"))];

    /// <summary>Null when the data is what the column says; else why not.</summary>
    public static string? Difference(string column, ReadOnlySpan<byte> data)
    {
        bool isOpen = column.EndsWith("...", StringComparison.Ordinal);
        byte?[] wanted = [.. Pattern(isOpen ? column[..^3] : column)];
        if (isOpen ? data.Length < wanted.Length : data.Length != wanted.Length)
        {
            return $"{data.Length} bytes, not {wanted.Length}{(isOpen ? " or more" : "")}: {Convert.ToHexString(data[..Math.Min(data.Length, 64)])}";
        }

        for (int i = 0; i < wanted.Length; i++)
        {
            if (wanted[i] is { } value && value != data[i])
            {
                return $"byte {i} is {data[i]:X2}, not {value:X2}, in {Convert.ToHexString(data[..Math.Min(data.Length, 128)])}";
            }
        }

        return null;
    }

    static IEnumerable<byte?> Pattern(string column)
    {
        foreach (string word in column.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] parts = word.Split('*');
            if (parts.Length == 2)
            {
                for (int i = int.Parse(parts[1], CultureInfo.InvariantCulture); i > 0; i--)
                {
                    yield return Value(parts[0]);
                }

                continue;
            }

            for (int i = 0; i < word.Length; i += 2)
            {
                yield return Value(word[i..(i + 2)]);
            }
        }
    }

    static byte? Value(string text) => text == "??" ? null : byte.Parse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
}
