namespace Scuse.Kernel;

/// <summary>Disks as the guest's kernel has them.</summary>
static class GuestDisk
{
    /// <summary>Where sysfs has those of iSCSI sessions.</summary>
    public const string OfIscsi = "/sys/class/iscsi_session/session*/device/target*/*/block/sd*";

    /// <summary>Waits until so many are there, and gives their commands the time that an emulated guest on a busy machine may take. Their paths, by LUN.</summary>
    /// <param name="guest">Where they are to be.</param>
    /// <param name="folders">Their folders in sysfs, as a pattern of the shell.</param>
    /// <param name="count">How many.</param>
    public static async Task<string[]> WaitForAsync(Guest guest, string folders, int count = 1)
    {
        string disks = await guest.MustRunAsync($"""
            for i in $(seq 300); do
                set -- {folders}
                if [ $# = {count} ] && [ -e "$1/queue" ]; then
                    for disk; do echo 120 >"$disk/device/timeout" && echo "/dev/$(basename "$disk")"; done
                    exit
                fi
                sleep 0.1
            done
            echo "instead of {count} there are: $*"
            exit 1
            """);
        return disks.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
    }

    /// <summary>Checks that a tree of files on ext4 is as it was copied, after it was unmounted, checked and mounted again.</summary>
    public static async Task MustKeepFilesAsync(Guest guest, string disk)
    {
        string count = await guest.MustRunAsync(
            $"""
            set -e
            mke2fs -q -t ext4 {disk}
            mkdir -p /mnt && mount {disk} /mnt
            cp -a /usr/sbin /mnt/
            head -c 8M /dev/urandom >/mnt/random
            cd /mnt && find . -type f -print0 | sort -z | xargs -0 sha256sum >/tmp/sums
            cd / && umount /mnt
            e2fsck -f -n {disk} >/tmp/e2fsck 2>&1 || {"{ cat /tmp/e2fsck; exit 1; }"}
            echo 3 >/proc/sys/vm/drop_caches
            mount {disk} /mnt
            cd /mnt && sha256sum --quiet -c /tmp/sums
            cd / && umount /mnt
            wc -l </tmp/sums
            """,
            seconds: 600);
        Assert.True(int.Parse(count) > 100, count);
    }
}
