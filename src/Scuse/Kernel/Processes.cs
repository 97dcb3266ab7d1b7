using System.Globalization;

namespace Scuse.Cli.Kernel;

/// <summary>What other processes do, as far as it concerns the kernel's target. What cannot be read, for lack of rights or because it has just ended, is passed over.</summary>
/// <param name="folder">Where they are shown: <c>/proc</c>.</param>
sealed class Processes(string folder)
{
    // In these a process waits for an answer to the kernel's notice.
    static readonly string[] s_waitingForAnswer = ["tcmu_wait_genl_cmd_reply", "tcmu_netlink_event_send"];

    // And it has the folder locked, and the one that this is in, when it is about to remove it.
    const string Removing = "configfs_rmdir";

    /// <summary>Who has which of the devices <c>/dev/uioN</c> open.</summary>
    public IReadOnlyDictionary<string, HandlerProcess> OpenersOfUio()
    {
        const string prefix = "/dev/uio";
        Dictionary<string, HandlerProcess> openers = [];
        foreach (int pid in All())
        {
            foreach (string target in Links(Path.Combine(PathOf(pid), "fd")))
            {
                if (target.StartsWith(prefix, StringComparison.Ordinal))
                {
                    openers.TryAdd(Path.GetFileName(target), new HandlerProcess(pid, NameOf(pid)));
                }
            }
        }

        return openers;
    }

    /// <summary>Who waits for a handler's answer to a notice of the kernel, and cannot be killed meanwhile.</summary>
    public IReadOnlyList<HandlerProcess> WaitingForAnswers() => Waiting(static _ => true);

    /// <summary>Who waits so to remove a backstore: who looks into the folders around it waits as well.</summary>
    public IReadOnlyList<HandlerProcess> WaitingToRemove() => Waiting(static stack => stack.Contains(Removing, StringComparison.Ordinal));

    IReadOnlyList<HandlerProcess> Waiting(Func<string, bool> isMeant) =>
    [
        .. All().Where(pid => Threads(pid).Any(thread => Read(Path.Combine(thread, "stack")) is { } stack && s_waitingForAnswer.Any(stack.Contains) && isMeant(stack)))
            .Select(pid => new HandlerProcess(pid, NameOf(pid))),
    ];

    /// <summary>Where a disk is mounted, or used as swap; null: nowhere.</summary>
    public string? UseOf(string disk)
    {
        foreach (string line in (Read(Path.Combine(folder, "mounts")) ?? "").Split('\n'))
        {
            string[] words = line.Split(' ');
            if (words.Length > 1 && IsPartOf(words[0], disk))
            {
                return $"mounted at {words[1]}";
            }
        }

        return (Read(Path.Combine(folder, "swaps")) ?? "").Split('\n').Any(line => IsPartOf(line.Split(' ', '\t')[0], disk)) ? "used as swap" : null;
    }

    static bool IsPartOf(string device, string disk) => device.StartsWith(disk, StringComparison.Ordinal) && device[disk.Length..].All(char.IsAsciiDigit);

    IEnumerable<int> All()
    {
        foreach (string path in Directory.Exists(folder) ? Directory.EnumerateDirectories(folder) : [])
        {
            if (int.TryParse(Path.GetFileName(path), NumberStyles.None, CultureInfo.InvariantCulture, out int pid))
            {
                yield return pid;
            }
        }
    }

    string PathOf(int pid) => Path.Combine(folder, pid.ToString(CultureInfo.InvariantCulture));

    string NameOf(int pid) => Read(Path.Combine(PathOf(pid), "comm"))?.Trim() ?? "?";

    string[] Threads(int pid) => Entries(Path.Combine(PathOf(pid), "task"));

    static IEnumerable<string> Links(string path) => Entries(path).Select(static entry => TryReadLink(entry)).OfType<string>();

    static string[] Entries(string path)
    {
        try
        {
            return Directory.GetFileSystemEntries(path);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    static string? TryReadLink(string path)
    {
        try
        {
            return new FileInfo(path).LinkTarget;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    static string? Read(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
