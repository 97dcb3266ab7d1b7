using System.Text;

namespace Scuse.Cli.Serving;

/// <summary>A command line as words: blanks part them, quotes of either kind keep them together, a backslash takes the next character as it is.</summary>
static class CommandWords
{
    /// <exception cref="FormatException">A quote is not closed.</exception>
    public static IReadOnlyList<string> Split(string command)
    {
        List<string> words = [];
        var word = new StringBuilder();
        bool isWord = false;
        char quote = '\0';
        for (int i = 0; i < command.Length; i++)
        {
            char character = command[i];
            if (character == '\\' && quote != '\'' && i + 1 < command.Length)
            {
                word.Append(command[++i]);
                isWord = true;
            }
            else if (quote != '\0')
            {
                if (character == quote)
                {
                    quote = '\0';
                }
                else
                {
                    word.Append(character);
                }
            }
            else if (character is '"' or '\'')
            {
                quote = character;
                isWord = true;
            }
            else if (char.IsWhiteSpace(character))
            {
                if (isWord)
                {
                    words.Add(word.ToString());
                    word.Clear();
                    isWord = false;
                }
            }
            else
            {
                word.Append(character);
                isWord = true;
            }
        }

        if (quote != '\0')
        {
            throw new FormatException($"the quote {quote} is not closed");
        }

        if (isWord)
        {
            words.Add(word.ToString());
        }

        return words;
    }
}
