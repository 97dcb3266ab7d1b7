using System.Net;
using System.Text;
using Scuse.Iscsi.Access;
using Scuse.Target;

namespace Scuse.Engine;

/// <summary>Who may log in to a target, or to discovery, as configured.</summary>
public sealed record AccessOptions
{
    /// <summary>
    /// The initiators that may log in: names in which <c>*</c> and <c>?</c> stand for others, and addresses with or without the length of a prefix. Null: all.
    /// </summary>
    public IReadOnlyList<string>? Initiators { get; init; }

    /// <summary>The CHAP users that initiators have to prove to be; null: they need not.</summary>
    public ChapOptions? Chap { get; init; }

    /// <summary>
    /// What initiators see of the target: the first of these that matches counts, and who matches none sees no logical unit. Null: everybody sees everything.
    /// </summary>
    public IReadOnlyList<LunMapOptions>? LunMaps { get; init; }

    /// <summary>Whether not everybody who reaches a portal may log in.</summary>
    public bool IsRestricted => Initiators is not null || Chap is not null;

    /// <summary>Whether others come to the same.</summary>
    internal bool IsSameAs(AccessOptions other) =>
        AreSame(Initiators, other.Initiators, static (one, two) => one == two)
        && (Chap is null ? other.Chap is null : other.Chap is not null && Chap.IsSameAs(other.Chap))
        && AreSame(LunMaps, other.LunMaps, static (one, two) => AreSame(one.Initiators, two.Initiators, static (a, b) => a == b) && AreSame(one.Luns, two.Luns, static (a, b) => a == b));

    internal static bool AreSame<T>(IReadOnlyList<T>? one, IReadOnlyList<T>? other, Func<T, T, bool> isSame) =>
        one is null ? other is null : other is not null && one.Count == other.Count && one.Zip(other, isSame).All(static same => same);

    /// <summary>The rules for the protocol.</summary>
    /// <exception cref="FormatException">Something is wrong; the message is one line for the operator, without a secret.</exception>
    public TargetAccess ToRules() => new()
    {
        Initiators = PatternsOf(Initiators),
        Chap = Chap?.ToRules(),
        LunMaps = LunMaps is null ? null : [.. LunMaps.Select(static map => map.ToRules())],
    };

    internal static IReadOnlyList<InitiatorPattern>? PatternsOf(IReadOnlyList<string>? texts) => texts is null ? null :
    [
        .. texts.Select(static text => InitiatorPattern.TryParse(text, out InitiatorPattern? pattern)
            ? pattern
            : throw new FormatException($"initiator '{text}' is neither an iSCSI name, such as iqn.2026-11.example:* with its wildcards, nor an address, such as 192.0.2.0/24 with no bit set behind the prefix")),
    ];
}

/// <summary>What some initiators see of a target, as configured.</summary>
public sealed record LunMapOptions
{
    /// <summary>Which initiators, as in <see cref="AccessOptions.Initiators"/>.</summary>
    public required IReadOnlyList<string> Initiators { get; init; }

    /// <summary>What they see.</summary>
    public required IReadOnlyList<MappedLunOptions> Luns { get; init; }

    /// <exception cref="FormatException">Something is wrong; the message is one line for the operator.</exception>
    internal InitiatorLuns ToRules()
    {
        try
        {
            return new InitiatorLuns(AccessOptions.PatternsOf(Initiators)!, new LunMap([.. Luns.Select(static lun => new LunMapping(lun.Lun, lun.Unit ?? lun.Lun, lun.ReadOnly))]));
        }
        catch (ArgumentException exception)
        {
            throw new FormatException($"LUN map of {string.Join(", ", Initiators)}: {ChapOptions.WithoutParameter(exception)}", exception);
        }
    }
}

/// <summary>A logical unit in a map, as configured.</summary>
public sealed record MappedLunOptions
{
    /// <summary>The number that the initiators know it by.</summary>
    public required int Lun { get; init; }

    /// <summary>The engine's number; null: the same.</summary>
    public int? Unit { get; init; }

    /// <summary>Whether they may not change it.</summary>
    public bool ReadOnly { get; init; }
}

/// <summary>CHAP as configured.</summary>
public sealed record ChapOptions
{
    /// <summary>Who may log in.</summary>
    public IReadOnlyList<ChapUserOptions> Users { get; init; } = [];

    /// <summary>What the target proves itself with to initiators that ask (mutual CHAP); null: it does not, and refuses them.</summary>
    public ChapUserOptions? Mutual { get; init; }

    /// <summary>The algorithms allowed, of SHA3-256, SHA-256, SHA-1 and MD5; null: all.</summary>
    public IReadOnlyList<string>? Algorithms { get; init; }

    internal bool IsSameAs(ChapOptions other) =>
        AccessOptions.AreSame(Users, other.Users, static (one, two) => one.IsSameAs(two))
        && (Mutual is null ? other.Mutual is null : other.Mutual is not null && Mutual.IsSameAs(other.Mutual))
        && AccessOptions.AreSame(Algorithms, other.Algorithms, static (one, two) => one == two);

    /// <exception cref="FormatException">Something is wrong; the message is one line for the operator, without a secret.</exception>
    internal ChapAuthentication ToRules()
    {
        try
        {
            return new ChapAuthentication(
                [.. Users.Select(static user => user.ToUser())], Mutual?.ToUser(), Algorithms is null ? null : [.. Algorithms.Select(AlgorithmOf)]);
        }
        catch (ArgumentException exception)
        {
            throw new FormatException(WithoutParameter(exception), exception);
        }
    }

    static ChapAlgorithm AlgorithmOf(string name) => name.ToUpperInvariant() switch
    {
        "SHA3-256" => ChapAlgorithm.Sha3,
        "SHA-256" => ChapAlgorithm.Sha256,
        "SHA-1" => ChapAlgorithm.Sha1,
        "MD5" => ChapAlgorithm.Md5,
        _ => throw new FormatException($"CHAP algorithm '{name}' is none of SHA3-256, SHA-256, SHA-1, MD5"),
    };

    internal static string NameOf(ChapAlgorithm algorithm) => algorithm switch
    {
        ChapAlgorithm.Sha3 => "SHA3-256",
        ChapAlgorithm.Sha256 => "SHA-256",
        ChapAlgorithm.Sha1 => "SHA-1",
        _ => "MD5",
    };

    /// <summary>The message as it was written, before the parameter's name was put behind it.</summary>
    internal static string WithoutParameter(ArgumentException exception) =>
        exception.ParamName is { } name ? exception.Message.Replace($" (Parameter '{name}')", "", StringComparison.Ordinal) : exception.Message;
}

/// <summary>A name with its secret as configured.</summary>
public sealed record ChapUserOptions
{
    /// <summary>The name.</summary>
    public required string Name { get; init; }

    /// <summary>The secret, 12 to 255 bytes of UTF-8. It is in no text that the record makes of itself.</summary>
    public required string Secret { get; init; }

    /// <summary>The initiators that may log in as this user, as in <see cref="AccessOptions.Initiators"/>; null: all.</summary>
    public IReadOnlyList<string>? Initiators { get; init; }

    internal bool IsSameAs(ChapUserOptions other) =>
        (Name, Secret) == (other.Name, other.Secret) && AccessOptions.AreSame(Initiators, other.Initiators, static (one, two) => one == two);

    /// <exception cref="FormatException">Something is wrong; the message is one line for the operator, without a secret.</exception>
    internal ChapUser ToUser()
    {
        try
        {
            return new ChapUser(Name, new ChapSecret(Encoding.UTF8.GetBytes(Secret))) { Initiators = AccessOptions.PatternsOf(Initiators) };
        }
        catch (ArgumentException exception)
        {
            throw new FormatException($"CHAP user '{Name}': {ChapOptions.WithoutParameter(exception)}", exception);
        }
    }

    bool PrintMembers(StringBuilder text)
    {
        text.Append("Name = ").Append(Name);
        return true;
    }
}

/// <summary>Whether what is configured lets anybody in from other machines.</summary>
public static class Exposure
{
    /// <summary>What is wrong with a portal there, as one line for the operator; null when nothing is.</summary>
    public static string? ProblemOf(EngineOptions options, PortalOptions portal)
    {
        ArgumentNullException.ThrowIfNull(options);
        return options.Targets.Select(target => ProblemOf(options, target, portal)).FirstOrDefault(static problem => problem is not null);
    }

    /// <summary>What is wrong with a target at a portal there, as one line for the operator; null when nothing is.</summary>
    public static string? ProblemOf(EngineOptions options, TargetOptions target, PortalOptions portal)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(target);
        ArgumentNullException.ThrowIfNull(portal);
        if (options.AllowAnyone || target.Access.IsRestricted || IPAddress.IsLoopback(portal.Address.Address) || portal.Tls?.ClientAuthorityFile is not null)
        {
            return null;
        }

        string disks = options.Targets.Any(other => other.Name != target.Name) ? $"the disks of {target.Name}" : "the disks";
        return $"portal {portal.Address} is reached from other machines, and anybody there could read and write {disks}: say who may log in with --chap-file FILE or "
            + "--initiator PATTERN, ask for certificates with client-ca=, or say --allow-anyone where the network is yours alone";
    }
}
