namespace Scuse.Peers;

/// <summary>Handlers that outlive their engine: the next one takes them over, with all they have.</summary>
public sealed class KeptHandlerTests : PeerTest
{
    [Theory]
    [InlineData("TERM", 0)]
    [InlineData("KILL", 137)]
    public async Task The_next_engine_takes_the_handler_process_over_with_its_memory(string signal, int exitCode)
    {
        Needs.Qemu();
        string socket = TemporaryFile("attach.sock");
        string[] arguments = ["memory:16M", "--socket", socket, "--keep-handlers", "20"];
        ScuseServe first = await ServeAsync(arguments);
        int handler = (await first.WaitForAttachmentAsync()).Pid;
        await Qemu.IoMustSucceedAsync(first.Url, "write -P 7 0 16M");

        first.Signal(signal);
        Assert.Equal(exitCode, await first.WaitForExitAsync());
        Assert.True(ProcessTree.IsAlive(handler), "the handler did not stay");
        ScuseServe second = await ServeAsync(arguments);

        Attached attached = await second.WaitForAttachmentAsync();
        Assert.Equal(handler, attached.Pid);
        await Qemu.IoMustSucceedAsync(second.Url, "read -P 7 0 16M", "write -P 8 4M 1M", "read -P 8 4M 1M");
    }

    [Fact]
    public async Task Every_acknowledged_write_is_there_after_the_engine_was_killed_under_load_and_its_handler_goes_on()
    {
        Needs.Qemu();
        string socket = TemporaryFile("attach.sock");
        string[] arguments = [$"file:{TemporaryFile("disk.img")}?size=16M", "--socket", socket, "--keep-handlers", "20"];
        ScuseServe first = await ServeAsync(arguments);
        int handler = (await first.WaitForAttachmentAsync()).Pid;
        AcknowledgedWrites[] writers = [.. Enumerable.Range(0, 3).Select(i => new AcknowledgedWrites(first.Url, i * AcknowledgedWrites.AreaBytes, random: i))];
        using CancellationTokenSource stop = new();
        Task<string?>[] writing = [.. writers.Select(writer => writer.RunAsync(stop.Token))];

        await AcknowledgedWrites.GoOnAsync(writers);
        first.Signal("KILL");
        await first.WaitForExitAsync();
        await stop.CancelAsync();
        await Task.WhenAll(writing);
        ScuseServe second = await ServeAsync(arguments);

        Assert.Equal(handler, (await second.WaitForAttachmentAsync()).Pid);
        foreach (AcknowledgedWrites writer in writers)
        {
            await writer.VerifyAsync(second.Url);
        }
    }

    [Fact]
    public async Task A_handler_that_was_taken_over_is_started_again_when_it_dies_and_can_be_kept_again()
    {
        Needs.Qemu();
        string socket = TemporaryFile("attach.sock");
        string[] arguments = [$"file:{TemporaryFile("disk.img")}?size=16M", "--socket", socket, "--keep-handlers", "20"];
        ScuseServe first = await ServeAsync(arguments);
        int kept = (await first.WaitForAttachmentAsync()).Pid;
        await Qemu.IoMustSucceedAsync(first.Url, "write -P 5 0 1M");
        await first.StopAsync();
        ScuseServe second = await ServeAsync(arguments);
        Assert.Equal(kept, (await second.WaitForAttachmentAsync()).Pid);

        ProcessTree.Signal("KILL", kept);

        int next = (await second.WaitForAttachmentAsync(count: 2)).Pid;
        Assert.NotEqual(kept, next);
        await second.StopAsync();
        ScuseServe third = await ServeAsync(arguments);
        Assert.Equal(next, (await third.WaitForAttachmentAsync()).Pid);
        await Qemu.IoMustSucceedAsync(third.Url, "read -P 5 0 1M");
    }

    [Fact]
    public async Task A_handler_of_several_devices_comes_back_with_all_of_them()
    {
        Needs.Qemu();
        string socket = TemporaryFile("attach.sock");
        string[] arguments = ["memory:1M?count=20&pool=p", "--socket", socket, "--keep-handlers", "20"];
        ScuseServe first = await ServeAsync(arguments);
        int handler = (await first.WaitForAttachmentAsync(19)).Pid;
        await Qemu.IoMustSucceedAsync(first.Url[..^1] + "19", "write -P 3 0 1M");
        first.Signal("KILL");
        await first.WaitForExitAsync();

        ScuseServe second = await ServeAsync(arguments);

        Assert.Equal(handler, (await second.WaitForAttachmentAsync(0)).Pid);
        Assert.Equal(handler, (await second.WaitForAttachmentAsync(19)).Pid);
        await Qemu.IoMustSucceedAsync(second.Url[..^1] + "19", "read -P 3 0 1M");
    }

    [Fact]
    public async Task A_handler_that_the_next_engine_wants_otherwise_ends_and_makes_room()
    {
        Needs.Qemu();
        string socket = TemporaryFile("attach.sock");
        string file = TemporaryFile("disk.img");
        ScuseServe first = await ServeAsync($"file:{file}?size=16M", "--socket", socket, "--keep-handlers", "90");
        int old = (await first.WaitForAttachmentAsync()).Pid;
        await first.StopAsync();

        ScuseServe second = await ServeAsync($"file:{file}?size=32M", "--socket", socket, "--keep-handlers", "90");

        Assert.NotEqual(old, (await second.WaitForAttachmentAsync()).Pid);
        Assert.True(await ProcessTree.WaitForEndAsync(old, TimeSpan.FromSeconds(30)), "the handler that nobody wants still runs");
        await Qemu.IoMustSucceedAsync(second.Url, "write -P 1 31M 1M");
    }

    [Fact]
    public async Task A_handler_ends_by_itself_when_no_engine_comes_in_time()
    {
        string socket = TemporaryFile("attach.sock");
        ScuseServe serve = await ServeAsync("memory:16M", "--socket", socket, "--keep-handlers", "2");
        int handler = (await serve.WaitForAttachmentAsync()).Pid;

        await serve.StopAsync();

        Assert.True(ProcessTree.IsAlive(handler), "the handler did not stay");
        Assert.True(await ProcessTree.WaitForEndAsync(handler, TimeSpan.FromSeconds(30)), "the handler stays for ever");
    }

    [Fact]
    public async Task The_interrupt_key_stops_the_engine_and_not_its_kept_handlers()
    {
        string socket = TemporaryFile("attach.sock");
        string[] arguments = ["memory:16M", "--socket", socket, "--keep-handlers", "20"];
        ScuseServe first = await ServeAsync(arguments);
        int handler = (await first.WaitForAttachmentAsync()).Pid;

        // As a terminal does: to the whole group.
        ProcessTree.SignalGroup("INT", first.Pid);

        Assert.Equal(0, await first.WaitForExitAsync());
        Assert.True(ProcessTree.IsAlive(handler), "the handler did not stay");
        ScuseServe second = await ServeAsync(arguments);
        Assert.Equal(handler, (await second.WaitForAttachmentAsync()).Pid);
    }

    [Fact]
    public async Task Engines_that_keep_handlers_find_each_other_without_a_path()
    {
        string runtime = TemporaryFile("run");
        Directory.CreateDirectory(runtime);
        Dictionary<string, string> environment = new() { ["XDG_RUNTIME_DIR"] = runtime };
        ScuseServe first = await ServeAsync(environment, "memory:16M", "--keep-handlers", "20");
        int handler = (await first.WaitForAttachmentAsync()).Pid;
        first.Signal("KILL");
        await first.WaitForExitAsync();

        ScuseServe second = await ServeAsync(environment, "memory:16M", "--keep-handlers", "20");

        Assert.Equal(handler, (await second.WaitForAttachmentAsync()).Pid);
    }
}
