using Scuse.Peers;

namespace Scuse.Bench.Peers;

/// <summary>The targets that are compared, each started when it is first wanted. tgt and those that serve files serve the same one, in memory.</summary>
sealed class Contenders(long diskBytes) : IDisposable
{
    static readonly TimeSpan FillDeadline = TimeSpan.FromMinutes(2);

    readonly Dictionary<Contender, ITarget> _started = [];
    readonly string _image = Path.Combine(Directory.Exists("/dev/shm") ? "/dev/shm" : Path.GetTempPath(), $"scuse-bench-{Environment.ProcessId}.img");

    /// <summary>Whether it can be had on this machine.</summary>
    public static bool IsThere(Contender contender) => contender switch
    {
        Contender.Istgt => IstgtTarget.IsInstalled,
        Contender.Nbd => NbdTarget.Installed is not null,
        _ => true,
    };

    /// <summary>Whether the comparison goes on without it.</summary>
    public static bool IsExtra(Contender contender) => contender is Contender.Istgt or Contender.Nbd;

    /// <summary>What the tables call it.</summary>
    public static string NameOf(Contender contender) => contender switch
    {
        Contender.Tgt => "tgt",
        Contender.Istgt => "istgt",
        Contender.Nbd => $"{NbdTarget.Installed} (NBD)",
        Contender.InProcess => "in process",
        Contender.Ceiling => "ceiling",
        Contender.CeilingWithData => "ceiling with data",
        _ => "scuse",
    };

    /// <summary>The target, running; its disk was written from end to end.</summary>
    /// <exception cref="PeerException">It did not start, or gives wrong data.</exception>
    public async Task<ITarget> GetAsync(Contender contender)
    {
        if (_started.TryGetValue(contender, out ITarget? target))
        {
            return target;
        }

        bool isNew = !File.Exists(_image);
        target = await StartAsync(contender);
        _started.Add(contender, target);
        if (HoldsData(contender))
        {
            await CheckAsync(contender, target, (byte)contender);
            if (isNew || contender is Contender.Memory or Contender.InProcess)
            {
                await QemuBench.RunAsync(FillDeadline, target.Url, 1 << 20, 8, (int)(diskBytes >> 20), write: true, pattern: 0x6b);
            }
        }

        return target;
    }

    /// <summary>It has failed: it is ended, and started again when it is wanted again.</summary>
    public void Drop(Contender contender)
    {
        if (_started.Remove(contender, out ITarget? target))
        {
            target.Dispose();
        }
    }

    /// <summary>The disks must still tell the truth after the load: a fast target that lost data has measured nothing.</summary>
    /// <exception cref="PeerException">One does not.</exception>
    public async Task CheckAllAsync()
    {
        foreach ((Contender contender, ITarget target) in _started.Where(static each => HoldsData(each.Key)))
        {
            await CheckAsync(contender, target, (byte)(0x40 + contender));
        }
    }

    static bool HoldsData(Contender contender) => contender is not (Contender.Ceiling or Contender.CeilingWithData);

    async Task<ITarget> StartAsync(Contender contender)
    {
        if (contender is Contender.Tgt or Contender.File or Contender.Istgt or Contender.Nbd && !File.Exists(_image))
        {
            using FileStream file = File.Create(_image);
            file.SetLength(diskBytes);
        }

        return contender switch
        {
            Contender.Tgt => await TgtTarget.StartAsync(_image),
            Contender.Memory => await ScuseTarget.StartAsync($"memory:{diskBytes >> 20}M"),
            Contender.File => await ScuseTarget.StartAsync($"file:{_image}"),
            Contender.Ceiling => await CeilingTarget.StartAsync(diskBytes, withData: false),
            Contender.CeilingWithData => await CeilingTarget.StartAsync(diskBytes, withData: true),
            Contender.InProcess => await InProcessTarget.StartAsync(diskBytes),
            Contender.Istgt => await IstgtTarget.StartAsync(_image, diskBytes),
            Contender.Nbd => await NbdTarget.StartAsync(NbdTarget.Installed!, _image),
            _ => throw new ArgumentOutOfRangeException(nameof(contender)),
        };
    }

    /// <summary>Writes a pattern of its own at several places, and reads it back on another session.</summary>
    async Task CheckAsync(Contender contender, ITarget target, byte number)
    {
        const int LengthBytes = 3 << 20;
        long[] places = [0, LengthBytes + 4096 - 512, diskBytes / 3 & ~511L, diskBytes - LengthBytes];
        string[] writes = [.. places.Select((offset, i) => $"write -q -P {(byte)(number * 8 + i + 1)} {offset} {LengthBytes}")];
        await IoAsync(contender, target, writes);
        await IoAsync(contender, target, [.. writes.Select(static write => write.Replace("write", "read", StringComparison.Ordinal))]);
    }

    static async Task IoAsync(Contender contender, ITarget target, string[] commands)
    {
        Outcome outcome = await Peer.RunAsync("qemu-io", ["-f", "raw", "-t", "none", .. commands.SelectMany(static command => new[] { "-c", command }), target.Url]);
        if (outcome.ExitCode != 0 || outcome.Text.Contains("Pattern verification failed", StringComparison.Ordinal))
        {
            throw new PeerException($"{NameOf(contender)} did not return the data that was written to it; nothing was measured.\n{outcome.Text}");
        }
    }

    public void Dispose()
    {
        foreach (ITarget target in _started.Values)
        {
            target.Dispose();
        }

        File.Delete(_image);
    }
}
