using System.Globalization;

namespace Scuse.Engine.Management;

/// <summary>Which logical unit is meant: its number, and its target.</summary>
/// <param name="Number">The logical unit number.</param>
/// <param name="Target">The target's name, or the part of it after its last colon where no other has the same; null: the first target.</param>
public readonly record struct LunReference(int Number, string? Target = null)
{
    /// <summary>Reads <c>LUN</c>, or <c>TARGET/LUN</c>.</summary>
    /// <exception cref="FormatException">It is neither; the message is one line for a person.</exception>
    public static LunReference Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        int slash = text.LastIndexOf('/');
        return slash != 0 && int.TryParse(text.AsSpan(slash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int number)
            ? new LunReference(number, slash < 0 ? null : text[..slash])
            : throw new FormatException($"'{text}' is neither the number of a LUN nor TARGET/LUN");
    }

    /// <inheritdoc/>
    public override string ToString() => Target is null ? $"{Number}" : $"{Target}/{Number}";
}
