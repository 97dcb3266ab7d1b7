using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;

namespace Scuse.Kernel;

/// <summary>
/// What sg3-utils, other people's decoders, make of our logical units. It was looked through by a person, and is kept in <c>golden</c>; SCUSE_UPDATE_DOCS=1 writes it anew, to be looked through again.
/// </summary>
public sealed partial class SgToolsTests(Guest guest) : PeerTest, IClassFixture<Guest>
{
    /// <summary>What is asked, by the name of the file, with ;; between commands; $d is the disk and $e the one beside it, $g and $h the same as sg devices.</summary>
    public static TheoryData<string, string> Questions => new()
    {
        { "inquiry", "sg_inq $d ;; sg_inq -v $e ;; for page in 0x00 0x80 0x83 0x86 0x8f 0xb0 0xb1 0xb2; do echo \"-- $page\"; sg_vpd -p $page $d; done ;; sg_vpd -p 0xb3 $d" },
        { "unit", "sg_luns $d ;; sg_luns -s 1 $d ;; sg_turs -v $d ;; sg_requests $d ;; sg_readcap $d ;; sg_readcap -l $d ;; sg_rtpg -d $d ;; sg_stpg -o $d ;; sg_ident $d" },
        { "modes", "sg_modes -a $d ;; sg_modes -c 1 $d ;; sg_modes -c 2 -p 8 $d ;; sg_wr_mode -p 0xa -c 0a,0a,04,10,00,00,00,00,ff,ff,00,00 $d ;; sg_modes -p 0xa $d" },
        { "logs", "sg_logs $d ;; sg_logs -p 0x0c $d ;; sg_logs -p 0x2f $d ;; sg_logs -p 0x3f $d" },
        { "opcodes", "sg_opcodes $d ;; sg_opcodes -m $d ;; sg_opcodes -o 0x89 $d ;; sg_opcodes -o 0x9e -s 0x10 $d ;; sg_opcodes -o 0xc0 $d" },
        { "reservations", "sg_persist -c $d ;; sg_persist -k $d ;; sg_persist -o -G -S 0xabc $d ;; sg_persist -o -R -K 0xabc -T 5 $d ;; sg_persist -r $d ;; sg_persist -s $d ;; sg_persist -o -L -K 0xabc -T 5 $d ;; sg_persist -o -C -K 0xabc $d ;; sg_persist -k $d" },
        {
            "blocks",
            "sg_dd if=/dev/urandom of=$d bs=512 count=64 seek=128 2>&1 | grep records ;; sg_unmap --lba=128 --num=64 -f $d ;; sg_get_lba_status --lba=0 $d ;; sg_verify --lba=0 --count=64 $d ;; sg_sync $d ;; "
            + "sg_write_same --lba=256 --num=8 --in=/dev/zero --xferlen=512 $d ;; sg_write_same --lba=256 --num=8 --ndob --16 $d ;; "
            + "head -c 512 /dev/zero >/tmp/caw ;; head -c 512 /dev/zero | tr '\\0' x >>/tmp/caw ;; sg_compare_and_write --in=/tmp/caw --lba=512 --num=1 $d ;; sg_compare_and_write --in=/tmp/caw --lba=512 --num=1 $d ;; sg_raw $d 34 00 00 00 00 00 00 00 08 00"
        },
        { "copy", "sg_dd if=/dev/urandom of=$d bs=512 count=2048 2>&1 | grep records ;; sg_xcopy if=$g of=$h bs=512 count=2048 2>&1 | grep -v time ;; cmp -n 1048576 $d $e && echo equal ;; sg_copy_results -p $g" },
        { "format", "sg_format -F -Q --wait --size=512 $d ;; sg_readcap $d" },
        { "sanitize", "sg_sanitize --block -Q --wait $d ;; sg_sanitize --overwrite --zero -Q --wait $d ;; sg_sanitize --crypto -Q $d ;; head -c 1048576 $d | cmp -n 1048576 - /dev/zero && echo zeros" },
    };

    [Theory]
    [MemberData(nameof(Questions))]
    public async Task What_is_answered_is_what_was_looked_through(string name, string script)
    {
        Needs.TheLongerTests();
        await guest.BootAsync();
        ScuseServe serve = await ServeAsync(["memory:16M", "memory:16M", .. OpenIscsi.PortalForGuest().Arguments]);
        await using OpenIscsi initiator = await OpenIscsi.StartAsync(guest, serve);
        await initiator.AddAsync();
        (await initiator.LoginAsync()).OrThrow();
        string[] disks = await GuestDisk.WaitForAsync(guest, GuestDisk.OfIscsi, count: 2);

        string commands = string.Join('\n', script.Split(" ;; ").Select(static command => $"say '{command.Replace("'", "'\\''", StringComparison.Ordinal)}'; {{ {command}; }} 2>&1; echo \"= $?\""));
        string output = await guest.MustRunAsync($"set -o pipefail; d={disks[0]} e={disks[1]}; g=/dev/$(ls /sys/block/{disks[0][5..]}/device/scsi_generic) h=/dev/$(ls /sys/block/{disks[1][5..]}/device/scsi_generic); say() {{ echo; echo \"$ $1\"; }}\n{commands}\ntrue");
        string text = Mask(output.Replace(disks[0], "DISK", StringComparison.Ordinal).Replace(disks[1], "SECOND", StringComparison.Ordinal));

        string file = Path.Combine(ThisFolder(), "golden", $"{name}.txt");
        if (Environment.GetEnvironmentVariable("SCUSE_UPDATE_DOCS") == "1")
        {
            await File.WriteAllTextAsync(file, text, TestContext.Current.CancellationToken);
        }

        Assert.Equal(await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken), text);
    }

    // The initiator counts its sessions in its part of the ISID, and its sg devices; the room there is is the host's memory.
    static string Mask(string text) => Varying().Replace(text, "#");

    [GeneratedRegex(@"(?<=,i,0x00023d)[0-9a-f]{6}|(?<=/dev/sg)\d+|(?<=Available LBA mapping threshold resource count: )\d+")]
    private static partial Regex Varying();

    static string ThisFolder([CallerFilePath] string thisFile = "") => Path.GetDirectoryName(thisFile)!;
}
