using System.Globalization;
using Scuse.Linux;

namespace Scuse.Tcmu;

/// <summary>The UIO devices of user backstores, as sysfs shows them.</summary>
/// <param name="path">Where they are: <c>/sys/class/uio</c>.</param>
sealed class UioFolder(string path)
{
    internal const string WellKnown = "/sys/class/uio";
    const string DevicePrefix = "uio";

    /// <summary>All there are now, with the minor number of each.</summary>
    internal IEnumerable<(uint Minor, BackstoreName Name)> List()
    {
        if (!Directory.Exists(path))
        {
            yield break;
        }

        foreach (string folder in Directory.EnumerateFileSystemEntries(path, DevicePrefix + "*"))
        {
            if (uint.TryParse(Path.GetFileName(folder)[DevicePrefix.Length..], NumberStyles.None, CultureInfo.InvariantCulture, out uint minor) && ReadName(minor) is { } name)
            {
                yield return (minor, name);
            }
        }
    }

    /// <summary>What a device is called now; null when it is gone, or none of a user backstore.</summary>
    internal BackstoreName? ReadName(uint minor) => Read(minor, "name") is { } name ? BackstoreName.Parse(name) : null;

    /// <summary>How many bytes there are to map, which are all to be mapped; 0 when it is gone.</summary>
    internal long ReadMapBytes(uint minor) =>
        Read(minor, "maps/map0/size") is { } text && text.StartsWith("0x", StringComparison.Ordinal)
            && long.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out long bytes) ? bytes : 0;

    string? Read(uint minor, string file)
    {
        try
        {
            return File.ReadAllText(Path.Combine(path, string.Create(CultureInfo.InvariantCulture, $"{DevicePrefix}{minor}"), file)).TrimEnd('\n');
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
