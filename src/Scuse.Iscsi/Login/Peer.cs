namespace Scuse.Iscsi.Login;

/// <summary>What a peer calls itself, for a log.</summary>
internal static class Peer
{
    const int MaxLength = 64;

    /// <summary>The text, cut and without what could pass for another line of the log.</summary>
    public static string Printable(string text)
    {
        ReadOnlySpan<char> shown = text.AsSpan(0, Math.Min(text.Length, MaxLength));
        return string.Create(shown.Length, shown.ToString(), static (into, from) =>
        {
            for (int i = 0; i < into.Length; i++)
            {
                into[i] = char.IsControl(from[i]) || char.IsSurrogate(from[i]) || from[i] is '\u2028' or '\u2029' ? '?' : from[i];
            }
        });
    }
}
