using System.Text;

namespace Scuse.Iscsi.Access;

/// <summary>A name with its CHAP secret: an initiator's, or the target's own.</summary>
public sealed record ChapUser
{
    /// <summary>The longest name, in bytes of UTF-8.</summary>
    public const int MaxNameLength = 255;

    /// <summary>A user.</summary>
    /// <exception cref="ArgumentException">The name is empty, too long, or has control characters.</exception>
    public ChapUser(string name, ChapSecret secret)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(secret);
        if (Encoding.UTF8.GetByteCount(name) > MaxNameLength || name.Any(char.IsControl))
        {
            throw new ArgumentException($"a CHAP name has at most {MaxNameLength} bytes, and no control characters", nameof(name));
        }

        Name = name;
        Secret = secret;
    }

    /// <summary>What goes in CHAP_N.</summary>
    public string Name { get; }

    /// <summary>What is proved to be known.</summary>
    public ChapSecret Secret { get; }

    /// <summary>
    /// The initiators that may log in as this user: one of these has to match. Null: all. Without it whoever knows any user's secret can call himself by any
    /// initiator's name, and so take its sessions and reservations over.
    /// </summary>
    public IReadOnlyList<InitiatorPattern>? Initiators { get; init; }
}
