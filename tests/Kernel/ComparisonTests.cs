using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;

namespace Scuse.Kernel;

/// <summary>
/// How fast a raw image is as a disk of the guest, served by tcmu-runner and by our <c>file:</c> handler behind the same kernel, in turns. <c>tests/Kernel/run compare</c> is the long form, whose table is kept in
/// docs/kernel.md; the short one sees to it that it works. No figure is too low here: the guest is emulated, and others may use the machine.
/// </summary>
public sealed class ComparisonTests(Guest guest) : PeerTest, IClassFixture<Guest>
{
    const long SizeBytes = 128 << 20;

    // Both disks take commands of up to 1 MiB. Ours says so by itself; for tcmu-runner it is what the kernel was told, which is 64 KiB unless it is.
    const string Settings = "hw_block_size=512,nl_reply_supported=-1,hw_max_sectors=2048";

    static readonly int Rounds = Number("SCUSE_KERNEL_ROUNDS") ?? 1, Seconds = Number("SCUSE_KERNEL_ROUND_SECONDS") ?? 1;

    static readonly (string Name, string Options)[] Workloads =
    [
        ("4 KiB reads, QD1", "--rw=randread --bs=4k --ioengine=psync"),
        ("4 KiB reads, QD32", "--rw=randread --bs=4k --ioengine=libaio --iodepth=32"),
        ("1 MiB reads, QD1", "--rw=randread --bs=1M --ioengine=psync"),
        ("1 MiB reads, QD4", "--rw=randread --bs=1M --ioengine=libaio --iodepth=4"),
        ("4 KiB writes, QD1", "--rw=randwrite --bs=4k --ioengine=psync"),
        ("4 KiB writes, QD32", "--rw=randwrite --bs=4k --ioengine=libaio --iodepth=32"),
        ("1 MiB writes, QD1", "--rw=randwrite --bs=1M --ioengine=psync"),
        ("1 MiB writes, QD4", "--rw=randwrite --bs=1M --ioengine=libaio --iodepth=4"),
    ];

    [Theory]
    [InlineData("tmpfs", "/tmp")]
    [InlineData("ext4, in the page cache", "/root")]
    [Trait("scenario", "compare")]
    public async Task A_raw_image_is_served_by_either(string where, string folder)
    {
        Needs.TheLongerTests();
        await GuestHandler.PrepareAsync(guest);
        await using TcmuRunner runner = await TcmuRunner.StartAsync(guest);
        await using GuestHandler handler = await GuestHandler.StartAsync(guest, "file");
        await guest.MustRunAsync($"head -c {SizeBytes} /dev/urandom >{folder}/its.img && cp {folder}/its.img {folder}/ours.img && sync");
        await using UserBackstore its = await UserBackstore.CreateAsync(guest, "its", $"qcow/{folder}/its.img", SizeBytes, Settings, ("cmd_time_out", "120"));
        await using UserBackstore ours = await UserBackstore.CreateAsync(guest, "ours", $"scuse-file/{folder}/ours.img", SizeBytes, Settings, ("cmd_time_out", "120"));
        await handler.MustLogAsync("device 'user_0/ours': served");
        (string Disk, int Pid)[] sides = [(await its.MapLocallyAsync(), runner.Pid), (await ours.MapLocallyAsync(), handler.Pid)];
        string limits = await guest.MustRunAsync($$"""
            for disk in {{sides[0].Disk}} {{sides[1].Disk}}; do
                cd /sys/block/${disk#/dev/}/queue && echo none >scheduler && echo 0 >rotational && echo 0 >add_random && echo 1024 >max_sectors_kb || exit
                cat max_sectors_kb
                cat $disk >/dev/null
            done
            cmp {{sides[0].Disk}} {{sides[1].Disk}}
            """);
        Assert.Equal("1024 1024", limits.Trim().Replace('\n', ' '));

        var table = new StringBuilder($"\n{where}; median of {Rounds} x {Seconds} s in turns; processor time is the handler's own, per command\n\n| | tcmu-runner | scuse | ratio | processor time |\n|---|---:|---:|---:|---:|\n");
        foreach ((string name, string options) in Workloads)
        {
            List<Figure>[] figures = [[], []];
            for (int round = 0; round < Rounds; round++)
            {
                for (int turn = 0; turn < sides.Length; turn++)
                {
                    int side = (turn + round) % sides.Length; // who begins, ends the next time
                    figures[side].Add(await MeasureAsync(sides[side].Disk, sides[side].Pid, options));
                }
            }

            (Figure theirs, Figure own) = (Figure.Median(figures[0]), Figure.Median(figures[1]));
            table.AppendLine(CultureInfo.InvariantCulture, $"| {name} | {theirs.PerSecond:0}/s | {own.PerSecond:0}/s | {own.PerSecond / theirs.PerSecond:0.00} | {theirs.Microseconds:0} and {own.Microseconds:0} µs |");
        }

        TestContext.Current.TestOutputHelper?.WriteLine(table.ToString());
        Assert.DoesNotContain("I/O error", await guest.KernelLogAsync());
    }

    async Task<Figure> MeasureAsync(string disk, int pid, string options)
    {
        string output = await guest.MustRunAsync(
            $"""
            cat /proc/{pid}/stat; getconf CLK_TCK
            fio --name=compare --filename={disk} --direct=1 --size={SizeBytes} --time_based --runtime={Seconds} {options} --output-format=json --output=/tmp/compare.json || exit
            cat /proc/{pid}/stat
            cat /tmp/compare.json
            """);
        int json = output.IndexOf('{', StringComparison.Ordinal);
        string[] lines = output[..json].Split('\n', StringSplitOptions.RemoveEmptyEntries);
        JsonNode job = JsonNode.Parse(output[json..])!["jobs"]![0]!;
        (string kind, double commands) = (double)job["read"]!["total_ios"]! is > 0 and double reads ? ("read", reads) : ("write", (double)job["write"]!["total_ios"]!);
        Assert.True(commands > 0, output);

        double ticks = Ticks(lines[2]) - Ticks(lines[0]), seconds = ticks / double.Parse(lines[1], CultureInfo.InvariantCulture);
        return new Figure((double)job[kind]!["iops"]!, seconds / commands * 1e6);
    }

    // User and system time, the 14th and the 15th field; the second is a name in parentheses.
    static double Ticks(string stat)
    {
        string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        return double.Parse(fields[11], CultureInfo.InvariantCulture) + double.Parse(fields[12], CultureInfo.InvariantCulture);
    }

    static int? Number(string variable) => int.TryParse(Environment.GetEnvironmentVariable(variable), CultureInfo.InvariantCulture, out int number) ? number : null;

    /// <summary>What one turn gave.</summary>
    /// <param name="PerSecond">Commands that were answered in a second.</param>
    /// <param name="Microseconds">Processor time of the handler for one.</param>
    readonly record struct Figure(double PerSecond, double Microseconds)
    {
        public static Figure Median(List<Figure> figures) => new(Median(figures.Select(static figure => figure.PerSecond)), Median(figures.Select(static figure => figure.Microseconds)));

        static double Median(IEnumerable<double> values)
        {
            double[] sorted = [.. values.Order()];
            return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
        }
    }
}
