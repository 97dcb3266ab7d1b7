using System.Diagnostics;
using System.Text.Json.Nodes;

namespace Scuse.Peers;

/// <summary>Registration with an iSNS server of other people's, and what initiators get to know from it.</summary>
public sealed class IsnsTests : PeerTest
{
    static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    async Task<IsnsServer> IsnsAsync(int periodSeconds = 600)
    {
        Needs.Isns();
        var isns = new IsnsServer(TemporaryFile("isns"), periodSeconds);
        await isns.StartAsync();
        return isns;
    }

    Task<ScuseServe> StartAsync(IsnsServer isns, string name, params string[] arguments) =>
        ServeAsync(["memory:8M", "--isns", isns.Address, "--socket", TemporaryFile($"{name}.sock"), .. arguments]);

    async Task<string> ScuseAsync(string name, params string[] arguments) =>
        (await ScuseServe.RunAsync(Deadline, [.. arguments, "--control", TemporaryFile($"{name}.sock.control")])).OrThrow().Output;

    [Fact]
    public async Task An_initiator_finds_the_target_with_its_portals_as_they_come_and_go_until_a_planned_stop()
    {
        using IsnsServer isns = await IsnsAsync();
        ScuseServe serve = await StartAsync(isns, "one", "--portal-group", "3");
        await isns.UntilAsync(targets => targets.TryGetValue(serve.Target, out IsnsTarget? target) && target.Portals is [var only] && only == $"{serve.Portal},3");

        string added = (string)JsonNode.Parse(await ScuseAsync("one", "portal", "add", "127.0.0.2:0", "--json"))!["address"]!;
        await isns.UntilAsync(targets => targets[serve.Target].Portals.Order().SequenceEqual(new[] { $"{serve.Portal},3", $"{added},3" }.Order()));
        await ScuseAsync("one", "portal", "remove", serve.Portal);
        await isns.UntilAsync(targets => targets[serve.Target].Portals is [var left] && left == $"{added},3");
        string status = await ScuseAsync("one", "status");
        Assert.Equal(0, await serve.StopAsync());

        Assert.Contains($"registered with {isns.Address}, for 600 s at a time, as {added}", status);
        Assert.Empty(await isns.TargetsAsync());
        Assert.DoesNotContain("warning", serve.Log);
    }

    [Fact]
    public async Task A_registration_is_renewed_as_long_as_the_engine_lives_and_forgotten_when_it_was_killed()
    {
        using IsnsServer isns = await IsnsAsync(periodSeconds: 6);
        ScuseServe serve = await StartAsync(isns, "one");
        await isns.UntilAsync(targets => targets.ContainsKey(serve.Target));

        Stopwatch clock = Stopwatch.StartNew();
        while (clock.Elapsed < TimeSpan.FromSeconds(10))
        {
            Assert.Contains(serve.Target, await isns.TargetsAsync());
            await Task.Delay(200, TestContext.Current.CancellationToken);
        }

        ProcessTree.Signal("KILL", serve.Pid);
        await isns.UntilAsync(static targets => targets.Count == 0);
    }

    [Fact]
    public async Task A_server_that_comes_late_or_has_forgotten_everything_is_told()
    {
        using IsnsServer isns = await IsnsAsync(periodSeconds: 4);
        isns.Stop();
        ScuseServe serve = await StartAsync(isns, "one");
        string before = await ScuseAsync("one", "status");
        await isns.StartAsync();
        await isns.UntilAsync(targets => targets.ContainsKey(serve.Target));
        isns.Stop();
        await isns.StartAsync();
        await isns.UntilAsync(targets => targets.ContainsKey(serve.Target));

        Assert.Contains($"not registered with {isns.Address}; Connection refused", before);
        await serve.MustLogAsync($"iSNS server {isns.Address}: Connection refused");
    }

    [Fact]
    public async Task Of_two_engines_with_the_same_target_the_second_is_registered_when_the_first_has_gone()
    {
        using IsnsServer isns = await IsnsAsync();
        ScuseServe first = await StartAsync(isns, "one", "--portal-group", "1");
        await isns.UntilAsync(targets => targets.ContainsKey(first.Target));
        ScuseServe second = await StartAsync(isns, "two", "--portal-group", "2");

        await UntilAsync(async () => (await ScuseAsync("two", "status")).Contains("it refuses the registration", StringComparison.Ordinal));
        Assert.Equal([$"{first.Portal},1"], (await isns.TargetsAsync())[first.Target].Portals);
        await ScuseAsync("one", "target", "redirect", second.Portal, "--permanent"); // gone for good: it registers nothing any more
        await isns.UntilAsync(targets => targets.TryGetValue(second.Target, out IsnsTarget? target) && target.Portals is [var only] && only == $"{second.Portal},2");
    }

    [Theory]
    [InlineData("isns.example:0")]
    [InlineData("a b")]
    [InlineData("2001:db8::5")]
    [InlineData("")]
    public async Task A_server_that_is_none_is_one_line_and_exit_code_2(string server)
    {
        Outcome outcome = await ScuseServe.RunAsync(Deadline, "serve", "memory:1M", "--isns", server);

        Assert.Equal(2, outcome.ExitCode);
        Assert.Contains("is not HOST[:PORT]", Assert.Single(outcome.Error.TrimEnd().Split('\n')));
    }

    static async Task UntilAsync(Func<Task<bool>> what)
    {
        Stopwatch clock = Stopwatch.StartNew();
        while (!await what())
        {
            Assert.True(clock.Elapsed < Deadline, "it did not come about");
            await Task.Delay(50);
        }
    }
}
