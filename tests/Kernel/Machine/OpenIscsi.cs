using System.Net;
using System.Net.Sockets;

namespace Scuse.Kernel;

/// <summary>The guest's open-iscsi, which talks to one engine on the host. When it is disposed of it has logged out everywhere and forgotten everything.</summary>
sealed class OpenIscsi : IAsyncDisposable
{
    readonly Guest _guest;
    readonly string _target;

    OpenIscsi(Guest guest, string target, int port)
    {
        _guest = guest;
        _target = target;
        Portal = $"{Guest.HostAddress}:{port}";
    }

    /// <summary>Where it finds the engine.</summary>
    public string Portal { get; }

    /// <summary>The name that the guest logs in by.</summary>
    public const string Name = "iqn.2026-11.example:guest";

    /// <summary>The arguments of <c>serve</c> for a portal that the guest can reach, and its port.</summary>
    /// <param name="through">The port by which the guest gets there, where that is another.</param>
    public static (string[] Arguments, int Port) PortalForGuest(int? through = null)
    {
        int port = FreePort();
        return (["--portal", $"127.0.0.1:{port}?advertise={Guest.HostAddress}:{through ?? port}"], port);
    }

    /// <summary>A port of the host's loopback that nobody uses.</summary>
    public static int FreePort()
    {
        using var free = new TcpListener(IPAddress.Loopback, 0);
        free.Start();
        return ((IPEndPoint)free.LocalEndpoint).Port;
    }

    /// <summary>Has the guest's iscsid run. No more than that: it knows of no target yet.</summary>
    public static async Task<OpenIscsi> StartAsync(Guest guest, ScuseServe serve, int? port = null)
    {
        await guest.BootAsync();
        await StartDaemonAsync(guest);
        return new OpenIscsi(guest, serve.Target, port ?? serve.Port);
    }

    /// <summary>The daemon alone, for who names targets by hand.</summary>
    public static Task StartDaemonAsync(Guest guest) =>
        guest.MustRunAsync($"""
            pgrep iscsid >/dev/null && exit
            modprobe -a iscsi_tcp sd_mod sg
            echo InitiatorName={Name} >/etc/iscsi/initiatorname.iscsi
            sed -i 's/^iscsid.startup.*//' /etc/iscsi/iscsid.conf
            iscsid
            """);

    /// <summary>Asks the portal for its targets, with settings of the discovery record given by name and value.</summary>
    public Task<Outcome> DiscoverAsync(params (string Name, string Value)[] settings)
    {
        string record = $"iscsiadm -m discoverydb -t st -p {Portal}";
        return _guest.RunAsync($"""
            {record} -o new >/dev/null
            {string.Join('\n', settings.Select(setting => $"{record} -o update -n discovery.sendtargets.{setting.Name} -v '{setting.Value}' || exit"))}
            {record} --discover
            """);
    }

    /// <summary>The same by a discovery that goes well, and then changes settings of the node's record.</summary>
    public async Task FindAsync(params (string Name, string Value)[] settings)
    {
        (await DiscoverAsync()).OrThrow();
        await SetAsync(settings);
    }

    /// <summary>Makes a record of the node by hand, without discovery.</summary>
    public Task AddAsync() => _guest.MustRunAsync($"{Node} -o new");

    /// <summary>Changes settings of the node's record; they count from the next login on.</summary>
    public Task SetAsync(params (string Name, string Value)[] settings) =>
        _guest.MustRunAsync(string.Join('\n', [":", .. settings.Select(setting => $"{Node} -o update -n node.{setting.Name} -v '{setting.Value}' || exit")]));

    public Task<Outcome> LoginAsync() => _guest.RunAsync($"{Node} --login");

    public async Task LogoutAsync() => (await _guest.RunAsync($"{Node} --logout")).OrThrow();

    /// <summary>Logs in, which must go well, and waits for the disk; its path.</summary>
    public async Task<string> LoginToDiskAsync()
    {
        (await LoginAsync()).OrThrow();
        return (await GuestDisk.WaitForAsync(_guest, GuestDisk.OfIscsi))[0];
    }

    /// <summary>What the guest says was agreed on, by the names of sysfs: <c>header_digest</c>, <c>max_burst_len</c> and so on.</summary>
    public async Task<IReadOnlyDictionary<string, string>> AgreedAsync()
    {
        string output = await _guest.MustRunAsync("""
            cd /sys/class
            for value in iscsi_session/session*/* iscsi_connection/connection*/*; do
                [ -f "$value" ] && [ -r "$value" ] && case $value in *password* | */uevent) ;; *) echo "${value##*/} $(cat "$value" 2>/dev/null)" ;; esac
            done
            true
            """);
        return output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(static line => line.Split(' ', 2)).GroupBy(static pair => pair[0]).ToDictionary(static group => group.Key, static group => group.First()[1].Trim());
    }

    public async ValueTask DisposeAsync() =>
        await _guest.RunAsync("iscsiadm -m node --logoutall=all; iscsiadm -m node -o delete; iscsiadm -m discoverydb -o delete; rm -rf /etc/iscsi/nodes/* /etc/iscsi/send_targets/*");

    string Node => $"iscsiadm -m node -T {_target} -p {Portal}";
}
