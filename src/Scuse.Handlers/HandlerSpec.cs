using System.Globalization;

namespace Scuse;

/// <summary>The text after the kind in a LUN's spec, taken apart: <c>/data/a.img?size=1G&amp;block=4096</c> is a main part and options.</summary>
/// <remarks>The main part ends at the first question mark. Every complaint is a <see cref="FormatException"/> with one line for a person.</remarks>
public sealed class HandlerSpec
{
    readonly Dictionary<string, string> _options = new(StringComparer.Ordinal);

    HandlerSpec(string text, string main)
    {
        Text = text;
        Main = main;
    }

    /// <summary>The whole text.</summary>
    public string Text { get; }

    /// <summary>What stands before the question mark: a path, a size.</summary>
    public string Main { get; }

    /// <summary>Takes a text apart, and refuses options other than <paramref name="known"/>.</summary>
    /// <exception cref="FormatException">An option is unknown, given twice, or not of the form <c>key=value</c>.</exception>
    public static HandlerSpec Parse(string text, params ReadOnlySpan<string> known)
    {
        ArgumentNullException.ThrowIfNull(text);
        int mark = text.IndexOf('?', StringComparison.Ordinal);
        HandlerSpec spec = new(text, mark < 0 ? text : text[..mark]);
        if (mark < 0)
        {
            return spec;
        }

        foreach (string option in text[(mark + 1)..].Split('&'))
        {
            int equals = option.IndexOf('=', StringComparison.Ordinal);
            if (equals <= 0)
            {
                throw new FormatException($"option '{option}' in '{text}' is not of the form key=value");
            }

            string key = option[..equals];
            if (!known.Contains(key))
            {
                string list = known.IsEmpty ? "none is known" : $"known are {string.Join(", ", known!)}";
                throw new FormatException($"option '{key}' in '{text}' is unknown; {list}");
            }

            if (!spec._options.TryAdd(key, option[(equals + 1)..]))
            {
                throw new FormatException($"option '{key}' in '{text}' is given twice");
            }
        }

        return spec;
    }

    /// <summary>An option's text; null when it is not given.</summary>
    public string? Get(string key) => _options.GetValueOrDefault(key);

    /// <summary>An option that is a size in bytes; null when it is not given.</summary>
    /// <exception cref="FormatException">It is not a size.</exception>
    public long? GetSize(string key) => Get(key) is { } text ? SizeText.Parse(text) : null;

    /// <summary>An option that is a logical block length in bytes, 512 or 4096; null when it is not given.</summary>
    /// <exception cref="FormatException">It is another length.</exception>
    public int? GetBlockSize(string key)
    {
        if (Get(key) is not { } text)
        {
            return null;
        }

        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int size) && size is 512 or 4096
            ? size
            : throw new FormatException($"{key} '{text}' is not a block size; 512 and 4096 are");
    }

    /// <summary>An option that is 0 or 1; false when it is not given.</summary>
    /// <exception cref="FormatException">It is neither.</exception>
    public bool GetFlag(string key) => Get(key) switch
    {
        null or "0" => false,
        "1" => true,
        string text => throw new FormatException($"{key} '{text}' is neither 0 nor 1"),
    };
}
