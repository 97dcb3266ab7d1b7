using System.Net.Sockets;
using System.Text.Json.Nodes;

namespace Scuse.Peers;

/// <summary>Operators ask a running engine, with initiators at work.</summary>
public sealed class ControlTests : PeerTest
{
    static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);
    static readonly TimeSpan LoadDeadline = TimeSpan.FromMinutes(4);
    const int Depth = 8;

    readonly Lazy<HttpClient> _http;

    public ControlTests() => _http = new Lazy<HttpClient>(Connect);

    string AttachSocket => TemporaryFile("attach.sock");

    string Control => AttachSocket + ".control";

    [Fact]
    public async Task A_stopped_handler_s_commands_stand_in_the_ring_with_their_age_and_time_left()
    {
        Needs.Qemu();
        ScuseServe serve = await ServeAsync("memory:64M", "--socket", AttachSocket);
        using RunningPeer load = Load(serve);
        await UntilAsync(async () => (long)(await SessionAsync())["commands"]! > 1000, "the load has begun");

        JsonNode status = await StopBetweenAnswersAsync(serve.HandlerPid());
        ProcessTree.Signal("CONT", serve.HandlerPid());

        JsonArray commands = status["commands"]!.AsArray();
        JsonArray entries = status["ring"]!["entries"]!.AsArray();
        int[] ids = [.. commands.Select(command => (int)command!["id"]!)];
        Assert.Equal(Depth, commands.Count);
        Assert.True((bool)status["ring"]!["isSound"]!);
        Assert.Equal(ids, entries.Where(entry => (string?)entry!["kind"] == "command").Select(entry => (int)entry!["id"]!));
        Assert.All(commands, command =>
        {
            Assert.Equal("withHandler", (string?)command!["state"]);
            Assert.StartsWith("WRITE(10) of 8 blocks at ", (string?)command["command"]);
            Assert.Contains("iqn.", (string?)command["initiator"]);
            Assert.InRange((long)command["timeLeftMs"]! + (long)command["ageMs"]!, 30_000, 30_000);
        });
        Assert.InRange((int)status["dataArea"]!["blocksInUse"]!, Depth, 1000);
        Assert.Equal(serve.HandlerPid(), (int)status["handler"]!["pid"]!);
        await CompletedAsync(load);
    }

    [Fact]
    public async Task A_blocked_LUN_holds_a_running_load_without_an_error_until_it_is_unblocked()
    {
        Needs.Qemu();
        ScuseServe serve = await ServeAsync("memory:64M", "--socket", AttachSocket);
        using RunningPeer load = Load(serve);
        await UntilAsync(async () => (long)(await SessionAsync())["commands"]! > 1000, "the load has begun");

        await MustSucceedAsync("lun", "block", "0");
        await UntilAsync(async () => (int)(await LunAsync())["held"]! == Depth, "every command is held");
        long before = (long)(await SessionAsync())["commands"]!;
        await Task.Delay(500);
        JsonNode lun = await LunAsync();

        Assert.Equal(("blocked", 0, Depth), ((string?)lun["state"], (int)lun["outstanding"]!, (int)lun["held"]!));
        Assert.Equal(before, (long)(await SessionAsync())["commands"]!);
        await MustSucceedAsync("lun", "unblock", "0");
        await CompletedAsync(load);
        Assert.Equal(["attached", "blocked", "unblocked"], await EventsAsync());
    }

    [Fact]
    public async Task A_reset_ring_ends_what_a_hung_handler_has_with_BUSY_and_the_load_goes_on_with_a_new_one()
    {
        Needs.Qemu();
        ScuseServe serve = await ServeAsync("memory:64M", "--socket", AttachSocket);
        using RunningPeer load = Load(serve);
        await UntilAsync(async () => (long)(await SessionAsync())["commands"]! > 1000, "the load has begun");
        int hung = serve.HandlerPid();
        ProcessTree.Signal("STOP", hung);
        await UntilAsync(async () => (int)(await LunAsync())["outstanding"]! == Depth, "the handler has all the commands there are");
        await MustSucceedAsync("lun", "block", "0");

        JsonNode outcome = await JsonAsync("lun", "reset", "0", "--busy");

        Assert.Equal(Depth, (int)outcome["endedCommands"]!);
        await serve.WaitForAttachmentAsync(count: 2);
        Assert.True(await ProcessTree.WaitForEndAsync(hung, TimeSpan.FromSeconds(30)), "the hung handler still runs");
        await MustSucceedAsync("lun", "unblock", "0");
        await CompletedAsync(load);
        Assert.Contains("ringReset", await EventsAsync());
    }

    [Fact]
    public async Task A_reset_that_fails_commands_is_seen_by_their_initiator()
    {
        Needs.Qemu();
        ScuseServe serve = await ServeAsync("memory:64M", "--socket", AttachSocket);
        await Qemu.IoMustSucceedAsync(serve.Url, "write -P 1 0 4k");
        ProcessTree.Signal("STOP", serve.HandlerPid());
        Task<Outcome> read = Qemu.IoAsync(serve.Url, "read -P 1 0 4k");
        await UntilAsync(async () => (int)(await LunAsync())["outstanding"]! > 0, "the handler has a command");

        Assert.InRange((int)(await JsonAsync("lun", "reset", "0", "--fail"))["endedCommands"]!, 1, 100);

        Assert.Contains("read failed", (await read).Text);
    }

    [Fact]
    public async Task Attach_death_and_repetition_are_among_the_events_of_a_LUN_and_of_no_other()
    {
        Needs.Qemu();
        ScuseServe serve = await ServeAsync("memory:64M", "memory:16M", "--socket", AttachSocket);
        using RunningPeer load = Load(serve);
        await UntilAsync(async () => (long)(await SessionAsync())["commands"]! > 1000, "the load has begun");
        ProcessTree.Signal("STOP", serve.HandlerPid());
        await UntilAsync(async () => (int)(await LunAsync())["outstanding"]! == Depth, "the handler has all the commands there are");

        ProcessTree.Signal("KILL", serve.HandlerPid());
        await serve.WaitForAttachmentAsync(count: 2);

        await CompletedAsync(load);
        Assert.Equal(["attached", "lost", "attached", "repeated"], await EventsAsync());
        JsonNode lun = await LunAsync();
        Assert.Equal((1, serve.HandlerPid(), "attached"), ((int)lun["restarts"]!, (int)lun["handler"]!["pid"]!, (string?)lun["handler"]!["phase"]));
        Assert.NotEmpty((string?)lun["lastEnding"] ?? "");
        Assert.Equal("attached", (string?)Assert.Single((await AskAsync("/luns/1/events")).AsArray())!["kind"]);
        Outcome all = await MustSucceedAsync("events");
        Assert.Equal(6, all.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
        Assert.Contains($"{Depth} commands", all.Output);
    }

    [Fact]
    public async Task Where_the_time_of_commands_goes_is_told_for_each_stage()
    {
        Needs.Qemu();
        ScuseServe serve = await ServeAsync("memory:64M", "memory:16M", "--socket", AttachSocket);
        Assert.Empty((await AskAsync("/latency")).AsArray());
        await Qemu.IoMustSucceedAsync(serve.Urls[0], "write -P 7 0 8M", "read -P 7 0 8M");

        JsonArray stages = (await AskAsync("/luns/0/latency")).AsArray();

        Assert.Equal(["queue", "networkIn", "ring", "handler", "networkOut", "total"], stages.Select(static stage => (string?)stage!["stage"]));
        double[] means = [.. stages.Select(static stage => (double)stage!["meanUs"]!)];
        Assert.All(stages, static stage => Assert.InRange((long)stage!["commands"]!, 1, 1000));
        Assert.InRange(means[..^1].Sum(), means[^1] * 0.9, (means[^1] * 1.1) + 1);
        Assert.All(stages, static stage => Assert.InRange((double)stage!["p50Us"]!, 0, (double)stage["maxUs"]!));
        Assert.True(means[3] > 0, "the handler tells its own time");
        Assert.Empty((await AskAsync("/luns/1/latency")).AsArray());
        Assert.Contains("networkOut", (await MustSucceedAsync("latency", "0")).Output);
    }

    [Fact]
    public async Task A_handler_is_replaced_under_load_by_a_command_and_its_data_stays()
    {
        Needs.Qemu();
        ScuseServe serve = await ServeAsync($"file:{TemporaryFile("disk.img")}?size=64M", "--socket", AttachSocket);
        using RunningPeer load = Load(serve);
        await UntilAsync(async () => (long)(await SessionAsync())["commands"]! > 1000, "the load has begun");
        int before = serve.HandlerPid();

        JsonNode result = await JsonAsync("lun", "replace", "0");

        await CompletedAsync(load);
        Assert.Equal((before, serve.HandlerPid()), ((int)result["oldPid"]!, (int)result["newPid"]!));
        Assert.NotEqual(before, serve.HandlerPid());
        Assert.DoesNotContain("repeated", await EventsAsync());
        Assert.Equal((0, 1), ((int)(await LunAsync())["restarts"]!, (int)(await LunAsync())["replacements"]!));
    }

    [Fact]
    public async Task A_handler_whose_data_would_be_lost_is_replaced_only_by_force()
    {
        ScuseServe serve = await ServeAsync("memory:16M", "--socket", AttachSocket);
        int before = serve.HandlerPid();

        AssertOneLine(await ScuseAsync("lun", "replace", "0"), exitCode: 1, "LUN 0");
        AssertOneLine(await ScuseAsync("lun", "replace", "0", "--force", "--command", "/nowhere/handler"), exitCode: 1, "/nowhere/handler");
        Assert.True(ProcessTree.IsAlive(before), "the old handler is gone although nobody replaced it");
        Outcome outcome = await MustSucceedAsync("lun", "replace", "0", "--force");

        Assert.Contains($"after process {before}", outcome.Output);
    }

    [Fact]
    public async Task A_saved_region_is_decoded_like_the_living_one_and_holds_the_data_only_when_asked()
    {
        Needs.Qemu();
        ScuseServe serve = await ServeAsync("memory:64M", "--socket", AttachSocket);
        await Qemu.IoMustSucceedAsync(serve.Url, "write -P 0xa7 0 64k");
        string plain = TemporaryFile("plain"), full = TemporaryFile("full");

        await MustSucceedAsync("ring", "save", "0", plain);
        await MustSucceedAsync("ring", "save", "0", full, "--with-data");
        Outcome again = await ScuseAsync("ring", "save", "0", full);

        Assert.Equal(new FileInfo(plain).Length, new FileInfo(full).Length);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(full));
        Assert.False(HasRun(plain, 0xa7));
        Assert.True(HasRun(full, 0xa7));
        AssertOneLine(again, exitCode: 1, full);
        JsonNode dump = JsonNode.Parse((await ScuseServe.RunAsync(Deadline, "ring", "dump", "--file", plain, "--json")).OrThrow().Output)!;
        Assert.True((bool)dump["isSound"]!);
        Assert.Equal(new FileInfo(plain).Length, (long)dump["regionBytes"]!);
        Assert.NotEmpty(dump["answered"]!.AsArray());
    }

    [Fact]
    public async Task A_file_of_nonsense_is_decoded_in_words()
    {
        string file = RandomFile("nonsense", 8192, seed: 3);

        Outcome outcome = (await ScuseServe.RunAsync(Deadline, "ring", "dump", "--file", file)).OrThrow();

        Assert.Contains("wrong: the mailbox has version", outcome.Output);
    }

    [Fact]
    public async Task What_people_see_has_no_control_characters_and_stable_columns_when_it_goes_into_a_pipe()
    {
        await ServeAsync("memory:64M", "memory:16M?block=4096", "--socket", AttachSocket);

        string[] lines = (await MustSucceedAsync("ls")).Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        string[][] cells = [.. lines.Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))];

        Assert.Equal("LUN STATE HANDLER PID SIZE BLOCK LEVEL BUSY WAIT HELD KEPT DATA RESTARTS SPEC", string.Join(' ', cells[0]));
        Assert.All(cells, row => Assert.Equal(cells[0].Length, row.Length));
        Assert.Equal(("0", "serving", "64M", "512", "memory:64M"), (cells[1][0], cells[1][1], cells[1][4], cells[1][5], cells[1][^1]));
        Assert.Equal(("1", "16M", "4096"), (cells[2][0], cells[2][4], cells[2][5]));
        foreach (string[] command in (string[][])[["ls"], ["status"], ["sessions"], ["events"], ["latency"], ["ring", "dump", "0"]])
        {
            Assert.DoesNotContain((await MustSucceedAsync(command)).Output, character => char.IsControl(character) && character != '\n');
        }
    }

    [Fact]
    public async Task The_web_server_is_not_loaded_before_somebody_asks()
    {
        ScuseServe serve = await ServeAsync("memory:16M", "--socket", AttachSocket);
        Assert.DoesNotContain("Kestrel", await File.ReadAllTextAsync($"/proc/{serve.Pid}/maps"));

        await MustSucceedAsync("status");

        Assert.Contains("Kestrel", await File.ReadAllTextAsync($"/proc/{serve.Pid}/maps"));
    }

    [Fact]
    public async Task The_control_socket_is_for_its_owner_only_and_gone_when_the_engine_has_stopped()
    {
        ScuseServe serve = await ServeAsync("memory:16M", "--socket", AttachSocket);
        await MustSucceedAsync("status");
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Control));

        Assert.Equal(0, await serve.StopAsync());

        Assert.False(File.Exists(Control));
        AssertOneLine(await ScuseAsync("ls"), exitCode: 1, Control);
    }

    [Fact]
    public async Task The_only_engine_is_found_by_itself_and_of_several_one_must_be_named()
    {
        Dictionary<string, string> environment = new() { ["XDG_RUNTIME_DIR"] = TemporaryFile("run") };
        AssertOneLine(await RunAsync(environment, "ls"), exitCode: 1, "no engine");
        ScuseServe first = await ServeAsync(environment, "memory:16M");
        Assert.Contains(first.Portal, (await RunAsync(environment, "status")).OrThrow().Output);

        ScuseServe second = await ServeAsync(environment, "memory:16M");
        AssertOneLine(await RunAsync(environment, "ls"), exitCode: 1, "--control");
        first.Signal("KILL");
        await first.WaitForExitAsync();

        Assert.Contains(second.Portal, (await RunAsync(environment, "status")).OrThrow().Output); // the dead one's socket file is no engine
    }

    [Theory]
    [InlineData(1, "LUN 7", "events", "7")]
    [InlineData(1, "LUN 7", "ring", "dump", "7")]
    [InlineData(1, "LUN 7", "lun", "block", "7")]
    [InlineData(1, "no handler", "ring", "save", "1", "/nowhere")]
    [InlineData(2, "exclude each other", "lun", "reset", "0", "--busy", "--fail")]
    [InlineData(2, "needs a LUN", "ring", "dump")]
    [InlineData(2, "first", "events", "first")]
    public async Task What_cannot_be_answered_is_one_line(int exitCode, string named, params string[] arguments)
    {
        await ServeAsync("memory:16M", "attach:nobody", "--socket", AttachSocket);

        AssertOneLine(await ScuseAsync(arguments), exitCode, named);
    }

    [Fact]
    public async Task Curl_can_ask_and_operate_too()
    {
        Needs.Program("curl", "curl");
        await ServeAsync("memory:16M", "--socket", AttachSocket);

        JsonNode status = JsonNode.Parse((await CurlAsync("/status")).Output)!;
        Assert.Equal((Control, 1), ((string?)status["controlSocket"], (int)status["luns"]!["serving"]!));
        Assert.Equal("blocked", (string?)JsonNode.Parse((await CurlAsync("/luns/0/block", "-X", "POST")).Output)!["lun"]!["state"]);
        Outcome missing = await CurlAsync("/luns/12", "-i");
        Assert.Contains("404 Not Found", missing.Output);
        Assert.Contains("application/problem+json", missing.Output);
        Assert.Contains("there is no LUN 12", missing.Output);
        Assert.Contains("\"status\": 400", (await CurlAsync("/luns/zero/ring")).Output);
        Assert.Contains("\"status\": 404", (await CurlAsync("/no.such.thing")).Output);
        Assert.Contains("\"status\": 400", (await CurlAsync("/luns/0/reset?how=gently", "-X", "POST")).Output);
    }

    // ---- helpers ----

    /// <summary>Stops a handler under load where it has begun no answer: one that it has begun stands where a command stood.</summary>
    async Task<JsonNode> StopBetweenAnswersAsync(int handler)
    {
        JsonNode? status = null;
        await UntilAsync(
            async () =>
            {
                ProcessTree.Signal("STOP", handler);
                await UntilAsync(async () => (int)(await LunAsync())["outstanding"]! == Depth, "the handler has all the commands there are");
                status = await JsonAsync("ring", "dump", "0");
                bool stands = !status["ring"]!["entries"]!.AsArray().Any(entry => (bool)entry!["isBeingAnswered"]!);
                if (!stands)
                {
                    ProcessTree.Signal("CONT", handler);
                }

                return stands;
            },
            "the handler stands between answers");
        return status!;
    }

    static RunningPeer Load(ScuseServe serve) =>
        RunningPeer.Start("qemu-img", "bench", "-w", "-c", "60000", "-d", $"{Depth}", "-s", "4096", "-t", "none", "-f", "raw", serve.Url);

    static async Task CompletedAsync(RunningPeer load) => Assert.Contains("Run completed", (await load.WaitAsync(LoadDeadline)).OrThrow().Output);

    static async Task UntilAsync(Func<Task<bool>> holds, string what)
    {
        for (int attempt = 0; attempt < 400; attempt++)
        {
            if (await holds())
            {
                return;
            }

            await Task.Delay(50);
        }

        throw new PeerException($"It never came that {what}.");
    }

    Task<Outcome> ScuseAsync(params string[] arguments) => ScuseServe.RunAsync(Deadline, [.. arguments, "--control", Control]);

    async Task<Outcome> MustSucceedAsync(params string[] arguments) => (await ScuseAsync(arguments)).OrThrow();

    async Task<JsonNode> JsonAsync(params string[] arguments) => JsonNode.Parse((await MustSucceedAsync([.. arguments, "--json"])).Output)!;

    /// <summary>Asks without a process of its own: the tests do so often.</summary>
    async Task<JsonNode> AskAsync(string resource) => JsonNode.Parse(await _http.Value.GetStringAsync(new Uri($"http://scuse{resource}")))!;

    HttpClient Connect() => new(new SocketsHttpHandler
    {
        ConnectCallback = async (_, cancellation) =>
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(Control), cancellation);
            return new NetworkStream(socket, ownsSocket: true);
        },
    });

    Task<JsonNode> LunAsync() => AskAsync("/luns/0");

    /// <summary>The session with the most commands: qemu opens more than one.</summary>
    async Task<JsonNode> SessionAsync() =>
        (await AskAsync("/sessions")).AsArray().MaxBy(session => (long)session!["commands"]!) ?? new JsonObject { ["commands"] = 0 };

    async Task<string[]> EventsAsync() => [.. (await AskAsync("/luns/0/events")).AsArray().Select(happened => (string?)happened!["kind"] ?? "")];

    Task<Outcome> CurlAsync(string resource, params string[] options) =>
        Peer.RunAsync(Deadline, "curl", ["--silent", "--show-error", "--unix-socket", Control, .. options, $"http://scuse{resource}"]);

    static async Task<Outcome> RunAsync(IReadOnlyDictionary<string, string> environment, params string[] arguments)
    {
        using RunningPeer running = RunningPeer.Start("dotnet", [ScuseServe.Dll, .. arguments], environment, null);
        return await running.WaitAsync(Deadline);
    }

    static bool HasRun(string file, byte value) => File.ReadAllBytes(file).AsSpan().IndexOf(Enumerable.Repeat(value, 4096).ToArray()) >= 0;

    static void AssertOneLine(Outcome outcome, int exitCode, string named)
    {
        string[] lines = outcome.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.True(outcome.ExitCode == exitCode, outcome.Text);
        Assert.True(lines.Length == 1 && lines[0].Contains(named, StringComparison.Ordinal), $"One line that names {named} was expected.\n{outcome.Text}");
        Assert.Empty(outcome.Output);
    }
}
