using System.Globalization;
using Scuse.Peers;

namespace Scuse.Bench.Peers;

/// <summary>
/// Whether targets scale over reactors: one engine with as many targets as there are processors, a light initiator for each, and one reactor, two, four and so on. Or whether one target does, that is
/// spread over them, with as many initiators. What a command costs the reactors and the handlers is the model's input: docs/scaling.md.
/// </summary>
static class SeveralReactors
{
    const int MostTargets = 16;

    static readonly (string Name, string[] Options)[] s_works =
    [
        ("4 KiB random read, QD1", ["--depth", "1"]),
        ("4 KiB random read, QD32", ["--depth", "32"]),
        ("4 KiB random write, QD32", ["--depth", "32", "--op", "write"]),
        ("64 KiB random read, QD32", ["--depth", "32", "--block", "65536"]),
        ("64 KiB random write, QD32", ["--depth", "32", "--block", "65536", "--op", "write"]),
    ];

    /// <param name="Rate">Commands a second, of all targets together.</param>
    /// <param name="ReactorUs">Processor time of all reactors for a command, in microseconds.</param>
    /// <param name="HandlerUs">The same of all handlers.</param>
    sealed record Measured(double Rate, double ReactorUs, double HandlerUs);

    /// <summary>Measures in alternating rounds, and prints the medians.</summary>
    public static async Task<int> RunAsync(Options options)
    {
        int targets = Math.Clamp(Environment.ProcessorCount, 2, MostTargets);
        int[] counts = [.. Enumerable.Range(0, 5).Select(static power => 1 << power).Where(count => count <= targets)];
        Console.WriteLine($"{(options.Spread ? $"one target with {targets} initiators" : $"{targets} targets")}; medians of {options.Rounds} alternating rounds\n");
        Console.WriteLine("| work | reactors | commands/s | to one reactor | reactor us/command | handler us/command |\n|---|---|---|---|---|---|");
        foreach ((string name, string[] load) in s_works.Where(work => options.Wants(work.Name)))
        {
            Dictionary<int, List<Measured>> all = counts.ToDictionary(static count => count, static _ => new List<Measured>());
            for (int round = 0; round < options.Rounds; round++)
            {
                foreach (int count in counts)
                {
                    all[count].Add(await MeasureAsync(count, targets, options.Spread, load, options.Quick ? 1 : 3));
                }
            }

            double one = Median(all[1], static measured => measured.Rate);
            foreach (int count in counts)
            {
                double rate = Median(all[count], static measured => measured.Rate);
                Console.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"| {name} | {count} | {rate:n0} | {rate / one:0.00} | {Median(all[count], static measured => measured.ReactorUs):0.00} | {Median(all[count], static measured => measured.HandlerUs):0.00} |"));
            }
        }

        return 0;
    }

    static double Median(List<Measured> rounds, Func<Measured, double> what) => rounds.Select(what).Order().ElementAt(rounds.Count / 2);

    static async Task<Measured> MeasureAsync(int reactors, int targets, bool isSpread, string[] load, int seconds)
    {
        string folder = Directory.CreateTempSubdirectory("scuse-bench-").FullName;
        try
        {
            string file = Path.Combine(folder, "engine.json");
            string luns = string.Join(',', Enumerable.Range(0, isSpread ? 1 : targets).Select(static i => $$"""{ "name": "iqn.2026-11.scuse.bench:t{{i}}", "luns": ["memory:64M"] }"""));
            await File.WriteAllTextAsync(file, $$"""{ "socket": "attach.sock", "reactors": {{reactors}}, "spread": {{(isSpread ? "true" : "false")}}, "targets": [{{luns}}] }""");
            using ScuseServe serve = await ScuseServe.StartAsync(["--config", file]);
            await Task.WhenAll(serve.Urls.Select(static url => LightInitiator.RunAsync(url, 1, "--op", "write", "--order", "sequential", "--block", "65536", "--depth", "4"))); // pages come with the first write
            int[] handlers = [.. ProcessTree.Descendants(serve.Pid).Select(static process => process.Pid)];

            // Without a warming up of its own, so that all commands count whose processor time counts; what a login costs is lost in them.
            long reactorNs = ReactorNs(serve.Pid), handlerNs = handlers.Sum(RunNs);
            IEnumerable<string> urls = isSpread ? Enumerable.Repeat(serve.Urls[0], targets) : serve.Urls;
            LightReport[] reports = await Task.WhenAll(urls.Select(url => LightInitiator.RunAsync(url, seconds, [.. load, "--warm", "0"])));
            double commands = reports.Sum(static report => report.Operations);
            return new Measured(
                reports.Sum(static report => report.Operations / report.Seconds), (ReactorNs(serve.Pid) - reactorNs) / commands / 1000, (handlers.Sum(RunNs) - handlerNs) / commands / 1000);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>For how long the reactors have run, in nanoseconds.</summary>
    static long ReactorNs(int engine) => Threads(engine).Where(static thread => File.ReadAllText($"{thread}/comm").StartsWith("scuse reactor", StringComparison.Ordinal)).Sum(RunNsOf);

    static long RunNs(int process) => Threads(process).Sum(RunNsOf);

    static string[] Threads(int process) => Directory.GetDirectories($"/proc/{process}/task");

    static long RunNsOf(string thread)
    {
        try
        {
            return long.Parse(File.ReadAllText($"{thread}/schedstat").Split(' ')[0], CultureInfo.InvariantCulture);
        }
        catch (IOException)
        {
            return 0; // it has ended
        }
    }
}
