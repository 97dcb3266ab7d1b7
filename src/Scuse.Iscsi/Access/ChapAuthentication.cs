using Scuse.Iscsi.Login.Chap;

namespace Scuse.Iscsi.Access;

/// <summary>That initiators have to prove with CHAP who they are, and what the target proves to those that ask. RFC 7143 section 12.1.3.</summary>
public sealed class ChapAuthentication
{
    /// <summary>All algorithms, the best first.</summary>
    public static IReadOnlyList<ChapAlgorithm> AllAlgorithms { get; } = [ChapAlgorithm.Sha3, ChapAlgorithm.Sha256, ChapAlgorithm.Sha1, ChapAlgorithm.Md5];

    readonly Dictionary<string, ChapUser> _users = new(StringComparer.Ordinal);

    /// <summary>What is asked of initiators.</summary>
    /// <param name="users">Who may log in.</param>
    /// <param name="own">What the target proves itself with to an initiator that asks (mutual CHAP); null: such an initiator is refused.</param>
    /// <param name="algorithms">The algorithms allowed, in any order; all when null. Those that this host does not have are left out.</param>
    /// <exception cref="ArgumentException">
    /// There is no user, a name is there twice, no algorithm is left, or a secret is used both ways, which would let an initiator have the target compute the
    /// answer to the target's own challenge.
    /// </exception>
    public ChapAuthentication(IReadOnlyCollection<ChapUser> users, ChapUser? own = null, IReadOnlyCollection<ChapAlgorithm>? algorithms = null)
    {
        ArgumentNullException.ThrowIfNull(users);
        foreach (ChapUser user in users)
        {
            if (!_users.TryAdd(user.Name, user))
            {
                throw new ArgumentException($"CHAP user '{user.Name}' is there twice", nameof(users));
            }

            if (own is not null && user.Secret.IsSameAs(own.Secret))
            {
                throw new ArgumentException($"CHAP user '{user.Name}' and the target have the same secret; each way needs its own", nameof(own));
            }
        }

        if (users.Count == 0)
        {
            throw new ArgumentException("CHAP without a user lets nobody in", nameof(users));
        }

        Own = own;
        Algorithms = [.. AllAlgorithms.Where(algorithm => algorithms?.Contains(algorithm) != false && ChapHash.IsSupported(algorithm))];
        if (Algorithms.Count == 0)
        {
            throw new ArgumentException("this host has none of the CHAP algorithms allowed", nameof(algorithms));
        }
    }

    /// <summary>Who may log in.</summary>
    public IReadOnlyCollection<ChapUser> Users => _users.Values;

    /// <summary>What the target proves itself with; null: it does not.</summary>
    public ChapUser? Own { get; }

    /// <summary>The algorithms that can be agreed on, the best first; which it is, is the initiator's choice among them (RFC 7143 section 6.2.1).</summary>
    public IReadOnlyList<ChapAlgorithm> Algorithms { get; }

    /// <summary>The user of that name, exactly; null when there is none.</summary>
    public ChapUser? Find(string name) => _users.GetValueOrDefault(name);
}
