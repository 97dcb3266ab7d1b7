using System.Globalization;
using System.Security.Cryptography;

namespace Scuse.Cli.Kernel;

/// <summary>What a logical unit of the kernel's iSCSI target is to be.</summary>
/// <param name="Target">The target's iSCSI name.</param>
/// <param name="Portals">Where it listens: ADDRESS:PORT.</param>
/// <param name="Initiators">Who may log in; none: whoever comes.</param>
sealed record NewIscsiMapping(string Target, IReadOnlyList<string> Portals, IReadOnlyList<string> Initiators);

/// <summary>The logical units through which initiators see backstores: found on every fabric, made on two.</summary>
sealed class Mappings(IKernelTree tree, KernelPaths paths)
{
    const string Group = "tpgt_1", GroupPrefix = "tpgt_", LunPrefix = "lun_";

    // The company id is the one that Linux targets have always used for names they make up.
    const string NaaPrefix = "naa.5001405";
    const int NaaDigits = 9;

    static readonly TimeSpan s_diskDeadline = TimeSpan.FromSeconds(10), s_look = TimeSpan.FromMilliseconds(100);

    /// <summary>All logical units that lead to a backstore.</summary>
    public IReadOnlyList<Mapping> Of(string backstorePath)
    {
        List<Mapping> found = [];
        foreach (string fabric in tree.Folders(paths.Target).Where(static name => name != "core"))
        {
            foreach (string target in tree.Folders(Path.Combine(paths.Target, fabric)))
            {
                foreach (string group in tree.Folders(Path.Combine(paths.Target, fabric, target)).Where(static name => name.StartsWith(GroupPrefix, StringComparison.Ordinal)))
                {
                    string luns = Path.Combine(paths.Target, fabric, target, group, "lun");
                    foreach (string lun in tree.Folders(luns).Where(lun => tree.Links(Path.Combine(luns, lun)).Any(link => link.Target == backstorePath)))
                    {
                        int number = int.Parse(lun.AsSpan(LunPrefix.Length), NumberStyles.None, CultureInfo.InvariantCulture);
                        found.Add(new Mapping(fabric, target, group, number, fabric == Mapping.Loopback ? DiskOf(target, group, number) : null));
                    }
                }
            }
        }

        return found;
    }

    /// <summary>Makes a disk of this machine, and waits until it is one.</summary>
    /// <exception cref="KernelException">The kernel refuses; then nothing is left of it.</exception>
    public Mapping AddLoopback(Backstore backstore, string backstorePath, string? name)
    {
        string target = name ?? NewNaa();
        if (!target.StartsWith("naa.", StringComparison.Ordinal))
        {
            throw new FormatException($"'{target}' is not a name for a target on the loopback fabric: naa. and 16 hexadecimal digits");
        }

        Make(Mapping.Loopback, target, group =>
        {
            tree.Write(Path.Combine(group, "nexus"), NewNaa());
            AddLun(group, 0, backstore, backstorePath);
        });
        return new Mapping(Mapping.Loopback, target, Group, 0, WaitForDisk(target));
    }

    /// <summary>Makes a target of the kernel's iSCSI, with this as its only logical unit.</summary>
    /// <exception cref="KernelException">The kernel refuses; then nothing is left of it.</exception>
    public Mapping AddIscsi(Backstore backstore, string backstorePath, NewIscsiMapping wanted)
    {
        Make(Mapping.Iscsi, wanted.Target, group =>
        {
            bool isOpen = wanted.Initiators.Count == 0;
            (string, string)[] attributes =
            [
                ("authentication", "0"), ("generate_node_acls", isOpen ? "1" : "0"), ("cache_dynamic_acls", isOpen ? "1" : "0"), ("demo_mode_write_protect", isOpen ? "0" : "1"),
            ];
            foreach ((string attribute, string value) in attributes)
            {
                tree.Write(Path.Combine(group, "attrib", attribute), value);
            }

            string lun = AddLun(group, 0, backstore, backstorePath);
            foreach (string initiator in wanted.Initiators)
            {
                string acl = Path.Combine(group, "acls", initiator), mapped = Path.Combine(acl, LunPrefix + "0");
                tree.MakeFolder(acl);
                tree.MakeFolder(mapped);
                tree.Link(Path.Combine(mapped, backstore.DeviceName), lun);
            }

            foreach (string portal in wanted.Portals)
            {
                tree.MakeFolder(Path.Combine(group, "np", portal));
            }

            tree.Write(Path.Combine(group, "enable"), "1");
        });
        return new Mapping(Mapping.Iscsi, wanted.Target, Group, 0, null);
    }

    /// <summary>Removes a logical unit, and the target with it when it was its last one.</summary>
    /// <exception cref="KernelException">The kernel refuses.</exception>
    public void Remove(Mapping mapping, string backstorePath)
    {
        string target = Path.Combine(paths.Target, mapping.Fabric, mapping.Target), group = Path.Combine(target, mapping.Group);
        string luns = Path.Combine(group, "lun"), lun = Path.Combine(luns, LunPrefix + mapping.Lun.ToString(CultureInfo.InvariantCulture));
        bool isLast = tree.Folders(luns).Count == 1;
        if (isLast && mapping.Fabric == Mapping.Iscsi)
        {
            // Sessions end first: nobody sends commands to what goes.
            tree.Write(Path.Combine(group, "enable"), "0");
        }

        foreach (string acl in tree.Folders(Path.Combine(group, "acls")).Select(name => Path.Combine(group, "acls", name)))
        {
            foreach (string mapped in tree.Folders(acl).Where(static name => name.StartsWith(LunPrefix, StringComparison.Ordinal)).Select(name => Path.Combine(acl, name)))
            {
                (string Name, string Target)[] links = [.. tree.Links(mapped).Where(link => link.Target == lun)];
                foreach ((string name, _) in links)
                {
                    tree.Unlink(Path.Combine(mapped, name));
                }

                if (links.Length > 0)
                {
                    tree.RemoveFolder(mapped);
                }
            }

            if (isLast)
            {
                tree.RemoveFolder(acl);
            }
        }

        foreach ((string name, _) in tree.Links(lun).Where(link => link.Target == backstorePath))
        {
            tree.Unlink(Path.Combine(lun, name));
        }

        tree.RemoveFolder(lun);
        if (isLast)
        {
            RemoveGroup(mapping.Fabric, target, group);
        }
    }

    void RemoveGroup(string fabric, string target, string group)
    {
        foreach (string portal in tree.Folders(Path.Combine(group, "np")))
        {
            tree.RemoveFolder(Path.Combine(group, "np", portal));
        }

        if (fabric == Mapping.Loopback && tree.Exists(Path.Combine(group, "nexus")))
        {
            tree.Write(Path.Combine(group, "nexus"), "NULL");
        }

        tree.RemoveFolder(group);
        if (!tree.Folders(target).Any(static name => name.StartsWith(GroupPrefix, StringComparison.Ordinal)))
        {
            tree.RemoveFolder(target);
        }
    }

    string AddLun(string group, int number, Backstore backstore, string backstorePath)
    {
        string lun = Path.Combine(group, "lun", LunPrefix + number.ToString(CultureInfo.InvariantCulture));
        tree.MakeFolder(lun);
        tree.Link(Path.Combine(lun, backstore.DeviceName), backstorePath);
        return lun;
    }

    /// <summary>Makes a new target with one group, or nothing.</summary>
    void Make(string fabric, string name, Action<string> fill)
    {
        string folder = Path.Combine(paths.Target, fabric), target = Path.Combine(folder, name), group = Path.Combine(target, Group);
        if (tree.Exists(target))
        {
            throw new KernelException($"there is a target {name} already");
        }

        if (!tree.Exists(folder))
        {
            tree.MakeFolder(folder); // the kernel loads the fabric's module
        }

        try
        {
            tree.MakeFolder(target);
            tree.MakeFolder(group);
            fill(group);
        }
        catch (KernelException)
        {
            TakeBack(fabric, target, group);
            throw;
        }
    }

    void TakeBack(string fabric, string target, string group)
    {
        try
        {
            string acls = Path.Combine(group, "acls"), luns = Path.Combine(group, "lun");
            foreach (string path in tree.Folders(acls).SelectMany(acl => tree.Folders(Path.Combine(acls, acl)).Where(static name => name.StartsWith(LunPrefix, StringComparison.Ordinal)).Select(lun => Path.Combine(acls, acl, lun)))
                .Concat(tree.Folders(acls).Select(acl => Path.Combine(acls, acl)))
                .Concat(tree.Folders(luns).Select(lun => Path.Combine(luns, lun))))
            {
                foreach ((string name, _) in tree.Links(path))
                {
                    tree.Unlink(Path.Combine(path, name));
                }

                tree.RemoveFolder(path);
            }

            if (tree.Exists(group))
            {
                RemoveGroup(fabric, target, group);
            }
            else if (tree.Exists(target))
            {
                tree.RemoveFolder(target);
            }
        }
        catch (KernelException)
        {
            // what is told is why it could not be made
        }
    }

    /// <summary>The disk that a logical unit of the loopback fabric is: the kernel tells its host, channel and target.</summary>
    string? DiskOf(string target, string group, int lun)
    {
        string? address = tree.Read(Path.Combine(paths.Target, Mapping.Loopback, target, group, "address"));
        return address is null ? null
            : tree.Folders(Path.Combine(paths.ScsiDevices, string.Create(CultureInfo.InvariantCulture, $"{address}:{lun}"), "device", "block")) is [var disk, ..] ? $"/dev/{disk}" : null;
    }

    string? WaitForDisk(string target)
    {
        DateTime deadline = DateTime.UtcNow + s_diskDeadline;
        while (true)
        {
            if (DiskOf(target, Group, 0) is { } disk)
            {
                return disk;
            }

            if (DateTime.UtcNow > deadline || !tree.Exists(paths.ScsiDevices))
            {
                return null;
            }

            Thread.Sleep(s_look);
        }
    }

    static string NewNaa() => NaaPrefix + RandomNumberGenerator.GetHexString(NaaDigits, lowercase: true);
}
