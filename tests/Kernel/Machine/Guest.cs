using System.Diagnostics;

namespace Scuse.Kernel;

/// <summary>
/// A virtual machine with a Debian kernel, for the tests of one class: it is booted by the first that wants it and ends with the last. It reaches the host's loopback at
/// <see cref="HostAddress"/>, and <see cref="HostFolder"/> is a folder of the host. One such machine runs at a time, whoever wants one.
/// </summary>
public sealed class Guest : IAsyncDisposable
{
    internal const string Qemu = "qemu-system-x86_64";

    /// <summary>What is the host's 127.0.0.1 to the guest.</summary>
    internal const string HostAddress = "10.0.2.2";

    /// <summary>Where the guest sees <see cref="SharedFolder"/>.</summary>
    internal const string HostFolder = "/host";

    // The processor is emulated: 7 s on an idle machine, and 130 have been seen on a busy one. A command that takes a second has taken a minute there.
    static readonly TimeSpan BootDeadline = TimeSpan.FromSeconds(240);
    const double CommandSeconds = 240;

    // Where there is KVM it boots within 3 s. Some have a /dev/kvm that never gets that far.
    static readonly TimeSpan KvmBootDeadline = TimeSpan.FromSeconds(15);

    static readonly TimeSpan Lifetime = TimeSpan.FromSeconds(1500);

    // For who waits for others' machines: as long as one of them may run, or what is left to a short test.
    static readonly TimeSpan LockDeadline = Needs.AllIsAsked ? Lifetime : TimeSpan.FromSeconds(60);

    readonly string _folder = Directory.CreateTempSubdirectory("scuse-guest-").FullName;
    FileStream? _only;
    RunningPeer? _machine;
    GuestAgent? _agent;

    /// <summary>What the kernel said, kept as evidence: <c>artifacts/kernel/NAME.serial.log</c>.</summary>
    internal string SerialLog { get; private set; } = "";

    /// <summary>What the guest sees as <see cref="HostFolder"/>.</summary>
    internal string SharedFolder => Path.Combine(_folder, "shared");

    /// <summary>What it was booted from.</summary>
    internal GuestImage Image { get; private set; } = new("", "");

    /// <summary>Boots it, unless that has been done; skips the test where it cannot be.</summary>
    /// <exception cref="PeerException">It did not come up, or another one did not end.</exception>
    internal async Task BootAsync()
    {
        if (_agent is not null)
        {
            return;
        }

        Image = await Needs.ImageAsync();
        _only ??= await BeTheOnlyOneAsync();
        string evidence = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "../../../kernel"));
        Directory.CreateDirectory(evidence);
        Directory.CreateDirectory(SharedFolder);
        SerialLog = Path.Combine(evidence, $"{TestContext.Current.TestClass!.TestClassSimpleName}.serial.log");
        if (HasKvm())
        {
            _agent = await TryBootAsync("kvm", KvmBootDeadline);
        }

        _agent ??= await TryBootAsync("tcg,thread=multi,tb-size=512", BootDeadline)
            ?? throw new PeerException($"The guest did not come up within {BootDeadline.TotalSeconds:0} s. Its console:\n{Console()}");
    }

    /// <summary>Runs a script of bash in the guest.</summary>
    /// <exception cref="PeerException">The guest has gone, or does not answer.</exception>
    internal async Task<Outcome> RunAsync(string script, double seconds = CommandSeconds)
    {
        try
        {
            return await _agent!.RunAsync(script, TimeSpan.FromSeconds(seconds));
        }
        catch (Exception exception) when (exception is IOException or TimeoutException)
        {
            throw new PeerException($"$ {script}\n{exception.Message}. The guest's console:\n{Console()}");
        }
    }

    /// <summary>The same, when it must go well; returns what the script wrote.</summary>
    internal async Task<string> MustRunAsync(string script, double seconds = CommandSeconds) => (await RunAsync(script, seconds)).OrThrow().Output;

    /// <summary>What the kernel has said up to now, from the last boot on.</summary>
    internal async Task<string> KernelLogAsync() => await MustRunAsync("dmesg");

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await EndAsync();
        if (_only is not null)
        {
            await _only.DisposeAsync();
        }

        Directory.Delete(_folder, recursive: true);
    }

    async Task<GuestAgent?> TryBootAsync(string accelerator, TimeSpan deadline)
    {
        string socket = Path.Combine(_folder, "agent");
        File.Delete(socket);
        File.Delete(SerialLog);
        _machine = RunningPeer.Start("timeout", ["--kill-after=5", $"{Lifetime.TotalSeconds:0}", Qemu, .. Arguments(accelerator, socket)]);
        GuestAgent? agent = await GuestAgent.ConnectAsync(socket, () => _machine.HasExited, deadline);
        if (agent is null)
        {
            await EndAsync();
        }

        return agent;
    }

    string[] Arguments(string accelerator, string socket) =>
    [
        "-M", "q35", "-accel", accelerator, "-cpu", "max", "-smp", "2", "-m", "2048", "-nodefaults", "-display", "none", "-monitor", "none", "-no-reboot",
        "-serial", $"file:{SerialLog}",
        "-kernel", Image.Kernel, "-initrd", Image.Initramfs, "-append", "console=ttyS0 panic=-1 mitigations=off",
        "-drive", $"file={Image.Root},format=raw,if=virtio,snapshot=on",
        "-fsdev", $"local,id=host,path={SharedFolder},security_model=none,multidevs=remap", "-device", "virtio-9p-pci,fsdev=host,mount_tag=host",
        "-device", "virtio-rng-pci",
        "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile=",
        "-chardev", $"socket,id=agent,path={socket},server=on,wait=off", "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent",
    ];

    static bool HasKvm() => File.Exists("/dev/kvm") && (Directory.Exists("/sys/module/kvm_intel") || Directory.Exists("/sys/module/kvm_amd"));

    // A file that is open for one process at a time: what holds it is let go of by the system when that process ends, however it ends.
    static async Task<FileStream> BeTheOnlyOneAsync()
    {
        string path = Path.Combine(Path.GetTempPath(), $"scuse-guest-{Environment.UserName}.lock");
        Stopwatch clock = Stopwatch.StartNew();
        while (true)
        {
            try
            {
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException) when (clock.Elapsed < LockDeadline)
            {
                await Task.Delay(500);
            }
            catch (IOException)
            {
                Assert.SkipUnless(Needs.AllIsAsked, $"needs to be the only guest: another one has been running for {LockDeadline.TotalSeconds:0} s ({path} is locked)");
                throw new PeerException($"Another guest has been running for {LockDeadline.TotalSeconds:0} s ({path} is locked)");
            }
        }
    }

    string Console() => File.Exists(SerialLog) ? string.Join('\n', File.ReadLines(SerialLog).TakeLast(30)) : "(nothing)";

    async Task EndAsync()
    {
        if (_agent is not null)
        {
            await _agent.DisposeAsync();
            _agent = null;
        }

        _machine?.Dispose();
        _machine = null;
    }
}
