using Scuse.Cli.Kernel;

namespace Scuse.Tests.Kernel;

public sealed class BackstoresTests : IDisposable
{
    static readonly NewBackstore s_disk = new("disk", "scuse-memory/64M", 64 << 20, 512);

    readonly FakeKernelTree _tree = new();
    readonly FakeProcesses _processes = new();
    readonly Backstores _backstores;

    public BackstoresTests() => _backstores = new Backstores(_tree, FakeKernelTree.Paths, _processes.Processes);

    public void Dispose() => _processes.Dispose();

    [Fact]
    public void A_new_one_is_told_everything_before_it_is_enabled_and_keeps_nobody_waiting()
    {
        Backstore made = _backstores.Create(s_disk with { Serial = "s1", CommandSeconds = 60 });

        Assert.Equal(
            [
                "mkdir /t/core/user_0", "mkdir /t/core/user_0/disk", "/t/core/user_0/disk/control <- dev_config=scuse-memory/64M,dev_size=67108864,hw_block_size=512,nl_reply_supported=-1",
                "/t/core/user_0/disk/wwn/vpd_unit_serial <- s1", "/t/core/user_0/disk/attrib/cmd_time_out <- 60", "/t/core/user_0/disk/enable <- 1",
            ],
            _tree.Steps);
        Assert.Equal(("user_0/disk", "scuse-memory/64M", 64L << 20, 512, "no handler", "uio0"), (made.Name, made.Config, made.SizeBytes, made.BlockSize, made.State, made.UioDevice));
        Assert.Equal(("scuse-memory", false, 60), (made.Subtype, made.WaitsForAnswers, made.CommandSeconds));
    }

    [Fact]
    public void Each_has_an_HBA_of_its_own_unless_it_is_told_one()
    {
        _backstores.Create(s_disk);
        Assert.Equal("user_1/disk", _backstores.Create(s_disk).Name);
        Assert.Equal("user_0/second", _backstores.Create(s_disk with { DeviceName = "second", Hba = 0 }).Name);

        Assert.Contains("already", Assert.Throws<KernelException>(() => _backstores.Create(s_disk with { Hba = 0 })).Message);
        Assert.Contains("several called 'disk': user_0/disk, user_1/disk", Assert.Throws<KernelException>(() => _backstores.Find("disk")).Message);
        Assert.Equal("user_0/second", _backstores.Find("second").Name);
        Assert.Contains("no user backstore 'third'", Assert.Throws<KernelException>(() => _backstores.Find("third")).Message);
    }

    [Theory]
    [InlineData("control")]
    [InlineData("enable")]
    public void Of_one_that_the_kernel_refuses_nothing_is_left(string step)
    {
        IReadOnlyList<string> before = _tree.Made;
        _tree.Refuses = step;

        Assert.Throws<KernelException>(() => _backstores.Create(s_disk));

        Assert.Equal(before, _tree.Made);
    }

    [Theory]
    [InlineData("a/b", "scuse-memory/64M", 1 << 20, 512, "not a name")]
    [InlineData("disk", "scuse-memory/64M,x=1", 1 << 20, 512, "not a configuration")]
    [InlineData("disk", "", 1 << 20, 512, "not a configuration")]
    [InlineData("disk", "scuse-memory/64M", 1000, 512, "not a number of blocks")]
    [InlineData("disk", "scuse-memory/64M", 1 << 20, 513, "blocks of 513 bytes")]
    public void What_the_kernel_would_take_apart_is_refused(string name, string config, long size, int block, string message)
    {
        Assert.Contains(message, Assert.Throws<FormatException>(() => _backstores.Create(new NewBackstore(name, config, size, block))).Message);
        Assert.Empty(_tree.Steps);
    }

    [Fact]
    public void Who_has_the_device_open_is_its_handler()
    {
        _backstores.Create(s_disk);
        _processes.Add(41, "other", "/dev/uio1");
        _processes.Add(42, "scuse", "/dev/uio0");

        Assert.Equal((new HandlerProcess(42, "scuse"), "served"), (_backstores.Find("disk").Handler, _backstores.Find("disk").State));
        _tree["/t/core/user_0/disk/action/block_dev"] = "1";
        Assert.Equal("held back", _backstores.Find("disk").State);
    }

    [Fact]
    public void A_disk_of_this_machine_comes_and_goes_with_all_that_was_made_for_it()
    {
        IReadOnlyList<string> before = _tree.Made;
        Backstore disk = Served();

        Mapping mapping = _backstores.MapLoopback(disk, "naa.5001405000000001");

        Assert.Equal(new Mapping("loopback", "naa.5001405000000001", "tpgt_1", 0, "/dev/sdx"), mapping);
        Assert.Equal([mapping], _backstores.Find("disk").Mappings);
        Assert.StartsWith("naa.5001405", _tree["/t/loopback/naa.5001405000000001/tpgt_1/nexus"]);
        int at = _tree.Steps.Count;
        _backstores.Remove(_backstores.Find("disk"), isForced: false);
        Assert.Equal(
            [
                "rm /t/loopback/naa.5001405000000001/tpgt_1/lun/lun_0/disk", "rmdir /t/loopback/naa.5001405000000001/tpgt_1/lun/lun_0",
                "/t/loopback/naa.5001405000000001/tpgt_1/nexus <- NULL", "rmdir /t/loopback/naa.5001405000000001/tpgt_1", "rmdir /t/loopback/naa.5001405000000001",
                "rmdir /t/core/user_0/disk", "rmdir /t/core/user_0",
            ],
            _tree.Steps[at..]);
        Assert.Equal([.. before, "/t/loopback"], _tree.Made);
    }

    [Fact]
    public void A_disk_that_is_mounted_stays_unless_it_is_forced()
    {
        _backstores.MapLoopback(Served(), null);
        _processes.Mount("/dev/sdx1", "/mnt");
        Backstore disk = _backstores.Find("disk");

        Assert.Contains("/dev/sdx is mounted at /mnt", Assert.Throws<KernelException>(() => _backstores.Unmap(disk, isForced: false)).Message);
        Assert.Single(_backstores.Find("disk").Mappings);
        _backstores.Unmap(disk, isForced: true);
        Assert.Empty(_backstores.Find("disk").Mappings);
    }

    [Fact]
    public void A_target_of_the_kernel_s_iSCSI_lets_in_those_it_was_told_and_ends_their_sessions_before_it_goes()
    {
        IReadOnlyList<string> before = _tree.Made;
        Backstore disk = Served();

        _backstores.MapIscsi(disk, new NewIscsiMapping("iqn.2026-11.example:a", ["127.0.0.1:3260", "[::1]:3260"], ["iqn.2026-11.example:i"]));

        const string group = "/t/iscsi/iqn.2026-11.example:a/tpgt_1";
        Assert.Equal(("0", "0", "1", "1"), (_tree[$"{group}/attrib/authentication"], _tree[$"{group}/attrib/generate_node_acls"], _tree[$"{group}/attrib/demo_mode_write_protect"], _tree[$"{group}/enable"]));
        Assert.Equal($"{group}/enable <- 1", _tree.Steps[^1]);
        Assert.Equal([("disk", $"{group}/lun/lun_0")], _tree.Links($"{group}/acls/iqn.2026-11.example:i/lun_0"));
        int at = _tree.Steps.Count;
        _backstores.Remove(_backstores.Find("disk"), isForced: false);
        Assert.Equal($"{group}/enable <- 0", _tree.Steps[at]);
        Assert.Equal([.. before, "/t/iscsi"], _tree.Made);
    }

    [Fact]
    public void Of_other_logical_units_of_a_target_nothing_is_touched()
    {
        Backstore disk = Served();
        _backstores.MapIscsi(disk, new NewIscsiMapping("iqn.2026-11.example:a", ["127.0.0.1:3260"], []));
        const string group = "/t/iscsi/iqn.2026-11.example:a/tpgt_1";
        _tree.MakeFolder($"{group}/lun/lun_5");
        _tree.Link($"{group}/lun/lun_5/other", "/t/core/iblock_0/other");

        _backstores.Unmap(_backstores.Find("disk"), isForced: false);

        Assert.Equal(["lun_5"], _tree.Folders($"{group}/lun"));
        Assert.Equal("1", _tree[$"{group}/enable"]);
        Assert.Equal(["127.0.0.1:3260"], _tree.Folders($"{group}/np"));
    }

    [Theory]
    [InlineData("lun_0")]
    [InlineData("np/127")]
    [InlineData("authentication")]
    public void Of_a_mapping_that_the_kernel_refuses_nothing_is_left(string step)
    {
        Backstore disk = Served();
        IReadOnlyList<string> before = _tree.Made;
        _tree.Refuses = step;

        Assert.Throws<KernelException>(() => _backstores.MapIscsi(disk, new NewIscsiMapping("iqn.2026-11.example:a", ["127.0.0.1:3260"], ["iqn.2026-11.example:i"])));

        Assert.Equal([.. before, "/t/iscsi"], _tree.Made);
    }

    [Fact]
    public void Without_a_handler_nothing_is_done_that_would_wait_for_one()
    {
        Backstore disk = _backstores.Create(s_disk with { WaitsForAnswers = true });
        int before = _tree.Steps.Count;

        Assert.Contains("Start one for 'scuse-memory'", Assert.Throws<KernelException>(() => _backstores.MapLoopback(disk, null)).Message);
        Assert.Throws<KernelException>(() => _backstores.MapIscsi(disk, new NewIscsiMapping("iqn.2026-11.example:a", ["127.0.0.1:3260"], [])));
        Assert.Throws<KernelException>(() => _backstores.Resize(disk, 1 << 20));
        Assert.Equal(before, _tree.Steps.Count);

        _backstores.Remove(disk, isForced: false);
        Assert.Equal("/t/core/user_0/disk/attrib/nl_reply_supported <- -1", _tree.Steps[before]);
    }

    [Fact]
    public void Where_it_waits_for_answers_and_is_refused_it_may_be_by_another_program()
    {
        _tree.Refuses = "enable";

        Assert.Contains("leave --wait-for-answers out", Assert.Throws<KernelException>(() => _backstores.Create(s_disk with { WaitsForAnswers = true })).Message);
        Assert.DoesNotContain("--wait-for-answers", Assert.Throws<KernelException>(() => _backstores.Create(s_disk)).Message);
    }

    [Fact]
    public void Another_size_is_asked_of_the_handler()
    {
        Backstore disk = Served();

        _backstores.Resize(disk, 128 << 20);

        Assert.Equal("/t/core/user_0/disk/attrib/dev_size <- 134217728", _tree.Steps[^1]);
        Assert.Throws<KernelException>(() => _backstores.Resize(disk, 1000));
    }

    [Theory]
    [InlineData("memory:64M?thick=1", "scuse-memory/64M?thick=1", 64L << 20)]
    [InlineData("file:data/disk.img?size=1G&direct=1", "scuse-file//here/data/disk.img?size=1G&direct=1", 1L << 30)]
    [InlineData("file:/d.img", "scuse-file//d.img", null)]
    [InlineData("qcow//tmp/disk.img", "qcow//tmp/disk.img", null)]
    public void A_spec_becomes_a_configuration(string spec, string config, long? size) => Assert.Equal((config, size), BackstoreSpec.Parse(spec, "/here"));

    [Fact]
    public void A_spec_that_its_handler_would_refuse_is_refused() => Assert.Throws<FormatException>(() => BackstoreSpec.Parse("memory:64M?colour=red", "/here"));

    [Fact]
    public void While_somebody_waits_to_remove_one_nothing_looks_into_folders_that_may_be_locked()
    {
        Backstore disk = Served();
        _processes.Add(17, "rmdir", stack: FakeProcesses.RemovingStack);
        _tree.LooksIntoBackstores = 0;

        Backstore seen = Assert.Single(_backstores.List());
        string refusal = Assert.Throws<KernelException>(() => _backstores.Find("disk")).Message;
        Assert.Throws<KernelException>(() => _backstores.Create(s_disk with { DeviceName = "second" }));

        Assert.Equal(("user_0/disk", "scuse-memory/64M", "uio0", new HandlerProcess(42, "scuse"), "not known"), (seen.Name, seen.Config, seen.UioDevice, seen.Handler, seen.State));
        Assert.Contains("rmdir (pid 17)", refusal);
        Assert.Equal(0, _tree.LooksIntoBackstores);

        _processes.Remove(17);
        Assert.Equal(disk, _backstores.Find("disk") with { Mappings = disk.Mappings });
    }

    Backstore Served()
    {
        Backstore made = _backstores.Create(s_disk);
        _processes.Add(42, "scuse", $"/dev/{made.UioDevice}");
        return _backstores.Find(made.Name);
    }
}
