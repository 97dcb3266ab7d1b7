using Scuse.Linux;
using Scuse.Tcmu;

namespace Scuse.Handlers.Tests;

/// <summary>What sysfs and configfs say of user backstores, with folders that look like theirs.</summary>
public sealed class BackstoreTests : IDisposable
{
    readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Sysfs_lists_user_backstores_and_others()
    {
        Write("uio/uio0/name", "tcm-user/0/a/scuse-memory/64M\n");
        Write("uio/uio0/maps/map0/size", "0x0000000040800000\n");
        Write("uio/uio1/name", "uio_pci_generic\n");
        Write("uio/uio17/name", "tcm-user/0/b/qcow//tmp/b.img\n");
        Directory.CreateDirectory(_folder["uio/uio5"]); // on its way in or out
        UioFolder uio = new(_folder["uio"]);

        Assert.Equal([(0u, "user_0/a"), (17u, "user_0/b")], uio.List().Select(entry => (entry.Minor, entry.Name.Path)).Order());
        Assert.Equal((0x40800000, 0), (uio.ReadMapBytes(0), uio.ReadMapBytes(17)));
        Assert.Null(uio.ReadName(18));
        Assert.Empty(new UioFolder(_folder["nowhere"]).List());
    }

    [Fact]
    public void Configfs_says_what_a_backstore_is()
    {
        BackstoreFolder folder = Folder();
        Write("core/user_0/a/attrib/dev_size", "268435456\n");
        Write("core/user_0/a/attrib/hw_block_size", "4096\n");
        Write("core/user_0/a/attrib/nl_reply_supported", "1\n");
        Write("core/user_0/a/statistics/scsi_dev/indx", "7\n");
        Write("core/user_0/a/enable", "0\n");
        Write("core/user_0/a/wwn/vpd_unit_serial", "T10 VPD Unit Serial Number: 6d30-77\n");

        Assert.Equal((268435456, 4096, "6d30-77"), (folder.ReadSizeBytes(), folder.ReadBlockSize(), folder.ReadSerial()));
        Assert.Equal((true, 7u, false), (folder.ReadRepliesInForce(), folder.ReadDeviceId(), folder.ReadIsEnabled()));
    }

    [Theory]
    [InlineData("-1")]
    [InlineData("0")]
    public void Replies_are_in_force_only_where_the_kernel_says_so(string value)
    {
        Write("core/user_0/a/attrib/nl_reply_supported", value + "\n");

        Assert.False(Folder().ReadRepliesInForce());
    }

    [Fact]
    public void What_is_not_there_is_not_known()
    {
        BackstoreFolder folder = Folder();

        Assert.Equal((0, 0), (folder.ReadSizeBytes(), folder.ReadBlockSize()));
        Assert.Equal((null, null, null), (folder.ReadRepliesInForce(), folder.ReadDeviceId(), folder.ReadIsEnabled()));
        Assert.Equal((false, false, false), (folder.CanBlock, folder.CanReset, folder.CanFreeKept));
        Assert.False(folder.Block(true));
    }

    [Fact]
    public void What_a_kernel_can_do_is_told_by_its_files()
    {
        Write("core/user_0/a/action/block_dev", "unblocked\n");
        Assert.Equal((true, false, false), (Folder().CanBlock, Folder().CanReset, Folder().CanFreeKept));

        Write("core/user_0/a/action/reset_ring", "");
        Write("core/user_0/a/action/free_kept_buf", "");
        Assert.Equal((true, true, true), (Folder().CanBlock, Folder().CanReset, Folder().CanFreeKept));
    }

    [Fact]
    public void Actions_are_numbers_written_in_one_piece()
    {
        foreach (string file in (string[])["action/block_dev", "action/reset_ring", "action/free_kept_buf", "attrib/dev_size"])
        {
            Write($"core/user_0/a/{file}", "");
        }

        Assert.True(Folder().Block(true) && Folder().ResetRing() && Folder().FreeKept(65535) && Folder().SetSizeBytes(1L << 40));

        Assert.Equal(("1", "1", "65535", "1099511627776"), (Read("action/block_dev"), Read("action/reset_ring"), Read("action/free_kept_buf"), Read("attrib/dev_size")));
        Folder().Block(false);
        Assert.Equal("0", Read("action/block_dev"));
    }

    [Fact]
    public void Without_a_serial_number_of_the_operators_one_is_made_that_no_other_machine_or_backstore_has()
    {
        Write("core/user_0/a/wwn/vpd_unit_serial", "T10 VPD Unit Serial Number: \n");
        Write("one", "0123456789abcdef0123456789abcdef\n");
        Write("two", "f123456789abcdef0123456789abcdef\n");

        string serial = Folder().ReadSerial(_folder["one"]);

        Assert.Matches("^[0-9a-f]{32}$", serial);
        Assert.Equal(serial, Folder().ReadSerial(_folder["one"]));
        Assert.NotEqual(serial, Folder().ReadSerial(_folder["two"]));
        Assert.NotEqual(serial, new BackstoreFolder(_folder["core"], new BackstoreName(0, "b", "")).ReadSerial(_folder["one"]));
        Assert.Matches("^[0-9a-f]{32}$", Folder().ReadSerial(_folder["none"]));
    }

    BackstoreFolder Folder() => new(_folder["core"], new BackstoreName(0, "a", "scuse-memory"));

    string Read(string file) => System.IO.File.ReadAllText(_folder[$"core/user_0/a/{file}"]);

    void Write(string file, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(_folder[file])!);
        System.IO.File.WriteAllText(_folder[file], text);
    }
}
