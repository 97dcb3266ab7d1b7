using System.Net;
using System.Text;
using Scuse.Cli.Configuration;
using Scuse.Engine;

namespace Scuse.Cli.Tests;

/// <summary>What the command line and a file come to.</summary>
public sealed class EngineConfigurationTests : IDisposable
{
    const string Two = """
        { "targets": [
            { "name": "iqn.2026-11.example:a", "luns": ["memory:1M?count=2", "attach:mine", { "spec": "file:b.img?size=1M", "lun": 9 }, "memory:2M"] },
            { "name": "iqn.2026-11.example:b", "luns": ["memory:1M"] } ] }
        """;

    readonly string _folder = Directory.CreateTempSubdirectory("scuse-config-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    EngineConfiguration Read(string json, ServeSettings? commandLine = null) => new(commandLine ?? new ServeSettings(), ConfigFile.Parse(Path.Combine(_folder, "engine.json"), Encoding.UTF8.GetBytes(json)));

    static ServeSettings CommandLine(params string[] specs) =>
        new() { Targets = [new TargetSettings { Name = TargetOptions.DefaultName, Luns = [.. specs.Select(static spec => new LunSettings { Spec = spec })] }] };

    string Secrets(string name, string content)
    {
        string path = Path.Combine(_folder, name);
        File.WriteAllText(path, content);
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return path;
    }

    [Fact]
    public void A_file_says_all_that_the_command_line_can()
    {
        Secrets("chap.json", """{ "discovery": { "users": [{ "name": "finder", "secret": "secret-of-the-finder" }] } }""");

        EngineOptions options = Read("""
            { "portals": ["127.0.0.1:3270", "[::1]:3271?advertise=here:1"], "portalGroup": 7, "advertise": "there:2", "isns": "192.0.2.5", "chapFile": "chap.json",
              "initiators": ["iqn.2026-11.example:*"], "allowAnyone": true, "socket": "a.sock", "control": "c.sock", "commandTimeout": 5, "qfullTimeout": 6, "onLoss": "busy",
              "dataArea": "1M", "globalDataArea": "1G", "keepHandlers": 8, "state": "kept", "nopInterval": 9, "errorRecoveryLevel": 2, "limits": ["sessions=10"], "spin": 11, "reactors": 3, "spread": true, "pin": true,
              "targets": [{ "name": "iqn.2026-11.example:a", "luns": ["memory:1M"] }] }
            """).Options;
        LunOptions lun = Assert.Single(Assert.Single(options.Targets).Luns);

        Assert.Equal([("127.0.0.1:3270", "there:2"), ("[::1]:3271", "here:1")], options.Portals.Select(static portal => (portal.Address.ToString(), portal.Advertised!)));
        Assert.Equal((7, 2, 9000, 10), (options.Iscsi.TargetPortalGroupTag, options.Iscsi.ErrorRecoveryLevel, options.Iscsi.NopIntervalMs, options.Iscsi.MaxSessions));
        Assert.Equal(new IsnsOptions("192.0.2.5"), options.Isns);
        Assert.Equal("finder", Assert.Single(options.DiscoveryAccess.Chap!.Users).Name);
        Assert.Equal(["iqn.2026-11.example:*"], options.DiscoveryAccess.Initiators!);
        Assert.Equal((3, true, true), (options.Reactors, options.SpreadTargets, options.PinReactors));
        Assert.Equal((true, 1L << 30, 8, 11), (options.AllowAnyone, options.GlobalDataAreaBytes, options.KeepHandlersSeconds, options.SpinMicroseconds));
        Assert.Equal((5000, 6000, HandlerLossPolicy.Busy, 1L << 20), (lun.CommandTimeoutMs, lun.QueueFullTimeoutMs, lun.OnHandlerLoss, lun.DataAreaBytes));
        Assert.Equal((Path.Combine(_folder, "a.sock"), Path.Combine(_folder, "kept"), Path.Combine(_folder, "chap.json")), (options.SocketPath, options.StateFolder, options.ChapFile));
    }

    [Fact]
    public void A_file_that_says_nothing_comes_to_what_no_options_come_to()
    {
        EngineOptions file = Read("{}").Options, line = new EngineConfiguration(CommandLine("memory:1M"), null).Options;

        Assert.Empty(file.Targets);
        Assert.True(file.MayBeEmpty);
        Assert.False(line.MayBeEmpty);
        Assert.Equal([new PortalOptions(new IPEndPoint(IPAddress.Loopback, 3260))], file.Portals);
        Assert.Equal((line.SocketPath, line.Iscsi, line.SpinMicroseconds, line.Reactors, line.SpreadTargets, line.PinReactors, line.GlobalDataAreaBytes), (file.SocketPath, file.Iscsi, file.SpinMicroseconds, file.Reactors, file.SpreadTargets, file.PinReactors, file.GlobalDataAreaBytes));
    }

    [Fact]
    public void Numbers_go_on_behind_the_one_that_was_given_and_paths_begin_at_the_file()
    {
        IReadOnlyList<LunOptions> luns = Read(Two).Options.Targets[0].Luns;

        Assert.Equal([0, 1, 2, 9, 10], luns.Select(static lun => lun.Number));
        Assert.Equal($"file:{_folder}/b.img?size=1M", luns[3].Spec);
        Assert.Equal($"{_folder}/b.img?size=1M", luns[3].Config);
    }

    /// <summary>What is kept of a device, and the handlers that outlive an engine, find it again by its name.</summary>
    [Fact]
    public void The_name_of_a_device_depends_on_its_target_and_number_alone()
    {
        string turned = """
            { "targets": [
                { "name": "iqn.2026-11.example:b", "luns": ["memory:1M"] },
                { "name": "iqn.2026-11.example:a", "luns": [{ "spec": "file:b.img?size=1M", "lun": 9 }, "memory:2M", { "spec": "memory:1M?count=2", "lun": 0 }, "attach:mine"] } ] }
            """;
        IEnumerable<string> NamesOf(string json) => Read(json).Options.Targets.OrderBy(static target => target.Name).SelectMany(static target => target.Luns).Select(static lun => lun.DeviceName);

        string a = "iqn.2026-11.example:a", b = "iqn.2026-11.example:b";
        Assert.Equal([$"{a}/lun0", $"{a}/lun1", "mine", $"{a}/lun9", $"{a}/lun10", $"{b}/lun0"], NamesOf(Two));
        Assert.Equal(NamesOf(Two), NamesOf(turned));
    }

    [Fact]
    public void The_command_line_s_target_has_the_names_that_it_always_had_and_one_that_comes_later_its_own()
    {
        var line = new EngineConfiguration(CommandLine("memory:1M", "attach:mine", "memory:1M"), null);
        TargetOptions later = line.TargetOf(new TargetSettings { Name = "iqn.2026-11.example:b", Luns = [new LunSettings { Spec = "memory:1M" }] });

        Assert.Equal(["lun0", "mine", "lun2"], line.Options.Targets[0].Luns.Select(static lun => lun.DeviceName));
        Assert.Equal("iqn.2026-11.example:b/lun0", later.Luns[0].DeviceName);
    }

    [Fact]
    public void A_target_that_says_nothing_of_its_initiators_has_those_of_all()
    {
        Secrets("all.json", """{ "users": [{ "name": "all", "secret": "the-secret-of-all" }] }""");
        Secrets("own.json", """{ "users": [{ "name": "own", "secret": "the-secret-of-own" }] }""");

        IReadOnlyList<TargetOptions> targets = Read("""
            { "initiators": ["10.0.0.0/8"], "chapFile": "all.json", "targets": [
                { "name": "iqn.2026-11.example:a", "luns": ["memory:1M"] },
                { "name": "iqn.2026-11.example:b", "luns": ["memory:1M"], "initiators": ["192.0.2.1"], "chapFile": "own.json", "lunMaps": ["iqn.*=0:ro"] },
                { "name": "iqn.2026-11.example:c", "luns": ["memory:1M"], "initiators": [], "lunMaps": [] } ] }
            """).Options.Targets;

        Assert.Equal(["10.0.0.0/8"], targets[0].Access.Initiators!);
        Assert.Equal(("all", null), (targets[0].Access.Chap!.Users[0].Name, targets[0].Access.LunMaps));
        Assert.Equal(["192.0.2.1"], targets[1].Access.Initiators!);
        Assert.Equal(("own", Path.Combine(_folder, "own.json")), (targets[1].Access.Chap!.Users[0].Name, targets[1].ChapFile));
        Assert.True(Assert.Single(Assert.Single(targets[1].Access.LunMaps!).Luns).ReadOnly);
        Assert.Empty(targets[2].Access.Initiators!); // nobody, not everybody
        Assert.Empty(targets[2].Access.LunMaps!);
    }

    [Fact]
    public void A_target_s_own_secrets_have_to_be_some()
    {
        Secrets("own.json", """{ "discovery": { "users": [{ "name": "finder", "secret": "secret-of-the-finder" }] } }""");

        string problem = Assert.Throws<FormatException>(() => Read("""{ "targets": [{ "name": "iqn.2026-11.example:a", "luns": ["memory:1M"], "chapFile": "own.json" }] }""")).Message;

        Assert.Contains("names no users for a target", problem, StringComparison.Ordinal);
    }

    [Fact]
    public void What_the_command_line_says_counts_before_the_file_and_its_mistakes_are_its_own()
    {
        const string Json = """{ "portals": ["127.0.0.1:1"], "spin": 3, "limits": ["sessions=10", "r2ts=2"], "state": "kept", "targets": [] }""";
        EngineOptions options = Read(Json, new ServeSettings { Portals = ["127.0.0.1:2"], State = "mine", Limits = ["sessions=11"] }).Options;
        string problem = Assert.Throws<FormatException>(() => Read(Json, new ServeSettings { PortalGroup = 0 })).Message;

        Assert.Equal([2], options.Portals.Select(static portal => portal.Address.Port));
        Assert.Equal(("mine", 3, 11, 2), (options.StateFolder, options.SpinMicroseconds, options.Iscsi.MaxSessions, options.Iscsi.MaxOutstandingR2T));
        Assert.Equal("--portal-group 0 is not from 1 to 65535", problem);
    }

    [Fact]
    public void Differences_are_named_by_their_members()
    {
        ServeSettings one = Read(Two).Settings, other = Read(Two.Replace("{ \"targets\"", "{ \"spin\": 1, \"targets\"", StringComparison.Ordinal).Replace("memory:2M", "memory:3M", StringComparison.Ordinal)).Settings;

        Assert.Empty(one.DifferencesFrom(Read(Two).Settings));
        Assert.Equal(["spin", "targets"], other.DifferencesFrom(one));
    }
}
