using System.Text.Json.Nodes;

namespace Scuse.Peers;

/// <summary>Two targets on two reactors under load, each of which has its own trouble.</summary>
public sealed class SeveralReactorsTests : PeerTest
{
    const string Left = "iqn.2026-11.example:left", Right = "iqn.2026-11.example:right";

    static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    async Task<ScuseServe> ServeTwoAsync(params string[] more)
    {
        await File.WriteAllTextAsync(
            TemporaryFile("engine.json"),
            $$"""{ "socket": "attach.sock", "reactors": 2, "targets": [{ "name": "{{Left}}", "luns": ["file:left.img?size=8M"] }, { "name": "{{Right}}", "luns": ["memory:8M", "memory:8M"] }] }""",
            TestContext.Current.CancellationToken);
        return await ServeAsync(["--config", TemporaryFile("engine.json"), .. more]);
    }

    Task<Outcome> ScuseAsync(params string[] arguments) => ScuseServe.RunAsync(Deadline, [.. arguments, "--control", TemporaryFile("attach.sock.control")]);

    /// <summary>Reads that look at every byte.</summary>
    static Task<LightInitiator> LoadAsync(string url, int seconds, params string[] more) => LightInitiator.StartAsync(url, seconds, ["--verify", "yes", "--depth", "8", .. more]);

    [Fact]
    public async Task Sessions_of_two_targets_work_at_once_on_reactors_of_their_own()
    {
        Needs.Program("gcc", "gcc and libc6-dev");
        ScuseServe serve = await ServeTwoAsync("--pin");
        using LightInitiator left = await LoadAsync(serve.Urls[0], 60, "--sessions", "20"), right = await LoadAsync(serve.Urls[1], 60, "--sessions", "20");

        JsonArray targets = JsonNode.Parse((await ScuseAsync("target", "ls", "--json")).OrThrow().Output)!.AsArray();
        JsonArray sessions = JsonNode.Parse((await ScuseAsync("sessions", "--json")).OrThrow().Output)!.AsArray();

        // Each looks at every byte, and ends when one is wrong.
        Assert.Equal((false, false), (left.HasEnded, right.HasEnded));
        Assert.Equal([1, 0], targets.Select(static target => (int)target!["reactor"]!));
        Assert.Equal([20, 20], targets.Select(static target => (int)target!["sessions"]!));
        Assert.Equal(40, sessions.Select(static session => (int)session!["tsih"]!).Distinct().Count());
        Assert.All(sessions, static session => Assert.True((long)session!["commands"]! > 0));
    }

    [Fact]
    public async Task The_handler_of_one_is_killed_and_the_sessions_of_both_read_on()
    {
        Needs.Program("gcc", "gcc and libc6-dev");
        ScuseServe serve = await ServeTwoAsync();
        using LightInitiator left = await LoadAsync(serve.Urls[0], 3), right = await LoadAsync(serve.Urls[1], 3);

        JsonArray luns = JsonNode.Parse((await ScuseAsync("ls", "--json")).OrThrow().Output)!.AsArray();
        System.Diagnostics.Process.GetProcessById((int)luns[0]!["handler"]!["pid"]!).Kill();

        Assert.True((await right.ReportAsync()).Operations > 0);
        Assert.True((await left.ReportAsync()).Operations > 0);
        await serve.MustLogAsync($"LUN {Left}/0: handler");
    }

    [Fact]
    public async Task One_target_is_removed_under_load_and_comes_again_and_the_other_notices_nothing()
    {
        Needs.Program("gcc", "gcc and libc6-dev");
        Needs.Qemu();
        ScuseServe serve = await ServeTwoAsync();
        using LightInitiator left = await LoadAsync(serve.Urls[0], 5), right = await LoadAsync(serve.Urls[1], 60);

        (await ScuseAsync("target", "remove", "right", "--force")).OrThrow();
        await Assert.ThrowsAsync<PeerException>(right.ReportAsync);
        (await ScuseAsync("target", "add", Right, "memory:8M")).OrThrow();
        await Qemu.IoMustSucceedAsync($"{serve.PortalUrl}/{Right}/0", "write -P 7 0 1M", "read -P 7 0 1M");

        Assert.True((await left.ReportAsync()).Operations > 0);
    }

    [Fact]
    public async Task An_engine_that_is_told_to_stop_under_load_ends_well()
    {
        Needs.Program("gcc", "gcc and libc6-dev");
        ScuseServe serve = await ServeTwoAsync();
        using LightInitiator left = await LoadAsync(serve.Urls[0], 60), right = await LoadAsync(serve.Urls[1], 60);

        Assert.Equal(0, await serve.StopAsync());
    }

    [Fact]
    public async Task A_session_is_reinstated_on_its_reactor_and_others_log_in_and_out_meanwhile()
    {
        Needs.Libiscsi("iscsi-inq");
        Needs.Program("gcc", "gcc and libc6-dev");
        ScuseServe serve = await ServeTwoAsync();
        using LightInitiator left = await LoadAsync(serve.Urls[0], 3);

        for (int i = 0; i < 20; i++)
        {
            Outcome[] both = await Task.WhenAll(serve.Urls.Take(2).Select(static url => Peer.RunAsync(Deadline, "iscsi-inq", "-i", "iqn.2026-11.example:same", url)));
            Assert.All(both, static outcome => outcome.OrThrow());
        }

        Assert.True((await left.ReportAsync()).Operations > 0);
    }
}
