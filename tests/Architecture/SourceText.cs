using System.Text;

namespace Scuse.Architecture.Tests;

/// <summary>C# source with its comments and the text of its strings blanked, so that a word found in it is code.</summary>
static class SourceText
{
    /// <summary>
    /// Replaces comments and string text by spaces and keeps line breaks and the code inside the holes of interpolated strings.
    /// </summary>
    public static string CodeOf(string source)
    {
        StringBuilder code = new(source.Length);
        int position = 0;
        CopyCode(source, ref position, code, insideHole: false);
        return code.ToString();
    }

    static void CopyCode(string text, ref int position, StringBuilder code, bool insideHole)
    {
        int depth = 0;
        while (position < text.Length)
        {
            char c = text[position];
            if (insideHole && depth == 0 && c == '}')
            {
                return;
            }

            if (At(text, position, "//"))
            {
                SkipTo(text, ref position, code, text.IndexOf('\n', position));
            }
            else if (At(text, position, "/*"))
            {
                int end = text.IndexOf("*/", position + 2, StringComparison.Ordinal);
                SkipTo(text, ref position, code, end < 0 ? -1 : end + 2);
            }
            else if (c == '\'')
            {
                SkipQuoted(text, ref position, code, '\'');
            }
            else if (c is '"' or '$' or '@' && TrySkipString(text, ref position, code))
            {
            }
            else
            {
                depth += c is '{' or '(' or '[' ? 1 : c is '}' or ')' or ']' ? -1 : 0;
                code.Append(c);
                position++;
            }
        }
    }

    static bool TrySkipString(string text, ref int position, StringBuilder code)
    {
        int start = position;
        int dollars = 0;
        bool verbatim = false;
        for (; start < text.Length && text[start] is '$' or '@'; start++)
        {
            dollars += text[start] == '$' ? 1 : 0;
            verbatim |= text[start] == '@';
        }

        int quotes = 0;
        while (start + quotes < text.Length && text[start + quotes] == '"')
        {
            quotes++;
        }

        if (quotes == 0)
        {
            return false;
        }

        bool raw = quotes >= 3 && !verbatim;
        string close = raw ? new string('"', quotes) : "\"";
        SkipTo(text, ref position, code, start + close.Length);
        SkipStringText(text, ref position, code, close, escapes: !raw && !verbatim, doubledQuotes: verbatim, holeBraces: dollars, raw);
        return true;
    }

    static void SkipStringText(
        string text, ref int position, StringBuilder code, string close, bool escapes, bool doubledQuotes, int holeBraces, bool raw)
    {
        while (position < text.Length)
        {
            if (doubledQuotes && At(text, position, "\"\""))
            {
                SkipTo(text, ref position, code, position + 2);
            }
            else if (At(text, position, close))
            {
                SkipTo(text, ref position, code, position + close.Length);
                return;
            }
            else if (escapes && text[position] == '\\')
            {
                SkipTo(text, ref position, code, position + 2);
            }
            else if (holeBraces > 0 && !raw && At(text, position, "{{"))
            {
                SkipTo(text, ref position, code, position + 2);
            }
            else if (holeBraces > 0 && At(text, position, new string('{', holeBraces)))
            {
                SkipTo(text, ref position, code, position + holeBraces);
                CopyCode(text, ref position, code, insideHole: true);
                SkipTo(text, ref position, code, position + holeBraces);
            }
            else
            {
                SkipTo(text, ref position, code, position + 1);
            }
        }
    }

    static void SkipQuoted(string text, ref int position, StringBuilder code, char quote)
    {
        int end = position + 1;
        while (end < text.Length && text[end] != quote && text[end] != '\n')
        {
            end += text[end] == '\\' ? 2 : 1;
        }

        SkipTo(text, ref position, code, end + 1);
    }

    static void SkipTo(string text, ref int position, StringBuilder code, int end)
    {
        end = end < 0 ? text.Length : Math.Min(end, text.Length);
        for (; position < end; position++)
        {
            code.Append(text[position] == '\n' ? '\n' : ' ');
        }
    }

    static bool At(string text, int position, string what) => string.CompareOrdinal(text, position, what, 0, what.Length) == 0;
}
