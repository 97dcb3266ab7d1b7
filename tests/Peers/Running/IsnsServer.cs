using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text.RegularExpressions;

namespace Scuse.Peers;

/// <summary>What an initiator gets to know of a target from an iSNS server.</summary>
/// <param name="Portals">Where it is, as <c>address:port,tag</c>.</param>
/// <param name="Entity">The identifier of its network entity.</param>
sealed record IsnsTarget(string[] Portals, string Entity);

/// <summary>A running isnsd of open-isns, without authentication, and an initiator that asks it.</summary>
sealed partial class IsnsServer : IDisposable
{
    static readonly TimeSpan Deadline = TimeSpan.FromSeconds(20);

    readonly string _folder;
    readonly int _periodSeconds;
    RunningPeer? _running;

    /// <param name="folder">For its files.</param>
    /// <param name="periodSeconds">How long it keeps what is not renewed.</param>
    public IsnsServer(string folder, int periodSeconds = 600)
    {
        _folder = folder;
        _periodSeconds = periodSeconds;
        using var free = new TcpListener(IPAddress.Loopback, 0);
        free.Start();
        Port = ((IPEndPoint)free.LocalEndpoint).Port;
    }

    public int Port { get; }

    public string Address => $"127.0.0.1:{Port}";

    /// <summary>Starts it, with nothing registered but an initiator, which can see all targets.</summary>
    public async Task StartAsync()
    {
        Directory.CreateDirectory(_folder);
        string common = $"Security = 0\nControlSocket = {_folder}/control\n";
        await File.WriteAllTextAsync($"{_folder}/isnsd.conf", $"{common}SourceName = iqn.2026-11.example:isns\nBindAddress = {Address}\nDefaultDiscoveryDomain = 1\nRegistrationPeriod = {_periodSeconds}s\nPIDFile = {_folder}/pid\nSLPRegister = 0\n");
        await File.WriteAllTextAsync($"{_folder}/host.conf", $"{common}SourceName = iqn.2026-11.example:host\nServerAddress = {Address}\n");
        _running = RunningPeer.Start("isnsd", "-f", "-4", "-c", $"{_folder}/isnsd.conf");
        Stopwatch clock = Stopwatch.StartNew();
        while (!await IsListeningAsync())
        {
            if (clock.Elapsed > Deadline || _running.HasExited)
            {
                throw new PeerException($"isnsd does not listen at {Address}");
            }

            await Task.Delay(50);
        }

        await RegisterInitiatorAsync();
    }

    /// <summary>Ends it; what it knew is gone.</summary>
    public void Stop()
    {
        _running?.Dispose();
        _running = null;
    }

    /// <summary>The targets that an initiator sees.</summary>
    public async Task<Dictionary<string, IsnsTarget>> TargetsAsync()
    {
        await RegisterInitiatorAsync(); // its own registration is forgotten like any other
        Outcome answer = await AdministerAsync("--query", "iscsi-node-type=target");
        Dictionary<string, IsnsTarget> targets = [];
        string entity = "";
        foreach (string part in answer.Output.Split("object["))
        {
            Dictionary<string, string> values = Attribute().Matches(part).ToDictionary(static match => match.Groups[1].Value, static match => match.Groups[2].Value.Trim('"'));
            entity = values.GetValueOrDefault("Entity identifier", entity);
            if (values.TryGetValue("iSCSI name", out string? name))
            {
                targets.Add(name, new IsnsTarget([], entity));
            }
            else if (values.TryGetValue("Portal group name", out string? of))
            {
                string place = $"{values["Portal group address"]}:{values["Portal group port"].Split('/')[0]},{values["Portal group tag"]}";
                targets[of] = targets[of] with { Portals = [.. targets[of].Portals, place] };
            }
        }

        return targets;
    }

    /// <summary>Waits until an initiator sees what is expected.</summary>
    public async Task UntilAsync(Func<Dictionary<string, IsnsTarget>, bool> what, double seconds = 20)
    {
        Stopwatch clock = Stopwatch.StartNew();
        Dictionary<string, IsnsTarget> targets = await TargetsAsync();
        while (!what(targets))
        {
            if (clock.Elapsed.TotalSeconds > seconds)
            {
                throw new PeerException($"after {seconds} s the iSNS server tells {string.Join("; ", targets.Select(static each => $"{each.Key} of {each.Value.Entity} at {string.Join(" ", each.Value.Portals)}"))}");
            }

            await Task.Delay(100);
            targets = await TargetsAsync();
        }
    }

    public void Dispose() => Stop();

    async Task RegisterInitiatorAsync() => (await AdministerAsync("--register", "initiator")).OrThrow();

    Task<Outcome> AdministerAsync(params string[] arguments) => Peer.RunAsync(Deadline, "isnsadm", ["-c", $"{_folder}/host.conf", .. arguments]);

    async Task<bool> IsListeningAsync()
    {
        try
        {
            using var client = new TcpClient();
            await client.ConnectAsync(IPAddress.Loopback, Port);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    [GeneratedRegex(@"^  [0-9a-f]{4}  \w+ +: ([^=]+?) = (.*?)(?: \(\d+\))?$", RegexOptions.Multiline)]
    private static partial Regex Attribute();
}
