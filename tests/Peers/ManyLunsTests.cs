using System.Diagnostics;
using System.Globalization;

namespace Scuse.Peers;

/// <summary>What a thousand logical units in one engine cost while nobody uses them.</summary>
[Collection(Alone.Name)]
public sealed class ManyLunsTests : PeerTest
{
    const int Luns = 1000;
    const int MostKilobytes = 150 << 10;

    [Fact]
    public async Task A_thousand_logical_units_of_one_handler_start_fast_and_cost_little()
    {
        Needs.Qemu();
        string socket = TemporaryFile("attach.sock");
        var clock = Stopwatch.StartNew();
        ScuseServe serve = await ServeAsync($"attach:d?count={Luns}", "--socket", socket);
        using RunningPeer handler = RunningPeer.Start(
            "dotnet", ScuseServe.Dll, "handler", "memory:8M", "--socket", socket, "--device", string.Join(',', Enumerable.Range(0, Luns).Select(static i => $"d{i}")));
        await serve.WaitForAttachmentsAsync(Luns, seconds: 40);
        double startSeconds = clock.Elapsed.TotalSeconds;
        Assert.Equal(Luns, serve.Attachments.Select(static attached => attached.Lun).Distinct().Count());
        Assert.InRange(startSeconds, 0, 20); // 2 s on a machine with nothing else to do
        int fresh = ProcessTree.ResidentKilobytes(serve.Pid);

        string prefix = serve.Url[..(serve.Url.LastIndexOf('/') + 1)];
        foreach (int lun in (int[])[0, 1, 99, 255])
        {
            await Qemu.IoMustSucceedAsync($"{prefix}{lun}", "write -P 7 0 8M", "read -P 7 0 8M");
        }

        await Task.Delay(TimeSpan.FromSeconds(11)); // until what the commands needed is given back
        int used = ProcessTree.ResidentKilobytes(serve.Pid);
        double processor = ProcessorSeconds(serve.Pid);
        var idle = Stopwatch.StartNew();
        await Task.Delay(TimeSpan.FromSeconds(10));
        double share = (ProcessorSeconds(serve.Pid) - processor) / idle.Elapsed.TotalSeconds;
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{Luns} logical units: attached after {startSeconds:0.0} s, {fresh} KiB resident, {used} KiB after use, idle at {share:P2} of a processor");

        Assert.InRange(fresh, 1, MostKilobytes);
        Assert.InRange(used, 1, MostKilobytes);
        Assert.InRange(share, 0, 0.01);
        Assert.Equal(0, await serve.StopAsync());
    }

    static double ProcessorSeconds(int pid)
    {
        string[] fields = File.ReadAllText($"/proc/{pid}/stat").Split(") ")[1].Split(' ');
        return (long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture)) / 100.0;
    }
}
