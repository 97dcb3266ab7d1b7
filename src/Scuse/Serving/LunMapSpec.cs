using System.Globalization;
using Scuse.Engine;

namespace Scuse.Cli.Serving;

/// <summary>What some initiators see, as the command line writes it: <c>PATTERN=LUN[@UNIT][:ro],...</c>.</summary>
static class LunMapSpec
{
    public const string Usage = "PATTERN=LUN[@UNIT][:ro],...";

    const string ReadOnly = ":ro";

    /// <exception cref="FormatException">It is wrong; the message is one line for a person.</exception>
    public static LunMapOptions Parse(string text)
    {
        int equals = text.LastIndexOf('=');
        return equals < 1
            ? throw Wrong(text)
            : new LunMapOptions { Initiators = [text[..equals]], Luns = [.. text[(equals + 1)..].Split(',').Select(lun => ParseLun(lun, text))] };
    }

    static MappedLunOptions ParseLun(string lun, string text)
    {
        bool isReadOnly = lun.EndsWith(ReadOnly, StringComparison.Ordinal);
        string[] numbers = (isReadOnly ? lun[..^ReadOnly.Length] : lun).Split('@');
        return numbers.Length > 2
            ? throw Wrong(text)
            : new MappedLunOptions { Lun = Number(numbers[0], text), Unit = numbers.Length == 2 ? Number(numbers[1], text) : null, ReadOnly = isReadOnly };
    }

    static int Number(string digits, string text) => int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : throw Wrong(text);

    static FormatException Wrong(string text) => new($"LUN map '{text}' is not {Usage}, such as 'iqn.2026-11.example:backup*=0:ro,1@5'");
}
