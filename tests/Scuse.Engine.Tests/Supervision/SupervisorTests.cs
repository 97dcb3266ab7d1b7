using System.Diagnostics;
using Scuse.Ring;
using Scuse.Ring.Attach;

namespace Scuse.Engine.Tests;

/// <summary>Processes that the engine starts, starts again, and replaces. What they do over the socket, the test does for them.</summary>
public sealed class SupervisorTests
{
    const string Replace = ",\"replace\":true";
    const string Sleep = "exec sleep 1000";

    [Fact]
    public async Task The_start_is_over_when_the_handler_serves()
    {
        await using SupervisionRig rig = new(launches: true);
        Task started = rig.Supervisor!.StartAsync();
        Assert.Equal(["first lun0 0"], await rig.MarksAsync(1));
        Assert.False(started.IsCompleted);

        using FakeHandler handler = await rig.AttachAsync();

        await started.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
        Assert.Equal(HandlerOrigin.Engine, rig.State().Handler!.Origin);
        Assert.Equal(0, rig.State().Restarts);
    }

    [Theory]
    [InlineData("echo it hurts >&2; exit 3", "LUN 0 (test): ended with exit code 3: it hurts (3 times)")]
    [InlineData("exit 2", "LUN 0 (test): ended with exit code 2")]
    public async Task A_process_that_does_not_come_up_keeps_the_engine_from_starting(string script, string message)
    {
        await using SupervisionRig rig = new(launches: true, script: script);

        EngineException failure = await Assert.ThrowsAsync<EngineException>(rig.Supervisor!.StartAsync);

        Assert.Equal(message, failure.Message);
    }

    [Fact]
    public async Task What_a_handler_says_against_its_device_keeps_the_engine_from_starting()
    {
        await using SupervisionRig rig = new(launches: true, script: "mark first; sleep 0.5");
        Task started = rig.Supervisor!.StartAsync();
        await rig.MarksAsync(1);
        using FakeHandler handler = rig.Connect();
        handler.Hello("lun0");
        handler.ExpectDevice();
        handler.Send("""{"type":"failed","message":"no such file"}""");
        handler.Dispose();

        Assert.Equal("LUN 0 (test): no such file", (await Assert.ThrowsAsync<EngineException>(() => started)).Message);
    }

    [Fact]
    public async Task A_handler_that_loses_its_connection_is_ended_and_started_again_and_its_commands_go_on()
    {
        await using SupervisionRig rig = new(launches: true);
        using FakeHandler first = await StartAsync(rig);
        rig.Read(1);
        await first.TakeAsync(1);

        first.Dispose();

        await rig.MarksAsync(2);
        using FakeHandler second = await rig.AttachAsync();
        second.Answer(await second.TakeAsync(1));
        await rig.WaitForOutcomesAsync(1);
        Assert.Equal(["Good"], rig.Outcomes);
        Assert.Equal(1, rig.State().Restarts);
        Assert.Equal("ended with exit code 137", rig.State().LastEnding);
    }

    [Fact]
    public async Task A_handler_that_a_command_leaves_behind_is_not_left_in_the_way_of_the_next()
    {
        await using SupervisionRig rig = new(launches: true, script: "mark first; sleep 0.7", limits: SupervisionRig.Patient with { KillMs = 100 });
        using FakeHandler first = await StartAsync(rig); // as if by a child of the command

        await rig.MarksAsync(2);

        first.ExpectEnd();
    }

    [Fact]
    public async Task One_that_serves_and_ends_over_and_over_is_not_started_in_a_frenzy()
    {
        await using SupervisionRig rig = new(launches: true);
        Task started = rig.Supervisor!.StartAsync();
        Stopwatch clock = Stopwatch.StartNew();
        for (int i = 1; i <= 12; i++)
        {
            await rig.MarksAsync(i);
            (await rig.AttachAsync()).Dispose();
        }

        await rig.MarksAsync(13);
        await started;
        Assert.InRange(clock.ElapsedMilliseconds, 1900, 60_000); // the eleventh and the twelfth waited
    }

    // ---- replacement ----

    [Fact]
    public async Task A_replacement_starts_a_process_beside_the_old_one_and_passes_the_device_on()
    {
        await using SupervisionRig rig = new(launches: true, limits: SupervisionRig.Patient with { RemoveMs = 3000 });
        using FakeHandler old = await StartAsync(rig);
        rig.Read(1);
        List<HandlerCommand> under = await old.TakeAsync(1);

        Task<ReplacementResult> replacing = rig.Supervisor!.ReplaceAsync(rig.Shell($"mark second; {Sleep}"), force: false, CancellationToken.None);
        Assert.Equal("second lun0 1", (await rig.MarksAsync(2))[1]);
        rig.Read(2);
        under.AddRange(await old.TakeAsync(1)); // the old one goes on until the new one is there
        using FakeHandler next = await TakeOverAsync(rig, old, () =>
        {
            rig.Read(3);
            old.Answer(under);
        });
        ReplacementResult result = await replacing;

        rig.Read(4);
        await SupervisionRig.UntilAsync(() =>
        {
            next.Answer(next.TakeAll());
            return rig.Outcomes.Length == 4;
        }, "every answer");
        Assert.All(rig.Outcomes, static outcome => Assert.Equal("Good", outcome));
        Assert.Equal([0], result.Luns);
        Assert.NotEqual(result.OldPid, result.NewPid);
        Assert.InRange(result.PauseMs, 0.001, 10_000);
        await SupervisionRig.UntilAsync(() => !IsRunning(result.OldPid!.Value), "the old process' end");
        Assert.True(IsRunning(result.NewPid));
        Assert.Equal(0, rig.State().Restarts);

        next.Dispose(); // from now on it is the new launch that is started
        Assert.Equal("second lun0 0", (await rig.MarksAsync(3))[2]);
    }

    [Fact]
    public async Task A_program_that_is_not_there_replaces_nobody()
    {
        await using SupervisionRig rig = new(launches: true);
        using FakeHandler old = await StartAsync(rig);

        await AssertNotReplacedAsync(rig, new HandlerLaunch("/nonexistent/handler", []), "'/nonexistent/handler' cannot be started: No such file or directory");

        await AssertServesAsync(rig, old);
    }

    [Fact]
    public async Task A_new_process_that_ends_replaces_nobody()
    {
        await using SupervisionRig rig = new(launches: true);
        using FakeHandler old = await StartAsync(rig);

        await AssertNotReplacedAsync(rig, rig.Shell("echo wrong version >&2; exit 7"), "the new one ended with exit code 7: wrong version");

        await AssertServesAsync(rig, old);
    }

    [Fact]
    public async Task A_new_process_that_ends_while_it_waits_replaces_nobody()
    {
        await using SupervisionRig rig = new(launches: true);
        using FakeHandler old = await StartAsync(rig);
        rig.Read(1);
        List<HandlerCommand> under = await old.TakeAsync(1);
        Task<ReplacementResult> replacing = rig.Supervisor!.ReplaceAsync(rig.Shell("mark second; exec sleep 0.5"), force: false, CancellationToken.None);
        await rig.MarksAsync(2);
        using FakeHandler next = rig.Connect();
        next.Hello("lun0", Replace);
        await SupervisionRig.UntilAsync(() => rig.State().Successor is not null, "a successor");

        next.Dispose();
        old.Answer(under);

        Assert.Contains("was not replaced: the new", (await Assert.ThrowsAsync<EngineException>(() => replacing)).Message, StringComparison.Ordinal);
        await AssertServesAsync(rig, old);
    }

    [Fact]
    public async Task A_new_process_that_never_says_hello_replaces_nobody()
    {
        await using SupervisionRig rig = new(launches: true, limits: SupervisionRig.Patient with { HelloMs = 500 });
        using FakeHandler old = await StartAsync(rig);

        await AssertNotReplacedAsync(rig, rig.Launch, "the new one did not attach within 0.5 s");

        await AssertServesAsync(rig, old);
    }

    [Fact]
    public async Task A_replacement_can_be_called_off_while_the_old_process_serves()
    {
        await using SupervisionRig rig = new(launches: true);
        using FakeHandler old = await StartAsync(rig);
        using CancellationTokenSource off = new();
        Task<ReplacementResult> replacing = rig.Supervisor!.ReplaceAsync(null, force: false, off.Token);
        await rig.MarksAsync(2);

        await off.CancelAsync();

        Assert.Contains("it was called off", (await Assert.ThrowsAsync<EngineException>(() => replacing)).Message, StringComparison.Ordinal);
        await AssertServesAsync(rig, old);
    }

    [Fact]
    public async Task Two_replacements_at_once_are_one_too_many()
    {
        await using SupervisionRig rig = new(launches: true);
        using FakeHandler old = await StartAsync(rig);
        using CancellationTokenSource off = new();
        Task<ReplacementResult> replacing = rig.Supervisor!.ReplaceAsync(null, force: false, off.Token);

        await AssertNotReplacedAsync(rig, null, "is being replaced already");

        await off.CancelAsync();
        await Assert.ThrowsAsync<EngineException>(() => replacing);
    }

    [Fact]
    public async Task An_old_process_that_does_not_finish_in_time_goes_on()
    {
        await using SupervisionRig rig = new(launches: true, limits: SupervisionRig.Patient with { DrainMs = 200 });
        using FakeHandler old = await StartAsync(rig);
        rig.Read(1);
        List<HandlerCommand> hung = await old.TakeAsync(1);
        Task<ReplacementResult> replacing = rig.Supervisor!.ReplaceAsync(null, force: false, CancellationToken.None);
        await rig.MarksAsync(2);
        using FakeHandler next = rig.Connect();
        next.Hello("lun0", Replace);

        next.ExpectRefusal("did not finish its commands");

        Assert.Contains("did not finish its commands", (await Assert.ThrowsAsync<EngineException>(() => replacing)).Message, StringComparison.Ordinal);
        old.Answer(hung);
        await AssertServesAsync(rig, old);
    }

    [Fact]
    public async Task When_the_new_process_cannot_open_the_device_the_old_program_is_started_again_and_commands_wait_for_it()
    {
        await using SupervisionRig rig = new(launches: true, onLoss: HandlerLossPolicy.Fail);
        using FakeHandler old = await StartAsync(rig);
        Task<ReplacementResult> replacing = rig.Supervisor!.ReplaceAsync(rig.Shell($"mark second; {Sleep}"), force: false, CancellationToken.None);
        await rig.MarksAsync(2);
        using FakeHandler next = rig.Connect();
        next.Hello("lun0", Replace);
        old.Expect<RemoveMessage>();
        old.Dispose();
        next.ExpectDevice();
        rig.Read(1);
        next.Send("""{"type":"failed","message":"format too old"}""");

        string message = (await Assert.ThrowsAsync<EngineException>(() => replacing)).Message;
        Assert.Contains("format too old; the one before is started again", message, StringComparison.Ordinal);
        next.Dispose();
        Assert.Equal("first lun0 0", (await rig.MarksAsync(3))[2]);
        using FakeHandler again = await rig.AttachAsync();
        again.Answer(await again.TakeAsync(1));
        await rig.WaitForOutcomesAsync(1);
        Assert.Equal(["Good"], rig.Outcomes);
    }

    [Fact]
    public async Task When_nobody_serves_and_the_new_process_cannot_open_the_device_the_old_program_is_started_again()
    {
        await using SupervisionRig rig = new(launches: true);
        using FakeHandler old = await StartAsync(rig);
        Task<ReplacementResult> replacing = rig.Supervisor!.ReplaceAsync(rig.Shell($"mark second; {Sleep}"), force: false, CancellationToken.None);
        await rig.MarksAsync(2);
        old.Dispose();
        await SupervisionRig.UntilAsync(() => !rig.IsAttached(), "the old handler's end");
        using FakeHandler next = rig.Connect();
        next.Hello("lun0", Replace);
        next.ExpectDevice();
        next.Send("""{"type":"failed","message":"format too old"}""");

        await Assert.ThrowsAsync<EngineException>(() => replacing);

        Assert.Equal("first lun0 0", (await rig.MarksAsync(3))[2]);
    }

    [Fact]
    public async Task When_the_old_process_dies_before_the_new_one_is_there_its_commands_go_to_the_new_one()
    {
        await using SupervisionRig rig = new(launches: true);
        using FakeHandler old = await StartAsync(rig);
        rig.Read(1);
        await old.TakeAsync(1);
        Task<ReplacementResult> replacing = rig.Supervisor!.ReplaceAsync(rig.Shell($"mark second; {Sleep}"), force: false, CancellationToken.None);
        await rig.MarksAsync(2);
        old.Dispose();
        await SupervisionRig.UntilAsync(() => !rig.IsAttached(), "the old handler's end");

        using FakeHandler next = rig.Connect();
        next.Hello("lun0", Replace);
        next.ExpectDevice();
        next.Ready();
        next.ExpectRegion();

        await replacing;
        next.Answer(await next.TakeAsync(1));
        await rig.WaitForOutcomesAsync(1);
        Assert.Equal(2, rig.Marks.Length);
    }

    [Fact]
    public async Task What_would_forget_is_replaced_only_by_force()
    {
        await using SupervisionRig rig = new(launches: true);
        using FakeHandler old = await StartAsync(rig, ready: ",\"features\":[\"volatile\"]");
        await AssertNotReplacedAsync(rig, null, "would be gone with its handler");

        Task<ReplacementResult> replacing = rig.Supervisor!.ReplaceAsync(null, force: true, CancellationToken.None);
        await rig.MarksAsync(2);
        using FakeHandler next = await TakeOverAsync(rig, old);

        await replacing;
    }

    [Fact]
    public async Task A_stranger_does_not_take_over_what_the_engine_starts()
    {
        await using SupervisionRig rig = new(launches: true);
        using FakeHandler old = await StartAsync(rig);
        using FakeHandler stranger = rig.Connect();
        stranger.Hello("lun0", Replace);

        stranger.ExpectRefusal("is the engine's to replace");
        await AssertServesAsync(rig, old);
    }

    [Fact]
    public async Task A_hundred_replacements_under_commands_lose_and_repeat_none()
    {
        await using SupervisionRig rig = new(launches: true, script: $"mark first; {Sleep}");
        FakeHandler handler = await StartAsync(rig);
        int sent = 0;
        HashSet<int> seen = [];
        for (int round = 1; round <= 100; round++)
        {
            FakeHandler old = handler;
            Task<ReplacementResult> replacing = rig.Supervisor!.ReplaceAsync(null, force: false, CancellationToken.None);
            await rig.MarksAsync(round + 1);
            rig.Read((uint)++sent);
            handler = await TakeOverAsync(rig, old, () => rig.Read((uint)++sent), command => Assert.True(seen.Add(command.CdbMemory.Span[5]), "repeated"));
            await replacing;
            old.Dispose();
        }

        await SupervisionRig.UntilAsync(() =>
        {
            List<HandlerCommand> rest = handler.TakeAll();
            Assert.All(rest, command => Assert.True(seen.Add(command.CdbMemory.Span[5]), "repeated"));
            handler.Answer(rest);
            return rig.Outcomes.Length == sent;
        }, "every answer");
        handler.Dispose();
        Assert.Equal(sent, seen.Count);
        Assert.All(rig.Outcomes, static outcome => Assert.Equal("Good", outcome));
        await rig.Supervisor!.StopAsync(deadlineMs: 0);
        await SupervisionRig.UntilAsync(() => rig.RunningProcesses().Length == 0, "the end of a hundred processes");
    }

    // ---- help ----

    static async Task<FakeHandler> StartAsync(SupervisionRig rig, string ready = "")
    {
        Task started = rig.Supervisor!.StartAsync();
        await rig.MarksAsync(1);
        FakeHandler handler = await rig.AttachAsync(ready: ready);
        await started;
        return handler;
    }

    /// <summary>The new handler's way, and the old one's.</summary>
    static async Task<FakeHandler> TakeOverAsync(SupervisionRig rig, FakeHandler old, Action? answer = null, Action<HandlerCommand>? seen = null)
    {
        FakeHandler next = rig.Connect();
        next.Hello("lun0", Replace);
        await SupervisionRig.UntilAsync(() => rig.State().Successor is not null || rig.State().Handler is { Phase: AttachPhase.Leaving or AttachPhase.Opening }, "a successor");
        await Task.Run(() =>
        {
            answer?.Invoke();
            old.AnswerUntilRemoved(seen);
            old.Dispose();
            next.ExpectDevice();
            next.Ready();
            next.ExpectRegion();
        });
        return next;
    }

    static async Task AssertNotReplacedAsync(SupervisionRig rig, HandlerLaunch? launch, string reason) =>
        Assert.Contains(
            reason,
            (await Assert.ThrowsAsync<EngineException>(() => rig.Supervisor!.ReplaceAsync(launch, force: false, CancellationToken.None))).Message,
            StringComparison.Ordinal);

    /// <summary>It was told nothing, and gets commands.</summary>
    static async Task AssertServesAsync(SupervisionRig rig, FakeHandler handler)
    {
        int before = rig.Outcomes.Length;
        handler.ExpectNothing();
        rig.Read(9);
        handler.Answer(await handler.TakeAsync(1));
        await rig.WaitForOutcomesAsync(before + 1);
        Assert.All(rig.Outcomes, static outcome => Assert.Equal("Good", outcome));
    }

    static bool IsRunning(int pid)
    {
        try
        {
            using Process process = Process.GetProcessById(pid);
            return !process.HasExited;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }
}
