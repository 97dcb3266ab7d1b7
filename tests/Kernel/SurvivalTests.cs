namespace Scuse.Kernel;

/// <summary>Linux's own initiator while handlers die, engines are started again and portals are gone: no program in the guest hears of it, and no byte on ext4 is wrong.</summary>
public sealed class SurvivalTests(Guest guest) : PeerTest, IClassFixture<Guest>
{
    const string User = "alice", Secret = "correct-horse-battery";
    const int HandlerKills = 10, EngineRestarts = 2;

    // How long a portal is gone; on a busy machine the guest takes its time to notice that it is, and that it is back.
    const int CutSeconds = 20, NoticeSeconds = 120;

    const int RecoverySeconds = 240;

    static readonly TimeSpan Pause = TimeSpan.FromSeconds(2);

    [Fact]
    public async Task Ten_kills_of_the_handler_and_two_of_the_engine_reach_no_program()
    {
        Needs.TheLongerTests();
        await guest.BootAsync();
        string users = TemporaryFile("chap.json");
        await File.WriteAllTextAsync(users, $$"""{ "users": [{ "name": "{{User}}", "secret": "{{Secret}}" }] }""");
        File.SetUnixFileMode(users, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        string[] arguments = [$"file:{TemporaryFile("disk.img")}?size=512M", "--socket", TemporaryFile("attach.sock"), "--chap-file", users, .. OpenIscsi.PortalForGuest().Arguments];
        ScuseServe serve = await ServeAsync(arguments);
        await using OpenIscsi initiator = await OpenIscsi.StartAsync(guest, serve);
        await initiator.AddAsync();
        await initiator.SetAsync(
            ("session.auth.authmethod", "CHAP"), ("session.auth.username", User), ("session.auth.password", Secret), ("conn[0].iscsi.HeaderDigest", "CRC32C"), ("conn[0].iscsi.DataDigest", "CRC32C"),
            ("session.timeo.replacement_timeout", "600"));
        VerifiedLoad load = await VerifiedLoad.StartAsync(guest, await initiator.LoginToDiskAsync(), (HandlerKills + EngineRestarts) * RecoverySeconds);

        int attached = 1;
        for (int kill = 1; kill <= HandlerKills; kill++)
        {
            await Task.Delay(Pause);
            ProcessTree.Signal("KILL", serve.HandlerPid());
            await serve.WaitForAttachmentAsync(count: ++attached, seconds: RecoverySeconds);
            if (kill % (HandlerKills / EngineRestarts) == 0)
            {
                await Task.Delay(Pause);
                serve.Signal("KILL");
                await serve.WaitForExitAsync();
                serve = await ServeAsync(arguments);
                await serve.WaitForAttachmentAsync(seconds: RecoverySeconds);
                attached = 1;
                await guest.MustRunAsync($"for i in $(seq {RecoverySeconds * 5}); do grep -q LOGGED_IN /sys/class/iscsi_session/session*/state && exit; sleep 0.2; done; exit 1", RecoverySeconds);
            }

            Assert.False(load.Ended.IsCompleted, "the load has ended by itself");
        }

        VerifiedLoad.Report report = await load.EndAsync();
        TestContext.Current.TestOutputHelper?.WriteLine($"{HandlerKills} kills of the handler, {EngineRestarts} of the engine; {report.Text}");
        report.AssertWhole();
    }

    [Fact]
    public async Task With_two_portals_either_may_be_gone_for_a_while()
    {
        Needs.TheLongerTests();
        await guest.BootAsync();
        int[] ports = [OpenIscsi.FreePort(), OpenIscsi.FreePort()];
        CuttingProxy[] ways = [new(ports[0]), new(ports[1])];
        string[] portals = [.. ports.Zip(ways, static (port, way) => $"127.0.0.1:{port}?advertise={Guest.HostAddress}:{way.Port}")];
        ScuseServe serve = await ServeAsync("memory:512M", "--portal", portals[0], "--portal", portals[1]);
        await using OpenIscsi first = await OpenIscsi.StartAsync(guest, serve, ways[0].Port), second = await OpenIscsi.StartAsync(guest, serve, ways[1].Port);
        try
        {
            foreach (OpenIscsi initiator in (OpenIscsi[])[first, second])
            {
                await initiator.AddAsync();
                await initiator.SetAsync(("session.timeo.replacement_timeout", "5"), ("conn[0].timeo.noop_out_interval", "2"), ("conn[0].timeo.noop_out_timeout", "4"));
                (await initiator.LoginAsync()).OrThrow();
            }

            VerifiedLoad load = await VerifiedLoad.StartAsync(guest, await StartMultipathAsync(), 2 * (CutSeconds + (3 * NoticeSeconds)));
            List<long> written = [];
            for (int i = 0; i < ways.Length; i++)
            {
                int port = ways[i].Port;
                await ways[i].DisposeAsync();
                await WaitForPathsAsync(1);
                long before = await WrittenAsync();
                await Task.Delay(TimeSpan.FromSeconds(CutSeconds));
                written.Add(await WrittenAsync() - before);
                ways[i] = new CuttingProxy(ports[i], port);
                await WaitForPathsAsync(2);
                Assert.False(load.Ended.IsCompleted, "the load has ended by itself");
            }

            VerifiedLoad.Report report = await load.EndAsync();
            TestContext.Current.TestOutputHelper?.WriteLine($"two portals, each gone for {CutSeconds} s, {string.Join(" and ", written)} sectors written meanwhile; {report.Text}");
            report.AssertWhole(mayLosePaths: true);
            Assert.All(written, static sectors => Assert.NotEqual(0, sectors));
        }
        finally
        {
            await guest.RunAsync("umount /mnt; multipath -F; pkill multipathd");
            foreach (CuttingProxy way in ways)
            {
                await way.DisposeAsync();
            }
        }
    }

    /// <summary>Has the guest make one disk of two paths; the disk.</summary>
    async Task<string> StartMultipathAsync()
    {
        string disk = await guest.MustRunAsync("""
            modprobe -a dm-multipath dm-service-time scsi_dh_alua
            cat >/etc/multipath.conf <<'end'
            defaults {
                find_multipaths no
                user_friendly_names yes
                polling_interval 2
                no_path_retry queue
            }
            blacklist {
                devnode "^vd"
            }
            end
            pgrep udevd >/dev/null || /lib/systemd/systemd-udevd --daemon >/dev/null 2>&1
            udevadm trigger
            udevadm settle
            multipathd >/dev/null 2>&1
            for i in $(seq 300); do
                disk=$(realpath /dev/mapper/mpath? 2>/dev/null)
                if [ -b "$disk" ] && [ $(ls /sys/block/${disk#/dev/}/slaves | wc -l) = 2 ]; then
                    echo "$disk"
                    exit
                fi
                sleep 0.2
            done
            multipath -ll -v3
            exit 1
            """, 240);
        return disk.Trim();
    }

    /// <summary>Waits until so many paths work, by the word of multipathd.</summary>
    Task<string> WaitForPathsAsync(int count) => guest.MustRunAsync(
        $"""for i in $(seq {NoticeSeconds * 2}); do [ "$(multipathd show paths format '%t' | grep -cx 'active *')" = {count} ] && exit; sleep 0.5; done; multipathd show paths; exit 1""", 3 * NoticeSeconds);

    /// <summary>How many sectors have been written to the disk of both paths.</summary>
    async Task<long> WrittenAsync() => long.Parse(await guest.MustRunAsync("awk '{print $7}' /sys/block/dm-0/stat"));
}
