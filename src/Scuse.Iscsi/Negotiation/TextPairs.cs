using System.Text;
using System.Text.Unicode;

namespace Scuse.Iscsi.Negotiation;

/// <summary>Key=value pairs, each ended by a zero byte: the data segments of login and text PDUs. RFC 7143 section 6.1.</summary>
internal static class TextPairs
{
    /// <summary>The most bytes of one negotiation step, over all PDUs that the C bit joins.</summary>
    public const int MaxTextBytes = 16 * 1024;

    /// <summary>The most pairs of one negotiation step.</summary>
    public const int MaxPairs = 64;

    /// <summary>The longest key name. RFC 7143 section 6.1.</summary>
    public const int MaxKeyLength = 63;

    /// <summary>Reads all pairs. False, with the reason, when the text is malformed or over a limit.</summary>
    public static bool TryRead(ReadOnlySpan<byte> text, List<KeyValuePair<string, string>> pairs, out string reason)
    {
        reason = "";
        while (!text.IsEmpty)
        {
            int end = text.IndexOf((byte)0);
            ReadOnlySpan<byte> pair = end < 0 ? text : text[..end];
            text = end < 0 ? default : text[(end + 1)..];
            if (pair.IsEmpty)
            {
                continue;
            }

            int equals = pair.IndexOf((byte)'=');
            if (equals is < 1 or > MaxKeyLength)
            {
                reason = equals < 1 ? "a text pair has no key" : $"a text key is longer than {MaxKeyLength} bytes";
                return false;
            }

            ReadOnlySpan<byte> key = pair[..equals], value = pair[(equals + 1)..];
            if (key.ContainsAnyExceptInRange((byte)'!', (byte)'~') || !Utf8.IsValid(value))
            {
                reason = "a text pair has bytes that are no text"; // what it would be read as is not what was sent
                return false;
            }

            if (pairs.Count == MaxPairs)
            {
                reason = $"more than {MaxPairs} text keys in one step";
                return false;
            }

            pairs.Add(new(Encoding.UTF8.GetString(key), Encoding.UTF8.GetString(value)));
        }

        return true;
    }

    /// <summary>Appends one pair.</summary>
    public static void Append(StringBuilder text, string key, string value) => text.Append(key).Append('=').Append(value).Append('\0');
}
