using System.Globalization;

namespace Scuse.Tcmu;

/// <summary>
/// What the kernel calls the UIO device of a user backstore: <c>tcm-user/HBA/DEVICE/CONFIGURATION</c>. By convention the configuration begins with a subtype, which says whose the backstore is,
/// and after the next slash the text is the handler's own.
/// </summary>
/// <param name="Hba">The number in <c>core/user_HBA</c> of configfs.</param>
/// <param name="Device">The folder's name below that.</param>
/// <param name="Subtype">Whose it is; empty when nobody said.</param>
/// <param name="Text">The handler's own text; empty when there is none.</param>
sealed record BackstoreName(uint Hba, string Device, string Subtype, string Text)
{
    const string Prefix = "tcm-user/";

    /// <summary>Where it is below <c>core</c> of configfs, and what people know it by.</summary>
    internal string Path => string.Create(CultureInfo.InvariantCulture, $"user_{Hba}/{Device}");

    /// <summary>Takes a name apart; null when it is not one of a user backstore.</summary>
    internal static BackstoreName? Parse(string name)
    {
        if (!name.StartsWith(Prefix, StringComparison.Ordinal))
        {
            return null;
        }

        string[] parts = name[Prefix.Length..].Split('/', 4);
        return parts.Length >= 2 && parts[1].Length > 0 && uint.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out uint hba)
            ? new BackstoreName(hba, parts[1], parts.Length > 2 ? parts[2] : "", parts.Length > 3 ? parts[3] : "")
            : null;
    }

    /// <summary>Whether the operator means it by a name: <c>user_0/disk</c>, or <c>disk</c> alone.</summary>
    internal bool Matches(string name) => name == Path || name == Device;
}
