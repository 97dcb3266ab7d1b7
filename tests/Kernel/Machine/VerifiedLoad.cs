using System.Globalization;
using System.Text.RegularExpressions;

namespace Scuse.Kernel;

/// <summary>Files on ext4 that are written, read and compared all the time: blocks past the page cache with checksums of their own, and a tree of files through it.</summary>
sealed partial class VerifiedLoad
{
    // For a round of the load to end, and for what comes after it.
    const int EndSeconds = 300;

    readonly Guest _guest;
    readonly string _disk;
    readonly Task<Outcome> _blocks, _files;

    VerifiedLoad(Guest guest, string disk, double seconds)
    {
        (_guest, _disk) = (guest, disk);
        _blocks = guest.RunAsync(Blocks, seconds + EndSeconds);
        _files = guest.RunAsync(Files, seconds + EndSeconds);
    }

    internal const string Fio = "fio --direct=1 --ioengine=libaio --verify=crc32c --verify_fatal=1";

    internal const string SmallBlocks = "--name=small --filename=small --bs=4k --iodepth=8";

    /// <summary>Small and large writes past the page cache; each block is read back after a few others, and compared by a checksum that it holds itself.</summary>
    const string Blocks = $"""
        cd /mnt
        until [ -e /run/stop ]; do
            {Fio} --randrepeat=0 --verify_backlog=16 --output-format=json --output=/tmp/fio.json {SmallBlocks} --rw=randwrite --size=2M \
                --name=large --filename=large --bs=256k --iodepth=4 --rw=randwrite --size=16M || exit
            grep io_bytes /tmp/fio.json
        done
        """;

    /// <summary>Files written through the page cache, and read from the disk again.</summary>
    const string Files = """
        cd /usr/sbin && find . -type f | sort | head -n 60 >/tmp/names
        xargs sha256sum </tmp/names >/tmp/sums
        rounds=0
        until [ -e /run/stop ] && [ $rounds -gt 0 ]; do
            rm -rf /mnt/tree && mkdir /mnt/tree && xargs cp -t /mnt/tree </tmp/names && sync -f /mnt/tree || exit
            echo 1 >/proc/sys/vm/drop_caches
            (cd /mnt/tree && sha256sum --quiet -c /tmp/sums) || exit
            rounds=$((rounds + 1))
        done
        echo "$rounds times $(wc -l </tmp/names) files copied and compared"
        """;

    /// <summary>Done when a part of it has ended, which it does by itself only when something was wrong.</summary>
    public Task Ended => Task.WhenAny(_blocks, _files);

    /// <summary>Makes a file system on a disk, and starts.</summary>
    /// <param name="guest">Where.</param>
    /// <param name="disk">The disk; all that is on it is lost.</param>
    /// <param name="seconds">How long it may take at most until <see cref="EndAsync"/>.</param>
    public static async Task<VerifiedLoad> StartAsync(Guest guest, string disk, double seconds)
    {
        // A command that one interruption after the other falls upon is not to run out of its five attempts: connections that end so often are the tests' alone.
        await guest.MustRunAsync(
            $"""
            set -e
            for retries in /sys/block/{disk[5..]}/device/scsi_disk/*/max_retries; do [ ! -e "$retries" ] || echo -1 >"$retries"; done
            mke2fs -q -t ext4 {disk}
            mkdir -p /mnt && mount {disk} /mnt
            rm -f /run/stop
            dmesg --clear
            """,
            120);
        return new VerifiedLoad(guest, disk, seconds);
    }

    /// <summary>Lets the round end, checks the file system, and looks at all files once more.</summary>
    /// <exception cref="PeerException">A part of the load did not go well.</exception>
    public async Task<Report> EndAsync()
    {
        await _guest.MustRunAsync("touch /run/stop");
        Outcome verified = (await _blocks).OrThrow(), compared = (await _files).OrThrow();
        Outcome check = await _guest.RunAsync(
            $"umount /mnt && e2fsck -f -n {_disk} && mount {_disk} /mnt && cd /mnt/tree && sha256sum --quiet -c /tmp/sums && cd / && umount /mnt", EndSeconds);
        (long read, long written) = Mebibytes(verified.Output);
        return new Report(read, written, compared.Output.TrimEnd(), check, await _guest.KernelLogAsync());
    }

    // Each round's lines "io_bytes" : N, for reads, writes and trims of each of the two jobs.
    static (long Read, long Written) Mebibytes(string output)
    {
        long[] bytes = [.. IoBytes().Matches(output).Select(static match => long.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture))];
        long Sum(int which) => bytes.Where((_, index) => index % 3 == which).Sum() >> 20;
        return (Sum(0), Sum(1));
    }

    [GeneratedRegex("I/O error|EXT4-fs (error|warning)|Remounting filesystem|digest")]
    private static partial Regex DataError();

    [GeneratedRegex(@"""io_bytes"" : (\d+)")]
    private static partial Regex IoBytes();

    /// <summary>What came of it.</summary>
    /// <param name="ReadMebibytes">How much was read and compared.</param>
    /// <param name="WrittenMebibytes">How much was written past the page cache.</param>
    /// <param name="Files">What was done with files.</param>
    /// <param name="Check">The file system's check.</param>
    /// <param name="KernelLog">What the guest's kernel said meanwhile.</param>
    internal sealed record Report(long ReadMebibytes, long WrittenMebibytes, string Files, Outcome Check, string KernelLog)
    {
        public string Text => $"{WrittenMebibytes} MiB written past the page cache, {ReadMebibytes} MiB read and compared; {Files}";

        /// <summary>No byte was wrong, and nobody heard of an error.</summary>
        public void AssertWhole(bool mayLosePaths = false)
        {
            Check.OrThrow();
            Assert.True(WrittenMebibytes > 0, Text);
            Assert.Equal(WrittenMebibytes, ReadMebibytes);
            Assert.DoesNotMatch(DataError(), mayLosePaths ? PathErrors().Replace(KernelLog, "") : KernelLog);
        }
    }

    // What a disk of one path says when that path is gone; the disk above it does not.
    [GeneratedRegex("(?m)^.*(I/O error, dev sd|blk_update_request: I/O error, dev sd).*$")]
    private static partial Regex PathErrors();
}
