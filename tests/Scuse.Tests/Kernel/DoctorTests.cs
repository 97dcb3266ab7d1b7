using Scuse.Cli.Kernel;

namespace Scuse.Tests.Kernel;

public sealed class DoctorTests : IDisposable
{
    readonly FakeKernelTree _tree = new();
    readonly FakeProcesses _processes = new();
    string? _log;

    public void Dispose() => _processes.Dispose();

    [Fact]
    public void Where_all_is_well_it_says_who_serves_what()
    {
        Create();
        _processes.Add(42, "scuse", "/dev/uio0");

        Assert.All(Examine(), finding => Assert.Equal(Severity.Good, finding.Severity));
        Assert.Contains(Examine(), static finding => finding is { Subject: "user_0/disk", Text: "served by scuse (pid 42)" });
    }

    [Fact]
    public void Without_the_module_it_says_how_to_load_it_and_nothing_else()
    {
        var paths = FakeKernelTree.Paths with { Modules = "/nowhere" };

        Finding finding = Assert.Single(new Doctor(_tree, paths, _processes.Processes, () => null).Examine());

        Assert.Equal(("module", Severity.Problem), (finding.Subject, finding.Severity));
        Assert.Contains("modprobe target_core_user", finding.Cure);
    }

    [Fact]
    public void Without_configfs_it_says_how_to_mount_it()
    {
        var paths = FakeKernelTree.Paths with { Target = "/nowhere" };

        Assert.Contains(new Doctor(_tree, paths, _processes.Processes, () => null).Examine(), static finding => finding.Severity == Severity.Problem && finding.Cure!.Contains("mount -t configfs", StringComparison.Ordinal));
    }

    [Fact]
    public void Who_waits_for_an_answer_for_ever_is_named_with_the_way_out_and_nobody_waits_with_it()
    {
        Create();
        _processes.Add(17, "targetcli", stack: FakeProcesses.RemovingStack);
        _processes.Add(18, "bash", stack: "[<0>] do_wait+0x5\n");
        _tree.LooksIntoBackstores = 0;

        Finding finding = Assert.Single(Examine(), static finding => finding.Subject == "notices");

        Assert.DoesNotContain(Examine(), static finding => finding.Subject == "user_0/disk");
        Assert.Contains("targetcli (pid 17)", finding.Text);
        Assert.Contains("reset_netlink", finding.Cure);
        Assert.Equal(0, _tree.LooksIntoBackstores);
    }

    [Fact]
    public void While_somebody_waits_to_enable_one_the_others_are_looked_at()
    {
        Create();
        _processes.Add(17, "targetcli", stack: FakeProcesses.EnablingStack);

        Assert.Contains(Examine(), static finding => finding is { Subject: "notices", Severity: Severity.Problem });
        Assert.Contains(Examine(), static finding => finding.Subject == "user_0/disk");
    }

    [Fact]
    public void Notices_that_are_blocked_are_a_problem()
    {
        _tree["/module/target_core_user/parameters/block_netlink"] = "blocked";

        Assert.Contains(Examine(), static finding => finding is { Subject: "notices", Severity: Severity.Problem } && finding.Text.Contains("block_netlink", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("cmd_id 5 not found, ring is broken")]
    [InlineData("ring broken, not handling completions")]
    public void A_broken_ring_is_found_in_the_kernel_s_log(string line)
    {
        _log = $"[    1.0] something else\n[   12.5] {line}\n";

        Assert.Contains(Examine(), finding => finding.Subject == "rings" && finding.Text.Contains(line, StringComparison.Ordinal) && finding.Cure!.Contains("reset_ring", StringComparison.Ordinal));
    }

    [Fact]
    public void What_becomes_of_commands_without_a_handler_is_said()
    {
        Create();
        Assert.Contains(Examine(), static finding => finding is { Subject: "user_0/disk", Severity: Severity.Notice } && finding.Text.Contains("nobody uses it", StringComparison.Ordinal));

        _processes.Add(42, "scuse", "/dev/uio0");
        var backstores = new Backstores(_tree, FakeKernelTree.Paths, _processes.Processes);
        backstores.MapLoopback(backstores.Find("disk"), null);
        _processes.Remove(42);
        Assert.Contains(Examine(), static finding => finding is { Severity: Severity.Problem, Cure: "start a handler for 'scuse-memory'" } && finding.Text.Contains("commands fail after 30 s", StringComparison.Ordinal));

        _tree["/t/core/user_0/disk/action/block_dev"] = "1";
        Assert.Contains(Examine(), static finding => finding.Text.Contains("commands are held back", StringComparison.Ordinal));
        _tree["/t/core/user_0/disk/attrib/nl_reply_supported"] = "1";
        Assert.Contains(Examine(), static finding => finding.Severity == Severity.Problem && finding.Text.Contains("without an end", StringComparison.Ordinal));
    }

    [Fact]
    public void Commands_that_are_held_back_from_a_handler_are_a_problem()
    {
        Create();
        _processes.Add(42, "scuse", "/dev/uio0");
        _tree["/t/core/user_0/disk/action/block_dev"] = "1";

        Assert.Contains(Examine(), static finding => finding is { Severity: Severity.Problem, Cure: "echo 0 > action/block_dev" });
    }

    void Create() => new Backstores(_tree, FakeKernelTree.Paths, _processes.Processes).Create(new NewBackstore("disk", "scuse-memory/64M", 64 << 20, 512));

    IReadOnlyList<Finding> Examine() => new Doctor(_tree, FakeKernelTree.Paths, _processes.Processes, () => _log).Examine();
}
