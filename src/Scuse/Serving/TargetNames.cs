namespace Scuse.Cli.Serving;

/// <summary>iSCSI names. RFC 7143 section 4.2.7.</summary>
static class TargetNames
{
    const int MaxLength = 223;

    /// <exception cref="FormatException">It is not an iSCSI name.</exception>
    public static string Check(string name)
    {
        bool hasKind = name.StartsWith("iqn.", StringComparison.Ordinal) || name.StartsWith("eui.", StringComparison.Ordinal) || name.StartsWith("naa.", StringComparison.Ordinal);
        bool hasForm = name.Length is > 4 and <= MaxLength && name.All(static character => char.IsAsciiLetterLower(character) || char.IsAsciiDigit(character) || character is '-' or '.' or ':');
        return hasKind && hasForm
            ? name
            : throw new FormatException($"target '{name}' is not an iSCSI name: 'iqn.', a date, a domain reversed, lower case, such as iqn.2026-11.example:disks");
    }
}
