using System.Text.Json.Nodes;

namespace Scuse.Peers;

/// <summary>Several targets in one engine, with other people's initiators.</summary>
public sealed class TargetTests : PeerTest
{
    const string Db = "iqn.2026-11.example:db", Web = "iqn.2026-11.example:web";
    const string DbHost = "iqn.2026-11.example:host.db", WebHost = "iqn.2026-11.example:host.web";

    static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    /// <summary>Starts an engine from a file; paths in it begin at the test's folder.</summary>
    async Task<ScuseServe> ServeFileAsync(string targets, string more = "", params string[] arguments)
    {
        await WriteAsync(targets, more);
        return await ServeAsync(["--config", TemporaryFile("engine.json"), .. arguments]);
    }

    Task WriteAsync(string targets, string more = "") =>
        File.WriteAllTextAsync(TemporaryFile("engine.json"), $$"""{ "socket": "attach.sock", {{more}} "targets": [ {{targets}} ] }""", TestContext.Current.CancellationToken);

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

    [Fact]
    public async Task An_operation_is_done_to_the_logical_unit_of_the_target_that_is_named()
    {
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
        Assert.Contains($"LUN {Web}/0: blocked", serve.Log);
        Assert.Equal(1, nowhere.ExitCode);
        Assert.Contains($"there is no target mail; there are {Db}, {Web}", nowhere.Error);
    }

    /// <summary>The LUN 0 of one target is reserved for good when the engine is killed; the next one has the targets in another order, and of the other target nothing is kept.</summary>
    [Fact]
    public async Task What_is_kept_of_each_target_is_found_again_wherever_it_stands_in_the_file()
    {
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
