using System.Globalization;
using Scuse.Iscsi.Negotiation;
using Scuse.Tests;

namespace Scuse.Iscsi.Tests.Negotiation;

/// <summary>docs/protocol-support.md says of every key of RFC 7143 what becomes of it. Here that is held against <see cref="KeyTable"/>.</summary>
public class KeysInTheDocument
{
    const int Result = 2, Use = 3, Range = 4, Ours = 5;

    static readonly Dictionary<string, string[]> Rows = DocumentTables.Read("docs/protocol-support.md")["keys"].ToDictionary(static row => row[0], StringComparer.Ordinal);

    /// <summary>Section 13.26, and any other key that begins with X-, X# or Z-: it is not known, and said to be.</summary>
    const string PrivateKeys = "X-, X#, Y-, Z-";

    public static TheoryData<string> Names => [.. KeyTable.All.Select(static key => key.Name)];

    [Fact]
    public void Every_key_has_a_line_and_every_line_has_a_key() =>
        Assert.Equal(KeyTable.All.Select(static key => key.Name).Append(PrivateKeys).Order(StringComparer.Ordinal), Rows.Keys.Order(StringComparer.Ordinal));

    [Theory]
    [MemberData(nameof(Names))]
    public void A_line_says_what_the_code_does(string name)
    {
        KeyDefinition key = KeyTable.Find(name)!;
        string[] row = Rows[name];
        Assert.Equal(ResultOf(key), row[Result]);
        Assert.Equal(UseOf(key), row[Use]);
        Assert.Equal(RangeOf(key), row[Range]);
        if (OursOf(key) is { } ours)
        {
            Assert.Equal(ours, row[Ours]);
        }
    }

    [Theory]
    [InlineData("X-com.example.key")]
    [InlineData("X#NodeArchitecture")]
    [InlineData("Y-com.example.digest")]
    [InlineData("Z-com.example.method")]
    public void Private_keys_are_not_known(string name) => Assert.Null(KeyTable.Find(name));

    static string ResultOf(KeyDefinition key) => key.Kind switch
    {
        KeyKind.List => "list",
        KeyKind.BooleanAnd => "AND",
        KeyKind.BooleanOr => "OR",
        KeyKind.NumericMinimum => "minimum",
        KeyKind.NumericMaximum => "maximum",
        KeyKind.NumericDeclaration or KeyKind.TextDeclaration => "declared",
        KeyKind.Request => "request",
        KeyKind.Obsolete => "obsolete",
        _ => throw new InvalidOperationException($"{key.Name}: {key.Kind}"),
    };

    static string UseOf(KeyDefinition key) => string.Join(", ", UsesOf(key));

    static IEnumerable<string> UsesOf(KeyDefinition key)
    {
        yield return key.Phases switch
        {
            KeyPhases.Security => "security",
            KeyPhases.Operational => "operational",
            KeyPhases.FullFeature => "full feature",
            KeyPhases.Login => "login",
            KeyPhases.Operational | KeyPhases.FullFeature => "operational, full feature",
            KeyPhases.All => "any",
            _ => throw new InvalidOperationException($"{key.Name}: {key.Phases}"),
        };
        if (!key.FromInitiator)
        {
            yield return "by targets";
        }

        if (key.IsLeadingOnly)
        {
            yield return "first connection";
        }

        if (key.IrrelevantInDiscovery)
        {
            yield return "normal session";
        }
    }

    static string RangeOf(KeyDefinition key) => key.Kind is KeyKind.NumericMinimum or KeyKind.NumericMaximum or KeyKind.NumericDeclaration
        ? string.Create(CultureInfo.InvariantCulture, $"{key.Minimum} to {key.Maximum}")
        : "";

    static string? OursOf(KeyDefinition key)
    {
        var options = new IscsiOptions();
        return key.Kind switch
        {
            KeyKind.List when key.Name != KeyTable.AuthMethod => string.Join(", ", key.OurList),
            KeyKind.BooleanAnd or KeyKind.BooleanOr => key.OurFlag(options) ? KeyResult.Yes : KeyResult.No,
            KeyKind.NumericMinimum or KeyKind.NumericMaximum => key.OurNumber(options).ToString(CultureInfo.InvariantCulture),
            KeyKind.Obsolete => key.FixedAnswer,
            _ => null,
        };
    }
}
