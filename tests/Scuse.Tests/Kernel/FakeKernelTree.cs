using Scuse.Cli.Kernel;

namespace Scuse.Tests.Kernel;

/// <summary>
/// Configfs as the kernel's target has it, as far as backstores need it: folders come with files and folders of their own, what is in use cannot be removed, and a backstore that is enabled gets a UIO device.
/// </summary>
sealed class FakeKernelTree : IKernelTree
{
    public static readonly KernelPaths Paths = new() { Target = "/t", Uio = "/uio", ScsiDevices = "/scsi", Modules = "/module", Processes = "/none" };

    readonly SortedSet<string> _given = new(StringComparer.Ordinal), _made = new(StringComparer.Ordinal);
    readonly SortedDictionary<string, string> _files = new(StringComparer.Ordinal), _links = new(StringComparer.Ordinal);
    int _devices;

    public FakeKernelTree()
    {
        _given.UnionWith(["/t", "/t/core", "/t/core/iblock_0", "/uio", "/scsi", "/module", "/module/target_core_user"]);
        _files["/module/target_core_user/parameters/block_netlink"] = "unblocked";
        _made.Add("/t/core/iblock_0/other");
    }

    /// <summary>What was done, in order.</summary>
    public List<string> Steps { get; } = [];

    /// <summary>How often it was looked into a backstore's folder, or its HBA's, which waits as long as somebody removes it.</summary>
    public int LooksIntoBackstores { get; set; }

    /// <summary>What the kernel refuses, by the step.</summary>
    public string? Refuses { get; set; }

    /// <summary>Everything that was made and is still there.</summary>
    public IReadOnlyList<string> Made => [.. _made, .. _links.Keys];

    public string this[string file]
    {
        get => _files[file];
        set => _files[file] = value;
    }

    public bool Exists(string path) => Seen(_given.Contains(path) || _made.Contains(path) || _files.ContainsKey(path) || _links.ContainsKey(path), path);

    public IReadOnlyList<string> Folders(string path) => [.. Seen(_given, path).Concat(_made).Where(folder => Parent(folder) == path).Select(Name).Order(StringComparer.Ordinal)];

    public IReadOnlyList<(string Name, string Target)> Links(string path) => [.. _links.Where(link => Parent(link.Key) == path).Select(link => (Name(link.Key), link.Value))];

    public string? Read(string path) => Seen(_files.GetValueOrDefault(path), path);

    public void Write(string path, string text)
    {
        Step($"{path} <- {text}");
        if (!_files.ContainsKey(path))
        {
            throw new KernelException($"{path}: no such file");
        }

        string folder = Parent(path);
        if (Name(path) == "control")
        {
            foreach (string[] pair in text.Split(',').Select(static part => part.Split('=', 2)))
            {
                _files[pair[0] == "dev_config" ? $"{folder}/info" : $"{folder}/attrib/{pair[0]}"] = pair[0] == "dev_config" ? $"Status: DEACTIVATED\n        Config: {pair[1]} Size: 0" : pair[1];
            }
        }
        else
        {
            _files[path] = text;
        }

        if (Name(path) == "enable" && text == "1" && folder.StartsWith("/t/core/user_", StringComparison.Ordinal))
        {
            string device = $"/uio/uio{_devices++}", info = _files[$"{folder}/info"];
            _given.Add(device);
            _files[$"{device}/name"] = $"tcm-user/{Parent(folder)["/t/core/user_".Length..]}/{Name(folder)}/{info[(info.IndexOf("Config: ", StringComparison.Ordinal) + 8)..info.IndexOf(" Size:", StringComparison.Ordinal)]}";
        }
    }

    public void MakeFolder(string path)
    {
        Step($"mkdir {path}");
        if (Exists(path) || !Exists(Parent(path)))
        {
            throw new KernelException($"{path}: it is there, or its parent is not");
        }

        _made.Add(path);
        switch (path.Split('/'))
        {
            case [_, "t", "core", _, _]:
                foreach ((string file, string value) in ((string, string)[])[("control", ""), ("enable", "0"), ("info", ""), ("attrib/dev_size", "0"), ("attrib/hw_block_size", "512"),
                    ("attrib/nl_reply_supported", "1"), ("attrib/cmd_time_out", "30"), ("action/block_dev", "0"), ("wwn/vpd_unit_serial", "T10 VPD Unit Serial Number: ")])
                {
                    _files[$"{path}/{file}"] = value;
                }

                break;
            case [_, "t", var fabric, _, var group] when fabric != "core" && group.StartsWith("tpgt_", StringComparison.Ordinal):
                _given.UnionWith([$"{path}/lun", $"{path}/acls", $"{path}/np", $"{path}/attrib"]);
                foreach (string file in fabric == "loopback" ? (string[])["nexus", "address"] : ["enable", "attrib/authentication", "attrib/generate_node_acls", "attrib/cache_dynamic_acls", "attrib/demo_mode_write_protect"])
                {
                    _files[$"{path}/{file}"] = file == "address" ? "2:0:1" : "0";
                }

                break;
        }
    }

    public void RemoveFolder(string path)
    {
        Step($"rmdir {path}");
        if (!_made.Contains(path))
        {
            throw new KernelException($"{path}: there is none that could be removed");
        }

        string inside = path + "/";
        if (_made.Any(folder => folder.StartsWith(inside, StringComparison.Ordinal)) || _links.Keys.Any(link => link.StartsWith(inside, StringComparison.Ordinal)))
        {
            throw new KernelException($"{path}: directory not empty");
        }

        if (_links.ContainsValue(path))
        {
            throw new KernelException($"{path}: device or resource busy");
        }

        if (_files.TryGetValue($"{path}/nexus", out string? nexus) && nexus.StartsWith("naa.", StringComparison.Ordinal))
        {
            throw new KernelException($"{path}: device or resource busy: it has a nexus");
        }

        _made.Remove(path);
        _given.RemoveWhere(folder => folder.StartsWith(inside, StringComparison.Ordinal));
        foreach (string file in _files.Keys.Where(file => file.StartsWith(inside, StringComparison.Ordinal)).ToArray())
        {
            _files.Remove(file);
        }

        string device = $"tcm-user/{path.Replace("/t/core/user_", "", StringComparison.Ordinal)}/";
        foreach (string uio in _given.Where(folder => Parent(folder) == "/uio" && _files[$"{folder}/name"].StartsWith(device, StringComparison.Ordinal)).ToArray())
        {
            _given.Remove(uio);
            _files.Remove($"{uio}/name");
        }
    }

    public void Link(string path, string target)
    {
        Step($"ln {target} {path}");
        if (!Exists(Parent(path)) || !Exists(target))
        {
            throw new KernelException($"{path}: no such file or directory");
        }

        _links[path] = target;
        if (path.StartsWith("/t/loopback/", StringComparison.Ordinal))
        {
            _given.UnionWith(["/scsi/2:0:1:0", "/scsi/2:0:1:0/device", "/scsi/2:0:1:0/device/block", "/scsi/2:0:1:0/device/block/sdx"]);
        }
    }

    public void Unlink(string path)
    {
        Step($"rm {path}");
        if (!_links.Remove(path))
        {
            throw new KernelException($"{path}: no such link");
        }
    }

    T Seen<T>(T what, string path)
    {
        if (path.StartsWith("/t/core/user_", StringComparison.Ordinal))
        {
            LooksIntoBackstores++;
        }

        return what;
    }

    void Step(string step)
    {
        if (Refuses is { } refused && step.Contains(refused, StringComparison.Ordinal))
        {
            throw new KernelException($"{step}: the kernel refuses");
        }

        Steps.Add(step);
    }

    static string Parent(string path) => path[..Math.Max(0, path.LastIndexOf('/'))];

    static string Name(string path) => path[(path.LastIndexOf('/') + 1)..];
}

/// <summary>A folder of processes, as <c>/proc</c> shows them.</summary>
sealed class FakeProcesses : IDisposable
{
    /// <summary>What the kernel shows of a thread that waits for the answer to the notice of a backstore that goes, and of one that comes.</summary>
    public const string RemovingStack = "[<0>] tcmu_netlink_event_send+0x17e/0x2d0 [target_core_user]\n[<0>] tcmu_destroy_device+0xc3/0x150 [target_core_user]\n[<0>] configfs_rmdir+0x302/0x390 [configfs]\n[<0>] do_rmdir+0x171/0x1b0\n";

    public const string EnablingStack = "[<0>] tcmu_netlink_event_send+0x17e/0x2d0 [target_core_user]\n[<0>] tcmu_configure_device+0x26e/0x390 [target_core_user]\n[<0>] configfs_write_iter+0xb0/0x120 [configfs]\n";

    readonly string _folder = Directory.CreateTempSubdirectory("scuse-proc-").FullName;

    public Processes Processes => new(_folder);

    public void Add(int pid, string name, string? opens = null, string stack = "")
    {
        string path = Path.Combine(_folder, $"{pid}");
        Directory.CreateDirectory(Path.Combine(path, "fd"));
        Directory.CreateDirectory(Path.Combine(path, "task", $"{pid}"));
        File.WriteAllText(Path.Combine(path, "comm"), name + "\n");
        File.WriteAllText(Path.Combine(path, "task", $"{pid}", "stack"), stack);
        if (opens is not null)
        {
            File.CreateSymbolicLink(Path.Combine(path, "fd", "7"), opens);
        }
    }

    public void Remove(int pid) => Directory.Delete(Path.Combine(_folder, $"{pid}"), recursive: true);

    public void Mount(string device, string place) => File.AppendAllText(Path.Combine(_folder, "mounts"), $"{device} {place} ext4 rw 0 0\n");

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
