using System.Text.Json.Nodes;

namespace Scuse.Peers;

/// <summary>Several targets in one engine, with other people's initiators.</summary>
public sealed class TargetTests : PeerTest
{
    const string Db = "iqn.2026-11.example:db", Web = "iqn.2026-11.example:web";
    const string DbHost = "iqn.2026-11.example:host.db", WebHost = "iqn.2026-11.example:host.web";

    static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    /// <summary>How many reactors the targets are on. With two of them each has one of its own: what concerns several targets, or goes to one from outside, is tested that way as well.</summary>
    int _reactors = 1;

    /// <summary>Starts an engine from a file; paths in it begin at the test's folder.</summary>
    async Task<ScuseServe> ServeFileAsync(string targets, string more = "", params string[] arguments)
    {
        await WriteAsync(targets, more);
        return await ServeAsync(["--config", TemporaryFile("engine.json"), .. arguments]);
    }

    Task WriteAsync(string targets, string more = "") =>
        File.WriteAllTextAsync(TemporaryFile("engine.json"), $$"""{ "socket": "attach.sock", "reactors": {{_reactors}}, {{more}} "targets": [ {{targets}} ] }""", TestContext.Current.CancellationToken);

    static string Target(string name, string luns, string more = "") => $$"""{ "name": "{{name}}", "luns": [{{luns}}]{{more}} },""";

    static string For(string host) => $$""", "initiators": ["{{host}}"]""";

    Task<Outcome> ScuseAsync(params string[] arguments) => ScuseServe.RunAsync(Deadline, [.. arguments, "--control", TemporaryFile("attach.sock.control")]);

    static Task<Outcome> ListAsync(ScuseServe serve, string initiator) => Peer.RunAsync(Deadline, "iscsi-ls", "-s", "-i", initiator, serve.PortalUrl);

    static Task<Outcome> InquireAsync(ScuseServe serve, string target, int lun, string initiator) => Peer.RunAsync(Deadline, "iscsi-inq", "-i", initiator, $"{serve.PortalUrl}/{target}/{lun}");

    [Fact]
    public async Task Each_initiator_is_told_of_its_own_targets_and_finds_no_other()
    {
        Needs.Libiscsi("iscsi-ls");
        Needs.Libiscsi("iscsi-inq");
        ScuseServe serve = await ServeFileAsync(Target(Db, "\"memory:8M\", { \"spec\": \"memory:4M\", \"lun\": 5 }", For(DbHost)) + Target(Web, "\"memory:16M\"", For(WebHost)));

        string db = (await ListAsync(serve, DbHost)).OrThrow().Output, web = (await ListAsync(serve, WebHost)).OrThrow().Output;
        Outcome nobody = await Peer.RunAsync(Deadline, "iscsi-ls", "-i", "iqn.2026-11.example:other", serve.PortalUrl);
        (await InquireAsync(serve, Db, 5, DbHost)).OrThrow();
        Outcome foreign = await InquireAsync(serve, Web, 0, DbHost);
        JsonNode luns = JsonNode.Parse((await ScuseAsync("ls", "--json")).OrThrow().Output)!;
        string table = (await ScuseAsync("ls")).OrThrow().Output, one = (await ScuseAsync("ls", "db/5")).OrThrow().Output;

        Assert.Equal([$"{serve.PortalUrl}/{Db}/0", $"{serve.PortalUrl}/{Db}/5", $"{serve.PortalUrl}/{Web}/0"], serve.Urls);
        Assert.Contains($"Target:{Db} ", db);
        Assert.Matches(@"Lun:0\s+Type:DIRECT_ACCESS(.|\n)*Lun:5\s+Type:DIRECT_ACCESS", db);
        Assert.DoesNotContain(Web, db);
        Assert.Contains($"Target:{Web} ", web);
        Assert.DoesNotContain(Db, web);
        Assert.DoesNotContain("Target:", nobody.Output);
        Assert.NotEqual(0, foreign.ExitCode);
        Assert.Equal([$"{Db}/lun0", $"{Db}/lun5", $"{Web}/lun0"], luns.AsArray().Select(static lun => (string)lun!["device"]!));
        Assert.Equal(3, table.Split('\n').Count(static line => line.StartsWith("iqn.", StringComparison.Ordinal)));
        Assert.DoesNotContain("iqn.", one);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task An_operation_is_done_to_the_logical_unit_of_the_target_that_is_named(int reactors)
    {
        _reactors = reactors;
        Needs.Qemu();
        ScuseServe serve = await ServeFileAsync(Target(Db, "\"memory:8M\"") + Target(Web, "\"memory:8M\""));

        string blocked = (await ScuseAsync("lun", "block", "web/0")).OrThrow().Output;
        await Qemu.IoMustSucceedAsync(serve.Urls[0], "write -P 1 0 1M");
        JsonArray luns = JsonNode.Parse((await ScuseAsync("ls", "--json")).OrThrow().Output)!.AsArray();
        (await ScuseAsync("lun", "unblock", $"{Web}/0")).OrThrow();
        await Qemu.IoMustSucceedAsync(serve.Urls[1], "write -P 2 0 1M");
        Outcome nowhere = await ScuseAsync("lun", "block", "mail/0");

        Assert.Contains("LUN web/0: blocked", blocked);
        Assert.Equal([(Db, "serving"), (Web, "blocked")], luns.Select(static lun => ((string)lun!["target"]!, (string)lun["state"]!)));
        await serve.MustLogAsync($"LUN {Web}/0: blocked");
        Assert.Equal(1, nowhere.ExitCode);
        Assert.Contains($"there is no target mail; there are {Db}, {Web}", nowhere.Error);
    }

    /// <summary>The LUN 0 of one target is reserved for good when the engine is killed; the next one has the targets in another order, and of the other target nothing is kept.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task What_is_kept_of_each_target_is_found_again_wherever_it_stands_in_the_file(int reactors)
    {
        _reactors = reactors;
        Needs.LibiscsiHeaders();
        string reserve = await Initiators.BuildAsync("reserve");
        string db = Target(Db, "\"memory:8M\""), web = Target(Web, "\"memory:8M\"");
        ScuseServe first = await ServeFileAsync(db + web, "\"state\": \"kept\",");
        string[] said = await ReserveAsync(reserve, first, Web);
        HashSet<string> mayBe = [said.Last(static line => line.StartsWith("done", StringComparison.Ordinal))[5..], said[^1].Split(' ', 2)[1]];

        ScuseServe second = await ServeFileAsync(web + db, "\"state\": \"kept\",");
        string[] webAgain = await ReserveAsync(reserve, second, Web, changes: 0), nothing = await ReserveAsync(reserve, await ServeFileAsync(web + db, "\"state\": \"kept\","), Db, changes: 0);

        Assert.Contains(webAgain[0]["found ".Length..], mayBe);
        Assert.DoesNotContain("0 0", mayBe);
        Assert.Equal("found 0 0", nothing[0]);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task A_target_comes_and_goes_while_another_one_is_under_load_and_nothing_happens_there(int reactors)
    {
        _reactors = reactors;
        Needs.LibiscsiHeaders();
        Needs.Qemu();
        ScuseServe serve = await ServeFileAsync(Target(Db, "\"memory:32M\""));
        using IscsiLoad load = await IscsiLoad.StartAsync(serve.Urls[0]);

        string added = (await ScuseAsync("target", "add", Web, "memory:8M", $"file:{TemporaryFile("web.img")}?size=4M", "--initiator", "iqn.2026-11.example:*", "--initiator", "127.0.0.1")).OrThrow().Output;
        await Qemu.IoMustSucceedAsync($"{serve.PortalUrl}/{Web}/1", "write -P 3 0 4M", "read -P 3 0 4M");
        string list = (await ScuseAsync("target", "ls")).OrThrow().Output;
        string removed = (await ScuseAsync("target", "remove", "web")).OrThrow().Output;
        Outcome gone = await Qemu.IoAsync($"{serve.PortalUrl}/{Web}/1", "read 0 4k");
        (await load.StopAsync()).AssertUndisturbed();

        Assert.Contains($"target {Web} was added, with 2 LUNs", added);
        Assert.Matches($@"{Db} +1 +1 +anybody +serving\n", list);
        Assert.Matches($@"{Web} +2 +0 +restricted +serving\n", list);
        Assert.Contains($"target {Web} was removed; nobody was logged in", removed);
        Assert.NotEqual(0, gone.ExitCode);
        Assert.All(serve.Attachments.Where(static attached => attached.Target == Web), static attached => Assert.False(ProcessTree.IsAlive(attached.Pid)));
        Assert.Equal(2, serve.Attachments.Count(static attached => attached.Target == Web));
    }

    [Fact]
    public async Task A_target_that_cannot_come_up_changes_nothing()
    {
        ScuseServe serve = await ServeFileAsync(Target(Db, "\"memory:8M\""));

        Outcome dead = await ScuseAsync("target", "add", Web, "memory:8M", "exec:/nowhere/handler");
        Outcome twice = await ScuseAsync("target", "add", Db, "memory:8M");
        Outcome wrong = await ScuseAsync("target", "add", "web", "memory:8M");
        Outcome kind = await ScuseAsync("target", "add", Web, "disk:8M");
        Outcome exposed = await ScuseAsync("portal", "add", "0.0.0.0:0");
        JsonArray targets = JsonNode.Parse((await ScuseAsync("target", "ls", "--json")).OrThrow().Output)!.AsArray();

        Assert.Equal((1, 1, 2, 2, 1), (dead.ExitCode, twice.ExitCode, wrong.ExitCode, kind.ExitCode, exposed.ExitCode));
        Assert.Contains($"LUN {Web}/1 (exec:/nowhere/handler): '/nowhere/handler' cannot be started", Assert.Single(dead.Error.TrimEnd().Split('\n')));
        Assert.Contains("already", twice.Error);
        Assert.Equal(Db, (string)Assert.Single(targets)!["name"]!);
        Assert.DoesNotContain(serve.Attachments, attached => attached.Target == Web && ProcessTree.IsAlive(attached.Pid));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task A_target_with_sessions_goes_only_by_force_and_then_with_all_that_is_under_way(int reactors)
    {
        _reactors = reactors;
        Needs.LibiscsiHeaders();
        ScuseServe serve = await ServeFileAsync(Target(Db, "\"memory:32M\"") + Target(Web, "\"memory:32M\""));
        using IscsiLoad stays = await IscsiLoad.StartAsync(serve.Urls[0]), goes = await IscsiLoad.StartAsync(serve.Urls[1], area: 0, "--no-reconnect");

        Outcome refused = await ScuseAsync("target", "remove", "web");
        string removed = (await ScuseAsync("target", "remove", "web", "--force")).OrThrow().Output;
        LoadReport gone = await goes.StopAsync();
        string last = (await ScuseAsync("target", "remove", "db", "--force")).OrThrow().Output;
        string nothing = (await ScuseAsync("target", "ls", "--json")).OrThrow().Output;
        (await ScuseAsync("target", "add", Db, "memory:32M")).OrThrow();
        LoadReport stayed = await stays.StopAsync();

        Assert.Equal(1, refused.ExitCode);
        Assert.Contains($"{Web} has 1 session: have the initiators log out (scuse drain --target {Web}), or end them with --force", refused.Error);
        Assert.Contains($"target {Web} was removed; 1 session was dropped", removed);
        Assert.True(gone.LostConnection, gone.Text);
        Assert.Contains($"target {Db} was removed", last);
        Assert.Empty(JsonNode.Parse(nothing)!.AsArray());
        Assert.True(stayed.Reconnects > 0, stayed.Text); // at the target that came in its place
    }

    [Fact]
    public async Task The_only_target_of_a_command_line_stays()
    {
        await ServeAsync("memory:8M", "--socket", TemporaryFile("attach.sock"));

        Outcome refused = await ScuseAsync("target", "remove", "disks", "--force");
        Outcome reload = await ScuseAsync("reload");

        Assert.Equal((1, 1), (refused.ExitCode, reload.ExitCode));
        Assert.Contains("is the only target", refused.Error);
        Assert.Contains("without --config", reload.Error);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task A_file_that_has_changed_is_read_again_and_what_it_says_is_done(int reactors)
    {
        _reactors = reactors;
        Needs.Libiscsi("iscsi-ls");
        const string Mail = "iqn.2026-11.example:mail";
        ScuseServe serve = await ServeFileAsync(Target(Db, "\"memory:8M\"", For(DbHost)) + Target(Web, "\"memory:8M\"", For(WebHost)));

        await WriteAsync(Target(Db, "\"memory:8M\"", For(WebHost)) + Target(Mail, "\"memory:8M\"", For(WebHost)), "\"portals\": [\"127.0.0.1:1\"],");
        string[] done = (await ScuseAsync("reload")).OrThrow().Output.TrimEnd().Split('\n');
        string told = (await ListAsync(serve, WebHost)).OrThrow().Output, others = (await Peer.RunAsync(Deadline, "iscsi-ls", "-i", DbHost, serve.PortalUrl)).Output;
        string again = (await ScuseAsync("reload", "--json")).OrThrow().Output;

        Assert.Equal(
            [$"target {Web} was removed", $"target {Mail} was added", $"target {Db}: who may log in, or what they see, was changed"],
            done[..3]);
        Assert.Contains($"Target:{Db} ", told);
        Assert.Contains($"Target:{Mail} ", told);
        Assert.DoesNotContain(Web, told);
        Assert.DoesNotContain("Target:", others);
        Assert.Empty(JsonNode.Parse(again)!["added"]!.AsArray());
    }

    [Fact]
    public async Task A_file_that_is_wrong_or_takes_a_target_from_its_initiators_changes_nothing()
    {
        Needs.Qemu();
        ScuseServe serve = await ServeFileAsync(Target(Db, "\"memory:8M\"") + Target(Web, "\"memory:8M\""), "\"commandTimeout\": 20,");
        string before = (await ScuseAsync("target", "ls", "--json")).OrThrow().Output;
        using RunningPeer session = RunningPeer.Start("qemu-io", "-f", "raw", "-t", "none", serve.Urls[1]);
        while (JsonNode.Parse((await ScuseAsync("sessions", "--json")).OrThrow().Output)!.AsArray() is [])
        {
            await Task.Delay(20);
        }

        await WriteAsync(Target("iqn.2026-11.example:new", "\"memory:8M\"") + Target(Db, "\"disk:8M\""));
        Outcome wrong = await ScuseAsync("reload");
        await WriteAsync(Target(Db, "\"memory:8M\""), "\"state\": \"elsewhere\",");
        Outcome inUse = await ScuseAsync("reload");
        string after = (await ScuseAsync("target", "ls", "--json")).OrThrow().Output;
        Outcome forced = (await ScuseAsync("reload", "--force")).OrThrow();

        Assert.Equal((1, 1), (wrong.ExitCode, inUse.ExitCode));
        Assert.Contains("engine.json, line 1: LUN 0 (disk:8M)", Assert.Single(wrong.Error.TrimEnd().Split('\n')));
        Assert.Contains($"{Web} has 1 session", inUse.Error);
        Assert.Equal(before.Replace("\"sessions\": 0", "", StringComparison.Ordinal), after.Replace("\"sessions\": 0", "", StringComparison.Ordinal).Replace("\"sessions\": 1", "", StringComparison.Ordinal));
        Assert.Contains($"target {Web} was removed", forced.Output);
        Assert.Contains("not changed while the engine runs: state\n", forced.Output);
        Assert.Contains($"not changed while the engine runs: the LUNs of {Db}", forced.Output); // their time limit
    }

    [Theory]
    [InlineData("a spec", "memory:1M")]
    [InlineData("--target", "--target", "iqn.2026-11.example:a")]
    [InlineData("--initiator", "--initiator", "iqn.*")]
    [InlineData("--lun-map", "--lun-map", "iqn.*=0")]
    public async Task What_the_file_says_cannot_be_said_by_the_command_line_as_well(string what, params string[] arguments)
    {
        await WriteAsync(Target(Db, "\"memory:8M\""));

        Outcome outcome = await ScuseServe.RunAsync(Deadline, ["serve", "--config", TemporaryFile("engine.json"), .. arguments]);

        Assert.Equal(2, outcome.ExitCode);
        Assert.Equal($"scuse: {what} and --config exclude each other: the file says which targets there are, and who may log in", outcome.Error.TrimEnd());
    }

    /// <summary>Has an initiator change its reservation so often at least and come to one, and kills the engine; returns what it said.</summary>
    static async Task<string[]> ReserveAsync(string program, ScuseServe serve, string target, int changes = 3)
    {
        using RunningPeer initiator = RunningPeer.Start(program, $"{serve.PortalUrl}/{target}/0");
        while (!initiator.HasExited && (changes == 0 ? !initiator.OutputSoFar.Contains("found", StringComparison.Ordinal) : initiator.OutputSoFar.Split("done").Length <= changes))
        {
            await Task.Delay(2);
        }

        serve.Signal("KILL");
        Outcome outcome = await initiator.WaitAsync(Deadline);
        await serve.WaitForExitAsync();
        Assert.True(outcome.ExitCode == 0, outcome.Text);
        return [.. outcome.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(static line => line != "gone")];
    }
}
