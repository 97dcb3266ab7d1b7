using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Scuse.Iscsi.Access;
using Scuse.Iscsi.Negotiation;

namespace Scuse.Iscsi.Login.Chap;

/// <summary>
/// The target's side of CHAP: the algorithm is agreed on and a challenge sent; then the answer comes, perhaps with a challenge to the target. RFC 7143 section 12.1.3.
/// </summary>
internal sealed class ChapExchange(ChapAuthentication authentication, RandomFill random)
{
    enum Step
    {
        AlgorithmWanted,
        AnswerWanted,
        AnswerIsThere,
        Over,
    }

    Step _step;
    byte _identifier;
    byte[] _challenge = [];
    string _name = "";
    byte[] _answer = [];
    byte _theirIdentifier;
    byte[]? _theirChallenge;

    /// <summary>What was agreed on.</summary>
    public ChapAlgorithm Algorithm { get; private set; }

    /// <summary>Who proved to be there; null before.</summary>
    public ChapUser? User { get; private set; }

    /// <summary>Whether the target has proved who it is, too.</summary>
    public bool IsMutual { get; private set; }

    /// <summary>Whether there is an answer to look at with <see cref="Verify"/>.</summary>
    public bool HasAnswer => _step == Step.AnswerIsThere;

    /// <summary>The name in the answer, which proves nothing yet.</summary>
    public string ClaimedName => _name;

    public static bool IsKey(string key) =>
        key is KeyTable.ChapAlgorithm or KeyTable.ChapIdentifier or KeyTable.ChapChallenge or KeyTable.ChapName or KeyTable.ChapResponse;

    /// <summary>Takes the keys of one step. Null, or what is wrong with them.</summary>
    public string? Take(IReadOnlyDictionary<string, string> keys, StringBuilder reply) => _step switch
    {
        _ when keys.Count == 0 => null,
        Step.AlgorithmWanted => TakeAlgorithms(keys, reply),
        Step.AnswerWanted => TakeAnswer(keys),
        _ => $"{keys.Keys.First()} comes when CHAP is over",
    };

    string? TakeAlgorithms(IReadOnlyDictionary<string, string> keys, StringBuilder reply)
    {
        if (keys.Count != 1 || !keys.TryGetValue(KeyTable.ChapAlgorithm, out string? offered))
        {
            return $"{keys.Keys.First(static key => key != KeyTable.ChapAlgorithm)} comes before an algorithm is agreed on";
        }

        // The initiator's order counts: RFC 7143 section 6.2.1 has the first value chosen that the answering side supports.
        string[] allowed = [.. authentication.Algorithms.Select(static algorithm => ((int)algorithm).ToString(CultureInfo.InvariantCulture))];
        foreach (string number in offered.Split(','))
        {
            if (Array.IndexOf(allowed, number) is >= 0 and var place)
            {
                Algorithm = authentication.Algorithms[place];
                Challenge(number, reply);
                return null;
            }
        }

        return $"the initiator offers no CHAP algorithm that is allowed: {Peer.Printable(offered)}; allowed: {string.Join(',', allowed)}";
    }

    void Challenge(string algorithm, StringBuilder reply)
    {
        Span<byte> identifier = stackalloc byte[1];
        random(identifier);
        _identifier = identifier[0];
        _challenge = new byte[ChapHash.LengthOf(Algorithm)];
        random(_challenge);
        TextPairs.Append(reply, KeyTable.ChapAlgorithm, algorithm);
        TextPairs.Append(reply, KeyTable.ChapIdentifier, _identifier.ToString(CultureInfo.InvariantCulture));
        TextPairs.Append(reply, KeyTable.ChapChallenge, BinaryValue.ToText(_challenge));
        _step = Step.AnswerWanted;
    }

    string? TakeAnswer(IReadOnlyDictionary<string, string> keys)
    {
        if (keys.ContainsKey(KeyTable.ChapAlgorithm))
        {
            return "CHAP_A comes a second time";
        }

        if (!keys.TryGetValue(KeyTable.ChapName, out string? name) || !keys.TryGetValue(KeyTable.ChapResponse, out string? answer))
        {
            return "CHAP_N and CHAP_R do not come together";
        }

        if (name.Length == 0 || Encoding.UTF8.GetByteCount(name) > ChapUser.MaxNameLength)
        {
            return name.Length == 0 ? "CHAP_N is empty" : "CHAP_N is too long";
        }

        if (!BinaryValue.TryParse(answer, ChapHash.MaxLength, out _answer))
        {
            return "CHAP_R is not a hexadecimal or base64 value of a hash's length";
        }

        bool hasIdentifier = keys.TryGetValue(KeyTable.ChapIdentifier, out string? identifier);
        bool hasChallenge = keys.TryGetValue(KeyTable.ChapChallenge, out string? challenge);
        if (hasIdentifier != hasChallenge)
        {
            return "CHAP_I and CHAP_C do not come together";
        }

        if (hasIdentifier)
        {
            if (!TryParseByte(identifier!, out _theirIdentifier))
            {
                return "CHAP_I is not a number from 0 to 255";
            }

            if (!BinaryValue.TryParse(challenge!, ChapHash.MaxChallengeLength, out byte[] bytes))
            {
                return $"CHAP_C is not a hexadecimal or base64 value of 1 to {ChapHash.MaxChallengeLength} bytes";
            }

            if (bytes.AsSpan().SequenceEqual(_challenge))
            {
                return "the initiator sends our own challenge back: a reflection attack";
            }

            if (authentication.Own is null)
            {
                return "the initiator wants the target to prove itself (mutual CHAP), and the target has no name and secret for it";
            }

            _theirChallenge = bytes;
        }

        _name = name;
        _step = Step.AnswerIsThere;
        return null;
    }

    /// <summary>
    /// Looks at the answer, and answers the initiator's challenge if there is one. Null, or what is wrong: the same, in the same time, for a name that is not
    /// known and for an answer that is wrong.
    /// </summary>
    public string? Verify(StringBuilder reply)
    {
        const string wrong = "the name is unknown or the answer to the challenge is wrong";
        _step = Step.Over;
        ReadOnlySpan<byte> nobody = stackalloc byte[ChapSecret.MinLength];
        ChapUser? user = authentication.Find(_name);
        Span<byte> expected = stackalloc byte[ChapHash.LengthOf(Algorithm)];
        ChapHash.Compute(Algorithm, _identifier, user is null ? nobody : user.Secret.Bytes, _challenge, expected);
        bool isRight = CryptographicOperations.FixedTimeEquals(expected, _answer);
        if (!isRight | user is null)
        {
            return wrong;
        }

        if (_theirChallenge is not null)
        {
            ChapUser own = authentication.Own!;
            Span<byte> ours = stackalloc byte[expected.Length];
            ChapHash.Compute(Algorithm, _theirIdentifier, own.Secret.Bytes, _theirChallenge, ours);
            if (CryptographicOperations.FixedTimeEquals(ours, _answer))
            {
                return "the initiator's answer is ours: a reflection attack";
            }

            TextPairs.Append(reply, KeyTable.ChapName, own.Name);
            TextPairs.Append(reply, KeyTable.ChapResponse, BinaryValue.ToText(ours));
            IsMutual = true;
        }

        User = user;
        return null;
    }

    static bool TryParseByte(string text, out byte number) => text.StartsWith("0x", StringComparison.OrdinalIgnoreCase)
        ? byte.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out number)
        : byte.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number);
}
