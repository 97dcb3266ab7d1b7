using System.Globalization;

namespace Scuse;

/// <summary>Sizes as people write them: a whole number, with K, M, G or T for powers of 1024.</summary>
public static class SizeText
{
    const string Suffixes = "KMGT";

    /// <summary>Reads a size such as <c>512</c>, <c>64K</c> or <c>10G</c>, in bytes.</summary>
    /// <exception cref="FormatException">It is not one; the message says so in a line for a person.</exception>
    public static long Parse(string text) => TryParse(text, out long bytes, out string? problem) ? bytes : throw new FormatException(problem);

    /// <summary>Reads a size; false when it is not one.</summary>
    public static bool TryParse(string? text, out long bytes) => TryParse(text, out bytes, out _);

    /// <summary>Writes a size in the largest unit that leaves a whole number: <c>1G</c>, <c>1536M</c>, <c>1000</c>.</summary>
    public static string Format(long bytes)
    {
        int unit = -1;
        while (bytes != 0 && bytes % 1024 == 0 && unit + 1 < Suffixes.Length)
        {
            bytes /= 1024;
            unit++;
        }

        string number = bytes.ToString(CultureInfo.InvariantCulture);
        return unit < 0 ? number : number + Suffixes[unit];
    }

    static bool TryParse(string? text, out long bytes, out string? problem)
    {
        ReadOnlySpan<char> number = text;
        int shift = 0;
        if (!number.IsEmpty && Suffixes.IndexOf(char.ToUpperInvariant(number[^1]), StringComparison.Ordinal) is int unit and >= 0)
        {
            shift = 10 * (unit + 1);
            number = number[..^1];
        }

        // Digits only: the parser's own idea of a number has room for signs and blanks.
        if (number.IsEmpty || number.ContainsAnyExceptInRange('0', '9'))
        {
            bytes = 0;
            problem = $"size '{text}' is not a number with K, M, G or T";
            return false;
        }

        if (!long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out bytes) || bytes > long.MaxValue >> shift)
        {
            bytes = 0;
            problem = $"size '{text}' is too large";
            return false;
        }

        bytes <<= shift;
        problem = null;
        return true;
    }
}
