using System.Globalization;

namespace Scuse.Fuzz.Running;

/// <summary>
/// The inputs that are checked in. <c>*.hex</c>: bytes in hexadecimal, <c>XX*N</c> for a byte N times, <c>#</c> to the line's end is a comment. All other files are taken as
/// they are.
/// </summary>
static class Corpus
{
    public static IEnumerable<byte[]> Load(string folder) =>
        Directory.EnumerateFiles(folder).Order(StringComparer.Ordinal).Select(static file => file.EndsWith(".hex", StringComparison.Ordinal) ? FromHex(file) : File.ReadAllBytes(file));

    static byte[] FromHex(string file)
    {
        List<byte> bytes = [];
        foreach (string line in File.ReadLines(file))
        {
            int comment = line.IndexOf('#', StringComparison.Ordinal);
            foreach (string word in (comment < 0 ? line : line[..comment]).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries))
            {
                string[] parts = word.Split('*');
                byte value = byte.Parse(parts[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
                bytes.AddRange(Enumerable.Repeat(value, parts.Length == 1 ? 1 : int.Parse(parts[1], CultureInfo.InvariantCulture)));
            }
        }

        return [.. bytes];
    }
}
