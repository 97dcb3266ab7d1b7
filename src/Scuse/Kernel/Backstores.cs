using System.Globalization;
using Scuse.Linux;

namespace Scuse.Cli.Kernel;

/// <summary>
/// The kernel's user backstores: makes, shows, resizes and removes them, each in the order in which nobody is left hanging. It touches no other backstore than the one it is told.
/// </summary>
sealed class Backstores(IKernelTree tree, KernelPaths paths, Processes processes)
{
    const int MaxConfigBytes = 255;

    static readonly int[] s_blockSizes = [512, 1024, 2048, 4096];

    readonly Mappings _mappings = new(tree, paths);

    /// <summary>All there are. While somebody waits to remove one, only what can be told without looking into their folders, and only those that have a UIO device.</summary>
    public IReadOnlyList<Backstore> List()
    {
        IReadOnlyDictionary<string, string> devices = UioDevices();
        IReadOnlyDictionary<string, HandlerProcess> openers = processes.OpenersOfUio();
        if (WaitingToRemove.Count > 0)
        {
            return [.. devices.OrderBy(static each => each.Value, StringComparer.Ordinal).Select(each => new Backstore(each.Value, ConfigOf(each.Key), each.Key, openers.GetValueOrDefault(each.Key)))];
        }

        return
        [
            .. tree.Folders(paths.Core).Where(static hba => hba.StartsWith(BackstoreName.HbaPrefix, StringComparison.Ordinal))
                .SelectMany(hba => tree.Folders(Path.Combine(paths.Core, hba)).Where(device => tree.Exists(Path.Combine(paths.Core, hba, device, "enable"))).Select(device => $"{hba}/{device}"))
                .Select(name => Look(name, devices, openers)),
        ];
    }

    /// <summary>
    /// Who waits for the answer to the notice that a backstore goes. Until it comes, the folder of that backstore and the one of its HBA are locked, and who looks into them waits as well. Which they are
    /// is not to be known without looking.
    /// </summary>
    IReadOnlyList<HandlerProcess> WaitingToRemove => processes.WaitingToRemove();

    /// <summary>The one that is meant by a name: <c>user_0/disk</c>, or <c>disk</c> where no other is called so.</summary>
    /// <exception cref="KernelException">None is, or several are; or one cannot look.</exception>
    public Backstore Find(string name)
    {
        MustNotWait();
        Backstore[] found = [.. List().Where(backstore => backstore.Name == name || backstore.DeviceName == name)];
        return found.Length switch
        {
            1 => found[0],
            0 => throw new KernelException($"there is no user backstore '{name}'; `scuse kernel list` shows those there are"),
            _ => throw new KernelException($"there are several called '{name}': {string.Join(", ", found.Select(static backstore => backstore.Name))}"),
        };
    }

    /// <summary>Makes one, and enables it: its handler can serve it then.</summary>
    /// <exception cref="KernelException">It exists, or the kernel refuses; then nothing is left of it.</exception>
    public Backstore Create(NewBackstore wanted)
    {
        Check(wanted);
        MustNotWait();
        if (!tree.Exists(paths.Core))
        {
            throw new KernelException($"there is no {paths.Core}: load the kernel's target with `modprobe target_core_user`; `scuse kernel doctor` tells more");
        }

        string hba = BackstoreName.HbaPrefix + (wanted.Hba ?? LowestFreeHba()).ToString(CultureInfo.InvariantCulture);
        string hbaPath = Path.Combine(paths.Core, hba), path = Path.Combine(hbaPath, wanted.DeviceName);
        if (tree.Exists(path))
        {
            throw new KernelException($"there is a backstore {hba}/{wanted.DeviceName} already");
        }

        bool isNewHba = !tree.Exists(hbaPath);
        if (isNewHba)
        {
            tree.MakeFolder(hbaPath);
        }

        try
        {
            tree.MakeFolder(path);
            string replies = wanted.WaitsForAnswers ? "" : ",nl_reply_supported=-1";
            tree.Write(Path.Combine(path, "control"), string.Create(
                CultureInfo.InvariantCulture, $"dev_config={wanted.Config},dev_size={wanted.SizeBytes},hw_block_size={wanted.BlockSize}{replies}"));
            if (wanted.Serial is { } serial)
            {
                tree.Write(Path.Combine(path, "wwn/vpd_unit_serial"), serial);
            }

            if (wanted.CommandSeconds is { } seconds)
            {
                tree.Write(Path.Combine(path, "attrib/cmd_time_out"), seconds.ToString(CultureInfo.InvariantCulture));
            }

            Enable(path, wanted);
        }
        catch (KernelException)
        {
            TryRemove(path);
            if (isNewHba)
            {
                TryRemove(hbaPath);
            }

            throw;
        }

        return Find($"{hba}/{wanted.DeviceName}");
    }

    void Enable(string path, NewBackstore wanted)
    {
        try
        {
            tree.Write(Path.Combine(path, "enable"), "1");
        }
        catch (KernelException failure) when (wanted.WaitsForAnswers)
        {
            // tcmu-runner refuses in the name of all for which it has no handler.
            throw new KernelException($"{failure.Message}; it may be that another program that answers the kernel's notices has refused it: leave --wait-for-answers out", failure);
        }
    }

    /// <summary>Asks the handler for another capacity; initiators hear of it by themselves.</summary>
    /// <exception cref="KernelException">Nobody serves it, or the kernel refuses.</exception>
    public void Resize(Backstore backstore, long sizeBytes)
    {
        if (sizeBytes <= 0 || sizeBytes % backstore.BlockSize != 0)
        {
            throw new KernelException($"{sizeBytes} bytes are not a number of blocks of {backstore.BlockSize} bytes");
        }

        MustBeServed(backstore, "nobody would hear of the new size");
        tree.Write(Path.Combine(PathOf(backstore), "attrib/dev_size"), sizeBytes.ToString(CultureInfo.InvariantCulture));
    }

    /// <summary>Gives it to initiators of this machine, as a disk.</summary>
    /// <exception cref="KernelException">Nobody serves it, or the kernel refuses; then nothing is left of it.</exception>
    public Mapping MapLoopback(Backstore backstore, string? name)
    {
        MustBeServed(backstore, "the kernel looks at the new disk at once, and who maps it would wait until somebody answers");
        return _mappings.AddLoopback(backstore, PathOf(backstore), name);
    }

    /// <summary>Gives it to initiators of the network, by the kernel's own iSCSI target.</summary>
    /// <exception cref="KernelException">Nobody serves it, or the kernel refuses; then nothing is left of it.</exception>
    public Mapping MapIscsi(Backstore backstore, NewIscsiMapping wanted)
    {
        MustBeServed(backstore, "initiators would wait for it");
        return _mappings.AddIscsi(backstore, PathOf(backstore), wanted);
    }

    /// <summary>Takes it away from all initiators. The disks of this machine are to be out of use.</summary>
    /// <exception cref="KernelException">One is in use, and it is not forced; or the kernel refuses.</exception>
    public void Unmap(Backstore backstore, bool isForced)
    {
        foreach (Mapping mapping in backstore.Mappings)
        {
            if (!isForced && mapping.Disk is { } disk && processes.UseOf(disk) is { } use)
            {
                throw new KernelException($"{disk} is {use}; take it out of use first, or use --force");
            }
        }

        foreach (Mapping mapping in backstore.Mappings)
        {
            _mappings.Remove(mapping, PathOf(backstore));
        }
    }

    /// <summary>Takes it away from all initiators, and removes it; its handler lets go of it.</summary>
    /// <exception cref="KernelException">A disk is in use, or nobody is there to answer the kernel's notice, and it is not forced; or the kernel refuses.</exception>
    public void Remove(Backstore backstore, bool isForced)
    {
        string path = PathOf(backstore);
        Unmap(backstore, isForced);

        // Who removes it waits for an answer then, without an end.
        if (backstore is { WaitsForAnswers: true, Handler: null })
        {
            tree.Write(Path.Combine(path, "attrib/nl_reply_supported"), "-1");
        }

        tree.RemoveFolder(path);
        string hba = Path.GetDirectoryName(path)!;
        if (tree.Folders(hba).Count == 0)
        {
            TryRemove(hba);
        }
    }

    static void Check(NewBackstore wanted)
    {
        if (wanted.DeviceName.Length == 0 || wanted.DeviceName.Any(static character => character is '/' or ',' or '\0' || char.IsWhiteSpace(character)))
        {
            throw new FormatException($"'{wanted.DeviceName}' is not a name for a backstore: neither slashes nor commas nor blanks");
        }

        if (wanted.Config.Length is 0 or > MaxConfigBytes || wanted.Config.Any(static character => character is ',' or '\0' || char.IsWhiteSpace(character)))
        {
            throw new FormatException($"'{wanted.Config}' is not a configuration: SUBTYPE/TEXT of at most {MaxConfigBytes} bytes, without commas and blanks");
        }

        if (!s_blockSizes.Contains(wanted.BlockSize))
        {
            throw new FormatException($"blocks of {wanted.BlockSize} bytes; there are {string.Join(", ", s_blockSizes)}");
        }

        if (wanted.SizeBytes <= 0 || wanted.SizeBytes % wanted.BlockSize != 0)
        {
            throw new FormatException($"{wanted.SizeBytes} bytes are not a number of blocks of {wanted.BlockSize} bytes");
        }
    }

    static void MustBeServed(Backstore backstore, string otherwise)
    {
        if (backstore.Handler is null)
        {
            throw new KernelException($"no handler serves {backstore.Name}: {otherwise}. Start one for '{backstore.Subtype}' first");
        }
    }

    void MustNotWait()
    {
        if (WaitingToRemove is [var first, ..])
        {
            throw new KernelException($"{first} waits for the answer to a removal, without an end, and whoever looks into backstores now would wait with it; `scuse kernel doctor` tells the way out");
        }
    }

    string PathOf(Backstore backstore) => Path.Combine(paths.Core, backstore.Name);

    void TryRemove(string path)
    {
        try
        {
            tree.RemoveFolder(path);
        }
        catch (KernelException)
        {
            // it is still used, or was never made
        }
    }

    int LowestFreeHba()
    {
        int number = 0;
        while (tree.Exists(Path.Combine(paths.Core, BackstoreName.HbaPrefix + number.ToString(CultureInfo.InvariantCulture))))
        {
            number++;
        }

        return number;
    }

    Backstore Look(string name, IReadOnlyDictionary<string, string> devices, IReadOnlyDictionary<string, HandlerProcess> openers)
    {
        string path = Path.Combine(paths.Core, name);
        (string config, string? device) = devices.FirstOrDefault(each => each.Value == name).Key is { } found ? (ConfigOf(found), found) : (ReadConfig(path), null);
        return new Backstore(name, config, device, device is null ? null : openers.GetValueOrDefault(device))
        {
            IsKnown = true,
            SizeBytes = Number(path, "attrib/dev_size") ?? 0,
            BlockSize = (int)(Number(path, "attrib/hw_block_size") ?? 0),
            IsEnabled = Number(path, "enable") == 1,
            IsHeldBack = Number(path, "action/block_dev") == 1,
            WaitsForAnswers = Number(path, "attrib/nl_reply_supported") is { } replies ? replies > 0 : null,
            CommandSeconds = (int?)Number(path, "attrib/cmd_time_out"),
            Mappings = _mappings.Of(path),
        };
    }

    /// <summary>Which backstore each device is for.</summary>
    Dictionary<string, string> UioDevices()
    {
        Dictionary<string, string> devices = [];
        foreach (string device in tree.Folders(paths.Uio).Concat(tree.Links(paths.Uio).Select(static link => link.Name)))
        {
            if (NameOf(device) is { } name)
            {
                devices[device] = name.Path;
            }
        }

        return devices;
    }

    BackstoreName? NameOf(string device) => tree.Read(Path.Combine(paths.Uio, device, "name")) is { } name ? BackstoreName.Parse(name) : null;

    string ConfigOf(string device) => NameOf(device)?.Configuration ?? "";

    /// <summary>What was written to <c>control</c>, where no device tells it.</summary>
    string ReadConfig(string path)
    {
        const string label = "Config: ", end = " Size:";
        string info = tree.Read(Path.Combine(path, "info")) ?? "";
        int at = info.IndexOf(label, StringComparison.Ordinal);
        if (at < 0)
        {
            return "";
        }

        string config = info[(at + label.Length)..];
        return config.IndexOf(end, StringComparison.Ordinal) is int length and >= 0 ? config[..length] : config;
    }

    long? Number(string path, string file) => long.TryParse(tree.Read(Path.Combine(path, file)), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number) ? number : null;
}
