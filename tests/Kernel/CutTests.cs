using System.Diagnostics;
using System.Globalization;

namespace Scuse.Kernel;

/// <summary>
/// Connections that end at any moment, from either side and in between, while files on ext4 are written, read and compared: the session recovers, and no program in the guest hears of it.
/// <c>tests/Kernel/run cuts</c> is the long form.
/// </summary>
public sealed class CutTests(Guest guest) : PeerTest, IClassFixture<Guest>
{
    const int ShortFormSeconds = 25;

    // From a cut to the end of the next login: 2 s when the machine is idle. The initiator would hold commands back for longer (replacement_timeout).
    const int RecoverySeconds = 240, ReplacementSeconds = 600;

    static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    static readonly int? LongFormSeconds = Number("SCUSE_KERNEL_SECONDS");

    string _portal = "";

    [Fact]
    [Trait("scenario", "cuts")]
    public async Task Connections_are_cut_from_both_sides_and_no_byte_on_ext4_is_wrong()
    {
        Needs.TheLongerTests();
        await guest.BootAsync();
        int seconds = LongFormSeconds ?? ShortFormSeconds, seed = Number("SCUSE_KERNEL_SEED") ?? Random.Shared.Next();
        int port = OpenIscsi.FreePort();
        await using var proxy = new CuttingProxy(port);
        _portal = $"127.0.0.1:{port}?advertise={Guest.HostAddress}:{proxy.Port}";
        ScuseServe serve = await ServeAsync("memory:1G", "--socket", TemporaryFile("attach.sock"), "--portal", "127.0.0.1:0", "--portal", _portal);
        await using OpenIscsi initiator = await OpenIscsi.StartAsync(guest, serve, proxy.Port);
        await initiator.AddAsync();
        await initiator.SetAsync(
            ("conn[0].iscsi.HeaderDigest", "CRC32C"), ("conn[0].iscsi.DataDigest", "CRC32C"), ("session.timeo.replacement_timeout", $"{ReplacementSeconds}"),
            ("conn[0].timeo.noop_out_interval", "3"), ("conn[0].timeo.noop_out_timeout", "5"));
        string disk = await initiator.LoginToDiskAsync();
        VerifiedLoad load = await VerifiedLoad.StartAsync(guest, disk, seconds + RecoverySeconds);
        Stopwatch clock = Stopwatch.StartNew();
        Dictionary<string, int> cuts = await CutAsync(proxy, new Random(seed), TimeSpan.FromSeconds(seconds), load.Ended);
        string time = $"{clock.Elapsed.TotalSeconds:0} s";
        VerifiedLoad.Report report = await load.EndAsync();
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{cuts.Values.Sum()} cuts in {time} ({string.Join(", ", cuts.Select(static cut => $"{cut.Value} {cut.Key}"))}), {proxy.Connections} logins, seed {seed}; "
            + report.Text);
        report.AssertWhole();
        Assert.All(cuts, static cut => Assert.NotEqual(0, cut.Value));
    }

    [Fact]
    public async Task The_checks_find_a_byte_that_is_wrong()
    {
        Needs.TheLongerTests();
        await guest.BootAsync();
        const string Damage = "printf x | dd bs=1 seek=70001 conv=notrunc status=none of=";

        Outcome whole = await guest.RunAsync($"mkdir -p /root/checks && cd /root/checks && {VerifiedLoad.Fio} {VerifiedLoad.SmallBlocks} --rw=write --size=1M && {VerifiedLoad.Fio} {VerifiedLoad.SmallBlocks} --rw=write --size=1M --verify_only");
        Outcome damaged = await guest.RunAsync($"cd /root/checks && {Damage}small && {VerifiedLoad.Fio} {VerifiedLoad.SmallBlocks} --rw=write --size=1M --verify_only");
        Outcome file = await guest.RunAsync($"cd /root/checks && cp /usr/bin/bash . && sha256sum bash >sums && {Damage}bash && sha256sum --quiet -c sums");

        whole.OrThrow();
        Assert.Contains("verify failed", damaged.Output);
        Assert.NotEqual(0, damaged.ExitCode);
        Assert.NotEqual(0, file.ExitCode);
    }

    /// <summary>Cuts, waits until the session is back, and lets a moment pass, for so long or until the load ends; each kind at least once. Tells how many cuts of each kind there were.</summary>
    async Task<Dictionary<string, int>> CutAsync(CuttingProxy proxy, Random random, TimeSpan time, Task load)
    {
        (string Name, Func<Task> Cut)[] kinds =
        [
            ("on the way", () => Task.Run(proxy.Cut)),
            ("by the engine", CutByTheEngineAsync),
            ("by the initiator", () => guest.MustRunAsync($"ss -K dst {Guest.HostAddress} dport = {proxy.Port}")),
            ("of the network", CutOfTheNetworkAsync),
        ];
        var counts = kinds.ToDictionary(static kind => kind.Name, static _ => 0);
        Stopwatch clock = Stopwatch.StartNew();
        for (int number = 0; (clock.Elapsed < time || number < kinds.Length) && !load.IsCompleted; number++)
        {
            await Task.Delay(random.Next(500, 2500));
            (string name, Func<Task> cut) = kinds[number < kinds.Length ? number : random.Next(kinds.Length)];
            int before = proxy.Connections;
            await cut();
            counts[name]++;
            await RecoverAsync(proxy, before, name);
        }

        return counts;
    }

    async Task CutByTheEngineAsync()
    {
        await ScuseAsync("portal", "remove", _portal.Split('?')[0], "--close");
        await ScuseAsync("portal", "add", _portal);
    }

    // The initiator finds out when a NOP-Out of its has had no answer for too long. The engine does not: to it the next login comes in the place of a session that is still there.
    async Task CutOfTheNetworkAsync() => await guest.MustRunAsync(
        """
        ip link set eth0 down
        for i in $(seq 300); do
            grep -q LOGGED_IN /sys/class/iscsi_session/session*/state || break
            sleep 0.2
        done
        ip link set eth0 up
        ip route replace default via 10.0.2.2
        """,
        240);

    async Task RecoverAsync(CuttingProxy proxy, int connectionsBefore, string cut)
    {
        Stopwatch clock = Stopwatch.StartNew();
        while (proxy.Connections == connectionsBefore || (await guest.RunAsync("grep -q LOGGED_IN /sys/class/iscsi_session/session*/state")).ExitCode != 0)
        {
            if (clock.Elapsed.TotalSeconds > RecoverySeconds)
            {
                throw new PeerException($"The session has not recovered within {RecoverySeconds} s of a cut {cut}. The guest's kernel:\n{await guest.KernelLogAsync()}");
            }

            await Task.Delay(100);
        }
    }

    async Task ScuseAsync(params string[] arguments) => (await ScuseServe.RunAsync(Deadline, [.. arguments, "--control", TemporaryFile("attach.sock.control")])).OrThrow();

    static int? Number(string variable) => int.TryParse(Environment.GetEnvironmentVariable(variable), CultureInfo.InvariantCulture, out int number) ? number : null;
}
