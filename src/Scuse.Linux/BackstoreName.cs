using System.Globalization;

namespace Scuse.Linux;

/// <summary>
/// What the kernel calls the UIO device of a user backstore: <c>tcm-user/HBA/DEVICE/CONFIGURATION</c>. By convention the configuration begins with a subtype, which says whose the backstore is,
/// and after the next slash the text is the handler's own.
/// </summary>
/// <param name="Hba">The number in <c>core/user_HBA</c> of configfs.</param>
/// <param name="Device">The folder's name below that.</param>
/// <param name="Configuration">What its <c>dev_config</c> says; empty when nobody said.</param>
public sealed record BackstoreName(uint Hba, string Device, string Configuration)
{
    /// <summary>What folders of HBAs are called, before their number.</summary>
    public const string HbaPrefix = "user_";

    const string Prefix = "tcm-user/";

    /// <summary>Where it is below <c>core</c> of configfs, and what people know it by.</summary>
    public string Path => string.Create(CultureInfo.InvariantCulture, $"{HbaPrefix}{Hba}/{Device}");

    /// <summary>Whose it is; empty when nobody said.</summary>
    public string Subtype => Configuration.Split('/', 2)[0];

    /// <summary>The handler's own text; empty when there is none.</summary>
    public string Text => Configuration.Split('/', 2) is [_, var text] ? text : "";

    /// <summary>Takes a name apart; null when it is not one of a user backstore.</summary>
    public static BackstoreName? Parse(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        if (!name.StartsWith(Prefix, StringComparison.Ordinal))
        {
            return null;
        }

        string[] parts = name[Prefix.Length..].Split('/', 3);
        return parts.Length >= 2 && parts[1].Length > 0 && uint.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out uint hba)
            ? new BackstoreName(hba, parts[1], parts.Length > 2 ? parts[2] : "")
            : null;
    }

    /// <summary>Whether the operator means it by a name: <c>user_0/disk</c>, or <c>disk</c> alone.</summary>
    public bool Matches(string name) => name == Path || name == Device;
}
