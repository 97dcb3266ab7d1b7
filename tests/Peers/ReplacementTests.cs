using System.Globalization;
using System.Text.Json.Nodes;

namespace Scuse.Peers;

/// <summary>Handlers are replaced while initiators write: none of them notices more than a pause.</summary>
public sealed class ReplacementTests : PeerTest
{
    static readonly TimeSpan Deadline = TimeSpan.FromMinutes(4);

    /// <summary>How often the long test replaces: more of it by SCUSE_REPLACEMENTS.</summary>
    static readonly int Replacements = int.Parse(Environment.GetEnvironmentVariable("SCUSE_REPLACEMENTS") ?? "10", CultureInfo.InvariantCulture);

    string Socket => TemporaryFile("attach.sock");

    [Fact]
    public async Task A_file_handler_is_replaced_over_and_over_under_load_and_no_write_fails_or_is_lost()
    {
        Needs.Qemu();
        ScuseServe serve = await ServeAsync($"file:{TemporaryFile("disk.img")}?size=16M", "--socket", Socket);
        int handler = (await serve.WaitForAttachmentAsync()).Pid;
        AcknowledgedWrites[] writers = [.. Enumerable.Range(0, 3).Select(i => new AcknowledgedWrites(serve.Url, i * AcknowledgedWrites.AreaBytes, random: i))];
        using CancellationTokenSource stop = new();
        Task<string?>[] writing = [.. writers.Select(writer => writer.RunAsync(stop.Token))];
        List<double> pauses = [];

        for (int i = 0; i < Replacements; i++)
        {
            JsonNode result = await ReplaceAsync(0);
            Assert.Equal(handler, (int)result["oldPid"]!);
            handler = (int)result["newPid"]!;
            pauses.Add((double)result["pauseMs"]!);
        }

        await AcknowledgedWrites.GoOnAsync(writers);
        await stop.CancelAsync();
        Assert.All(await Task.WhenAll(writing), Assert.Null);
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{pauses.Count} replacements, commands waited {pauses.Order().ElementAt(pauses.Count / 2):0.0} ms in the middle, {pauses.Max():0.0} ms at worst: {string.Join(' ', pauses.Select(static pause => $"{pause:0.0}"))}");
        Assert.True(pauses.Max() < 2000, $"a pause of {pauses.Max():0} ms");
        Assert.DoesNotContain(serve.LogLines, static line => line.Contains("are repeated", StringComparison.Ordinal) || line.Contains("is gone", StringComparison.Ordinal));
        Assert.True(ProcessTree.IsAlive(handler));
        foreach (AcknowledgedWrites writer in writers)
        {
            await writer.VerifyAsync(serve.Url);
        }
    }

    [Fact]
    public async Task A_pool_is_replaced_as_a_whole_under_load()
    {
        Needs.Qemu();
        for (int i = 0; i < 12; i++)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Disk(i))!);
        }

        ScuseServe serve = await ServeAsync([.. Enumerable.Range(0, 12).Select(i => $"file:{Disk(i)}?size=8M&pool=p"), "--socket", Socket]);
        int old = (await serve.WaitForAttachmentAsync(11)).Pid;
        AcknowledgedWrites[] writers = [new(serve.Urls[0], 0, random: 1), new(serve.Urls[11], 0, random: 2)];
        using CancellationTokenSource stop = new();
        Task<string?>[] writing = [.. writers.Select(writer => writer.RunAsync(stop.Token))];
        await AcknowledgedWrites.GoOnAsync(writers);

        JsonNode result = await ReplaceAsync(5);

        await AcknowledgedWrites.GoOnAsync(writers);
        await stop.CancelAsync();
        Assert.All(await Task.WhenAll(writing), Assert.Null);
        Assert.Equal(12, result["luns"]!.AsArray().Count);
        int next = (int)result["newPid"]!;
        Assert.NotEqual(old, next);
        for (int lun = 0; lun < 12; lun++)
        {
            Assert.Equal(next, (await serve.WaitForAttachmentAsync(lun, count: 2)).Pid);
        }

        Assert.True(await ProcessTree.WaitForEndAsync(old, TimeSpan.FromSeconds(30)), "the old process still runs");
        await writers[0].VerifyAsync(serve.Urls[0]);
        await writers[1].VerifyAsync(serve.Urls[11]);
    }

    [Fact]
    public async Task A_program_that_cannot_serve_replaces_nobody()
    {
        Needs.Qemu();
        ScuseServe serve = await ServeAsync($"file:{TemporaryFile("disk.img")}?size=16M", "--socket", Socket);
        int handler = (await serve.WaitForAttachmentAsync()).Pid;
        using RunningPeer load = RunningPeer.Start("qemu-img", "bench", "-w", "-c", "20000", "-d", "8", "-s", "4096", "-t", "none", "-f", "raw", serve.Url);

        Outcome failed = await ScuseAsync("lun", "replace", "0", "--command", "/bin/false");

        Assert.Equal(1, failed.ExitCode);
        Assert.Contains("was not replaced: the new one ended with exit code 1", failed.Error, StringComparison.Ordinal);
        (await load.WaitAsync(Deadline)).OrThrow();
        Assert.Equal(handler, serve.HandlerPid());
        Assert.True(ProcessTree.IsAlive(handler));
    }

    [Fact]
    public async Task A_handler_that_hangs_is_not_replaced_and_goes_on_when_it_wakes()
    {
        Needs.Qemu();
        ScuseServe serve = await ServeAsync($"file:{TemporaryFile("disk.img")}?size=16M", "--socket", Socket);
        int handler = (await serve.WaitForAttachmentAsync()).Pid;
        await Qemu.IoMustSucceedAsync(serve.Url, "write -P 1 0 1M");
        ProcessTree.Signal("STOP", handler);
        using RunningPeer waiting = RunningPeer.Start("qemu-io", "-f", "raw", "-t", "none", "-c", "write -P 2 0 1M", "-c", "read -P 2 0 1M", serve.Url);
        await Task.Delay(1000);

        Outcome failed = await ScuseAsync("lun", "replace", "0");
        ProcessTree.Signal("CONT", handler);

        Assert.Equal(1, failed.ExitCode);
        Assert.Contains("did not finish its commands within 5 s", failed.Error, StringComparison.Ordinal);
        (await waiting.WaitAsync(Deadline)).OrThrow();
        Assert.Equal(handler, serve.HandlerPid());
    }

    [Fact]
    public async Task A_handler_started_by_hand_takes_over_from_another_under_load()
    {
        Needs.Qemu();
        string disk = $"file:{TemporaryFile("disk.img")}?size=16M";
        ScuseServe serve = await ServeAsync("attach:mine", "--socket", Socket);
        using RunningPeer first = StartHandler(disk);
        await serve.WaitForAttachmentAsync();
        AcknowledgedWrites writer = new(serve.Url, 0, random: 3);
        using CancellationTokenSource stop = new();
        Task<string?> writing = writer.RunAsync(stop.Token);
        await AcknowledgedWrites.GoOnAsync([writer]);

        using RunningPeer second = StartHandler(disk, "--replace");

        Assert.Equal(second.Id, (await serve.WaitForAttachmentAsync(count: 2, seconds: 30)).Pid);
        (await first.WaitAsync(Deadline)).OrThrow();
        await AcknowledgedWrites.GoOnAsync([writer]);
        await stop.CancelAsync();
        Assert.Null(await writing);
        await writer.VerifyAsync(serve.Url);
    }

    Task<Outcome> ScuseAsync(params string[] arguments) => ScuseServe.RunAsync(Deadline, [.. arguments, "--control", Socket + ".control"]);

    string Disk(int number) => TemporaryFile($"disks/{number}.img");

    async Task<JsonNode> ReplaceAsync(int lun) =>
        JsonNode.Parse((await ScuseAsync("lun", "replace", $"{lun}", "--json")).OrThrow().Output)!;

    RunningPeer StartHandler(string spec, params string[] more) =>
        RunningPeer.Start("dotnet", [ScuseServe.Dll, "handler", spec, "--socket", Socket, "--device", "mine", .. more]);
}
