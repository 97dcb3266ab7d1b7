using System.Globalization;
using System.Runtime.InteropServices;
using Scuse.Peers;

namespace Scuse.Bench.Peers;

/// <summary>What the figures depend on.</summary>
static class Machine
{
    public static async Task<string> DescribeAsync(Options options)
    {
        string processor = FirstLine("/proc/cpuinfo", "model name").Split(':').Last().Trim();
        string kernel = File.ReadAllText("/proc/sys/kernel/osrelease").Trim();
        long memoryGiB = long.Parse(FirstLine("/proc/meminfo", "MemTotal").Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) >> 20;
        string tgt = (await Peer.RunAsync("tgtd", "--version")).Output.Trim();
        string qemu = (await Peer.RunAsync("qemu-img", "--version")).Output.Split('\n')[0].Split(' ')[2];
        string libiscsi = await LibiscsiAsync();
        string rounds = options.Rounds == 1 ? "one round" : $"medians of {options.Rounds} alternating rounds (smallest - largest)";
        return string.Create(CultureInfo.InvariantCulture, $"""
            Measured {DateTime.UtcNow:yyyy-MM-dd} on {Environment.ProcessorCount} cores ({processor}), {memoryGiB} GiB of memory, Linux {kernel},
            {RuntimeInformation.FrameworkDescription}, tgt {tgt}, qemu {qemu}{libiscsi}; both targets serve memory over loopback, the
            initiators run on the same cores. {char.ToUpperInvariant(rounds[0])}{rounds[1..]}; the ratio is that of the medians. CPU is the target's
            processor time for an operation, user and system, with its handler process.

            """);
    }

    static async Task<string> LibiscsiAsync()
    {
        if (!Peer.Exists("dpkg-query"))
        {
            return "";
        }

        Outcome version = await Peer.RunAsync("dpkg-query", "-W", "-f", "${Version}", "libiscsi-bin");
        return version.ExitCode == 0 ? $", libiscsi {version.Output.Trim()}" : "";
    }

    static string FirstLine(string file, string start) =>
        File.ReadLines(file).FirstOrDefault(line => line.StartsWith(start, StringComparison.Ordinal)) ?? "unknown 0";
}
