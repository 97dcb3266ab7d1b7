using Scuse.Peers;

namespace Scuse.Bench.Peers;

/// <summary>Whether a hundred logical units at once are as fast together as one, and each session has its share.</summary>
/// <param name="One">One session on one of them.</param>
/// <param name="All">Ten sessions on each.</param>
sealed record ManyLuns(LightReport One, LightReport All)
{
    const int Luns = 100, SessionsEach = 10;

    /// <summary>What all have together, by what one has.</summary>
    public double Sum => All.Operations / All.Seconds / (One.Operations / One.Seconds);

    /// <summary>What the slowest session has, by the mean.</summary>
    public double Fairness => All.SlowestSession / All.MeanSession;

    /// <summary>Serves a hundred disks of one handler process, and measures.</summary>
    /// <exception cref="PeerException">Something did not start, or failed.</exception>
    public static async Task<ManyLuns> MeasureAsync(int rounds, bool quick)
    {
        string folder = Directory.CreateTempSubdirectory("scuse-bench-").FullName;
        try
        {
            string socket = Path.Combine(folder, "attach.sock");
            using ScuseServe serve = await ScuseServe.StartAsync([$"attach:d?count={Luns}", "--socket", socket]);
            using RunningPeer handler = RunningPeer.Start(
                "dotnet", ScuseServe.Dll, "handler", "memory:2M", "--socket", socket, "--device", string.Join(',', Enumerable.Range(0, Luns).Select(static i => $"d{i}")));
            await serve.WaitForAttachmentsAsync(Luns, seconds: 20);
            string[] everyone = ["--sessions", $"{Luns * SessionsEach}", "--luns", $"{Luns}", "--depth", "32"];
            await LightInitiator.RunAsync(serve.Url, 2, "--op", "write", "--order", "sequential", "--block", "65536", "--depth", "4", "--sessions", $"{Luns}", "--luns", $"{Luns}"); // pages come with the first write
            List<LightReport> one = [], all = [];
            int seconds = quick ? 1 : 5;
            for (int round = 0; round < rounds; round++)
            {
                one.Add(await LightInitiator.RunAsync(serve.Url, seconds, "--depth", "32"));
                all.Add(await LightInitiator.RunAsync(serve.Url, seconds, [.. everyone, "--warm", "2000"]));
            }

            return new ManyLuns(Middle(one), Middle(all));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    static LightReport Middle(List<LightReport> reports) => reports.OrderBy(static report => report.Operations / report.Seconds).ElementAt(reports.Count / 2);
}
