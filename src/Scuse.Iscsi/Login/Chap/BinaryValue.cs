using System.Buffers;

namespace Scuse.Iscsi.Login.Chap;

/// <summary>Bytes as the text of a key: hexadecimal after 0x, base64 after 0b. RFC 7143 section 6.1.</summary>
internal static class BinaryValue
{
    static readonly SearchValues<char> Base64 = SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=");

    /// <summary>Reads one to <paramref name="maxBytes"/> bytes. False for anything else.</summary>
    public static bool TryParse(string text, int maxBytes, out byte[] value)
    {
        value = [];
        if (text.Length < 4 || text.Length > 2 + (2 * maxBytes) || text[0] != '0')
        {
            return false;
        }

        ReadOnlySpan<char> digits = text.AsSpan(2);
        byte[] room = new byte[digits.Length];
        int length = text[1] switch
        {
            'x' or 'X' when Convert.FromHexString(digits, room, out _, out int written) == OperationStatus.Done => written,
            'b' or 'B' when !digits.ContainsAnyExcept(Base64) && Convert.TryFromBase64Chars(digits, room, out int written) => written, // which would skip white space
            _ => 0,
        };
        value = room[..length];
        return length > 0 && length <= maxBytes;
    }

    public static string ToText(ReadOnlySpan<byte> value) => $"0x{Convert.ToHexStringLower(value)}";
}
