using System.Globalization;

namespace Scuse.Iscsi.Negotiation;

/// <summary>How a key's value comes about. RFC 7143 sections 6.2 and 13.</summary>
internal enum KeyKind
{
    /// <summary>The responder takes the first value of the list that it supports.</summary>
    List,

    /// <summary>The result is Yes when both say Yes.</summary>
    BooleanAnd,

    /// <summary>The result is Yes when one says Yes.</summary>
    BooleanOr,

    /// <summary>The result is the smaller number.</summary>
    NumericMinimum,

    /// <summary>The result is the larger number.</summary>
    NumericMaximum,

    /// <summary>Each side declares its own number; there is no answer.</summary>
    NumericDeclaration,

    /// <summary>One side declares a text; there is no answer.</summary>
    TextDeclaration,

    /// <summary>A key of RFC 3720 that is no more; the answer is fixed. RFC 7143 section 13.</summary>
    Obsolete,

    /// <summary>A request for something, handled by its own code.</summary>
    Request,
}

/// <summary>When a key may be used: the columns "Use" and "Scope" of RFC 7143 section 13.</summary>
[Flags]
internal enum KeyPhases
{
    None = 0,
    Security = 1,
    Operational = 2,
    FullFeature = 4,

    /// <summary>LO: leading login only.</summary>
    Login = Security | Operational,

    /// <summary>ALL.</summary>
    All = Login | FullFeature,
}

/// <summary>A key's answer with the value that both sides use from then on.</summary>
/// <param name="Answer">The value to answer with; null when the key is only a declaration.</param>
/// <param name="Applies">Whether a value came about: not with Reject and Irrelevant.</param>
/// <param name="Number">The result of a numeric key.</param>
/// <param name="Flag">The result of a boolean key.</param>
/// <param name="Text">The result of a list or the declared text.</param>
internal readonly record struct KeyResult(string? Answer, bool Applies, uint Number = 0, bool Flag = false, string Text = "")
{
    public const string Reject = "Reject";
    public const string Irrelevant = "Irrelevant";
    public const string NotUnderstood = "NotUnderstood";
    public const string None = "None";
    public const string Yes = "Yes";
    public const string No = "No";

    public static KeyResult Rejected => new(Reject, false);
}

/// <summary>One text key: type, range, when and by whom it may be used, our value, and what its result sets.</summary>
internal sealed record KeyDefinition(string Name, KeyKind Kind, KeyPhases Phases)
{
    /// <summary>Whether an initiator may send it; false for what only targets declare.</summary>
    public bool FromInitiator { get; init; } = true;

    /// <summary>The smallest number allowed.</summary>
    public uint Minimum { get; init; }

    /// <summary>The largest number allowed.</summary>
    public uint Maximum { get; init; } = uint.MaxValue;

    /// <summary>Whether it has no meaning in a discovery session.</summary>
    public bool IrrelevantInDiscovery { get; init; }

    /// <summary>Whether a session's first connection alone may negotiate it, since it holds for the whole session.</summary>
    public bool IsLeadingOnly { get; init; }

    /// <summary>Our number.</summary>
    public Func<IscsiOptions, uint> OurNumber { get; init; } = static _ => 0;

    /// <summary>Our boolean.</summary>
    public Func<IscsiOptions, bool> OurFlag { get; init; } = static _ => false;

    /// <summary>The list values that we support, in no order of ours: the offer's order decides.</summary>
    public string[] OurList { get; init; } = [];

    /// <summary>The answer to an obsolete key.</summary>
    public string FixedAnswer { get; init; } = KeyResult.No;

    /// <summary>What the result sets.</summary>
    public Action<SessionParameters, KeyResult> Apply { get; init; } = static (_, _) => { };

    /// <summary>Whether the key may come more than once during login: names are repeated by some initiators.</summary>
    public bool MayRepeat => Kind is KeyKind.TextDeclaration or KeyKind.NumericDeclaration or KeyKind.Request;

    /// <summary>The result of an offered value: a pure function.</summary>
    public KeyResult Resolve(string offered, IscsiOptions options) => Kind switch
    {
        KeyKind.List => ResolveList(offered),
        KeyKind.BooleanAnd or KeyKind.BooleanOr => ResolveBoolean(offered, OurFlag(options)),
        KeyKind.NumericMinimum or KeyKind.NumericMaximum => ResolveNumber(offered, OurNumber(options)),
        KeyKind.NumericDeclaration => TryNumber(offered, out uint number) ? new(null, true, Number: number) : KeyResult.Rejected,
        KeyKind.TextDeclaration => new(null, true, Text: offered),
        KeyKind.Obsolete => new(FixedAnswer, false),
        _ => KeyResult.Rejected,
    };

    KeyResult ResolveList(string offered)
    {
        foreach (string value in offered.Split(','))
        {
            if (Array.IndexOf(OurList, value) >= 0)
            {
                return new KeyResult(value, true, Text: value);
            }
        }

        return KeyResult.Rejected;
    }

    KeyResult ResolveBoolean(string offered, bool ours)
    {
        bool theirs = offered == KeyResult.Yes;
        if (!theirs && offered != KeyResult.No)
        {
            return KeyResult.Rejected;
        }

        bool result = Kind == KeyKind.BooleanAnd ? theirs && ours : theirs || ours;
        return new KeyResult(result ? KeyResult.Yes : KeyResult.No, true, Flag: result);
    }

    KeyResult ResolveNumber(string offered, uint ours)
    {
        if (!TryNumber(offered, out uint theirs))
        {
            return KeyResult.Rejected;
        }

        uint result = Kind == KeyKind.NumericMinimum ? Math.Min(theirs, ours) : Math.Max(theirs, ours);
        return new KeyResult(result.ToString(CultureInfo.InvariantCulture), true, Number: result);
    }

    /// <summary>A number in decimal or, after 0x, hexadecimal digits (RFC 7143 section 6.1), inside the key's range.</summary>
    bool TryNumber(string text, out uint number)
    {
        bool isNumber = text.StartsWith("0x", StringComparison.OrdinalIgnoreCase)
            ? uint.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out number)
            : uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number);
        return isNumber && number >= Minimum && number <= Maximum;
    }
}
