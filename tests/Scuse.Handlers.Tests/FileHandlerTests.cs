using System.Diagnostics;
using Microsoft.Win32.SafeHandles;
using Scuse.Device;
using Scuse.Handlers.File;
using Scuse.Linux;
using Scuse.Scsi;

namespace Scuse.Handlers.Tests;

public sealed class FileHandlerTests : IDisposable
{
    static readonly DeviceInfo s_device = new() { Name = "disk" };

    readonly TempFolder _folder = new();

    string Image => _folder["a.img"];

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Holes_are_known_from_data()
    {
        FileHandler disk = await FileHandler.OpenAsync($"{Image}?size=1M", s_device);
        await disk.WriteAsync(65536, new DataBuffer(new byte[65536]), WriteFlags.None, default);

        Assert.Equal(new BlockExtent(false, 65536), await disk.GetExtentAsync(0, 1 << 20, default));
        Assert.Equal(new BlockExtent(true, 65536 - 512), await disk.GetExtentAsync(65536 + 512, 1 << 19, default));
        Assert.Equal(new BlockExtent(false, (1 << 20) - 131072), await disk.GetExtentAsync(131072, (1 << 20) - 131072, default));
        await disk.UnmapAsync(65536, 65536, default);
        Assert.Equal(new BlockExtent(false, 1 << 20), await disk.GetExtentAsync(0, 1 << 20, default));
        await disk.CloseAsync();
    }

    [Fact]
    public async Task Without_a_size_the_disk_grows_with_its_file_while_it_is_served()
    {
        await System.IO.File.WriteAllBytesAsync(Image, new byte[1 << 20], TestContext.Current.CancellationToken);
        FileHandler disk = await FileHandler.OpenAsync(Image, s_device);
        using (SafeFileHandle file = FileRange.Open(Image)) // which takes no lock
        {
            Assert.Equal(0, FileRange.SetLength(file, (2 << 20) + 100));
        }

        await EventuallyAsync(() => disk.SizeBytes == 2 << 20); // whole blocks
        await disk.CloseAsync();
    }

    static async Task EventuallyAsync(Func<bool> isSo)
    {
        for (int i = 0; i < 100 && !isSo(); i++)
        {
            await Task.Delay(100, TestContext.Current.CancellationToken);
        }

        Assert.True(isSo());
    }

    [Fact]
    public async Task It_tells_the_room_that_the_file_takes_up_and_what_the_file_system_has_left()
    {
        FileHandler disk = await FileHandler.OpenAsync($"{Image}?size=4M", s_device);
        BlockResources before = await disk.GetResourcesAsync(default);
        await disk.WriteAsync(0, new DataBuffer(new byte[1 << 20]), WriteFlags.None, default);
        await disk.FlushAsync(default);
        BlockResources after = await disk.GetResourcesAsync(default);
        await disk.CloseAsync();

        Assert.Equal(0, before.UsedBytes);
        Assert.InRange(after.UsedBytes, 1 << 20, 2 << 20);
        Assert.True(after is { AvailableBytes: > 0, IsShared: true });
    }

    [Fact]
    public async Task With_a_size_a_missing_file_is_created_sparse_and_for_its_owner_only()
    {
        FileHandler disk = await FileHandler.OpenAsync($"{Image}?size=64M&block=4096", s_device);
        await disk.CloseAsync();

        Assert.Equal((64L << 20, 4096), (disk.SizeBytes, disk.BlockSize));
        Assert.Equal(64L << 20, new FileInfo(Image).Length);
        Assert.Equal(0, AllocatedBytes());
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, System.IO.File.GetUnixFileMode(Image));
    }

    [Fact]
    public async Task A_thick_file_has_all_its_room_reserved_and_offers_no_unmap()
    {
        FileHandler disk = await FileHandler.OpenAsync($"{Image}?size=8M&thick=1", s_device);

        Assert.Equal(8L << 20, AllocatedBytes());
        await disk.WriteZeroesAsync(0, 1 << 20, mayUnmap: false, default);
        await disk.CloseAsync();

        Assert.Equal(8L << 20, AllocatedBytes());
        Assert.Equal(BlockDeviceFeatures.Flush | BlockDeviceFeatures.WriteZeroes, disk.Features);
    }

    [Fact]
    public async Task Without_a_size_the_file_is_as_long_as_it_is()
    {
        System.IO.File.WriteAllBytes(Image, new byte[1024]);

        FileHandler disk = await FileHandler.OpenAsync(Image, s_device);
        await disk.CloseAsync();

        Assert.Equal(1024, disk.SizeBytes);
    }

    [Fact]
    public async Task A_larger_size_grows_the_file_and_keeps_what_is_in_it()
    {
        System.IO.File.WriteAllBytes(Image, [.. Enumerable.Repeat((byte)7, 512)]);

        FileHandler disk = await FileHandler.OpenAsync($"{Image}?size=1M", s_device);
        byte[] read = await ReadAsync(disk, 0, 1024);
        await disk.CloseAsync();

        Assert.Equal(1 << 20, new FileInfo(Image).Length);
        Assert.Equal(512, read.Count(b => b == 7));
    }

    [Theory]
    [InlineData("?size=512", 1024, "file '{0}' has 1K, and size=512 is less; it is not cut")]
    [InlineData("", 1000, "file '{0}' has 1000 bytes, which is not a multiple of the block size of 512")]
    [InlineData("?block=4096", 1024, "file '{0}' has 1024 bytes, which is not a multiple of the block size of 4096")]
    [InlineData("", 0, "file '{0}' is empty; give a size: file:{0}?size=1G")]
    [InlineData("?size=1M&readonly=1", 1024, "file '{0}' has 1K, and is to be read only: it cannot grow to 1M")]
    public async Task A_file_that_does_not_fit_is_left_alone_and_named(string options, int length, string message)
    {
        System.IO.File.WriteAllBytes(Image, new byte[length]);

        IOException problem = await Assert.ThrowsAsync<IOException>(() => FileHandler.OpenAsync(Image + options, s_device));

        Assert.Equal(string.Format(System.Globalization.CultureInfo.InvariantCulture, message, Image), problem.Message);
        Assert.Equal(length, new FileInfo(Image).Length);
    }

    [Fact]
    public async Task A_missing_file_without_a_size_says_how_to_create_it()
    {
        IOException problem = await Assert.ThrowsAsync<IOException>(() => FileHandler.OpenAsync(Image, s_device));

        Assert.Equal($"file '{Image}' does not exist; give a size to create it: file:{Image}?size=1G", problem.Message);
    }

    [Fact]
    public async Task A_folder_is_not_a_disk()
    {
        IOException problem = await Assert.ThrowsAsync<IOException>(() => FileHandler.OpenAsync(Path.GetDirectoryName(Image)!, s_device));

        Assert.Contains("cannot be opened", problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_spec_is_checked_without_touching_the_file()
    {
        FileProgram.Check($"{Image}?size=1G");

        Assert.Throws<FormatException>(() => FileProgram.Check(""));
        Assert.Throws<FormatException>(() => FileProgram.Check($"{Image}?sice=1G"));
        Assert.False(System.IO.File.Exists(Image));
    }

    [Fact]
    public async Task Two_handlers_cannot_share_a_file()
    {
        FileHandler first = await FileHandler.OpenAsync($"{Image}?size=1M", s_device);

        IOException problem = await Assert.ThrowsAsync<IOException>(() => FileHandler.OpenAsync(Image, s_device));
        await first.CloseAsync();
        FileHandler second = await FileHandler.OpenAsync(Image, s_device);
        await second.CloseAsync();

        Assert.Equal($"file '{Image}' is in use by another handler (it is locked)", problem.Message);
    }

    [Fact]
    public async Task A_lock_that_is_let_go_shortly_is_waited_for()
    {
        FileHandler first = await FileHandler.OpenAsync($"{Image}?size=1M", s_device);
        Task<FileHandler> second = FileHandler.OpenAsync(Image, s_device);
        await Task.Delay(100);
        Assert.False(second.IsCompleted);

        await first.CloseAsync();

        await (await second).CloseAsync();
    }

    [Fact]
    public async Task Readers_share_a_file()
    {
        System.IO.File.WriteAllBytes(Image, new byte[1024]);

        FileHandler first = await FileHandler.OpenAsync($"{Image}?readonly=1", s_device);
        FileHandler second = await FileHandler.OpenAsync(Image, s_device with { ReadOnly = true });

        Assert.True(first.IsReadOnly && second.IsReadOnly);
        await first.CloseAsync();
        await second.CloseAsync();
    }

    [Fact]
    public async Task What_is_written_through_the_ring_is_in_the_file()
    {
        using FakeTarget target = new();
        FileHandler disk = await FileHandler.OpenAsync($"{Image}?size=1M", s_device);
        target.Serve(_ => disk);
        byte[] data = [.. Enumerable.Range(0, 4096).Select(i => (byte)i)];
        byte[] flush = new byte[16];

        Assert.Equal(ScsiStatus.Good, target.Write(8, data).Status);
        Assert.Equal(ScsiStatus.Good, target.Write(16, data, fua: true).Status);
        Assert.Equal(ScsiStatus.Good, target.Execute(flush.AsSpan(0, Cdb.WriteSynchronizeCache16(flush))).Status);

        Assert.Equal(data, target.Read(16, 8).Data);
        Assert.Equal(["flush", "unmap", "writeZeroes", "extents", "resources"], target.Ready!.Features);
        Assert.Equal("file", target.Ready.Product);
        target.RemoveDevice();
        Assert.Equal(0, await target.ExitCode());
        Assert.Equal(data, System.IO.File.ReadAllBytes(Image)[4096..8192]);
    }

    [Fact]
    public async Task Unmapping_shrinks_what_the_file_takes_up_on_disk_and_reads_as_zeros()
    {
        FileHandler disk = await FileHandler.OpenAsync($"{Image}?size=2M", s_device);
        await disk.WriteAsync(0, new DataBuffer(Filled(2 << 20)), WriteFlags.ForceUnitAccess, default);
        long full = AllocatedBytes();

        await disk.UnmapAsync(1 << 20, 1 << 20, default);

        Assert.True(full - AllocatedBytes() >= 1 << 20, $"{full} bytes before, {AllocatedBytes()} after");
        Assert.DoesNotContain(await ReadAsync(disk, 1 << 20, 1 << 20), b => b != 0);
        Assert.Equal(0x5A, (await ReadAsync(disk, (1 << 20) - 512, 512))[511]);
        await disk.CloseAsync();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Zero_writes_read_as_zeros_and_leave_their_neighbours(bool mayUnmap)
    {
        FileHandler disk = await FileHandler.OpenAsync($"{Image}?size=64K", s_device);
        await disk.WriteAsync(0, new DataBuffer(Filled(65536)), WriteFlags.None, default);

        await disk.WriteZeroesAsync(512, 32768, mayUnmap, default);
        byte[] all = await ReadAsync(disk, 0, 65536);

        Assert.Equal(65536 - 32768, all.Count(b => b == 0x5A));
        Assert.Equal((0x5A, 0, 0, 0x5A), (all[511], all[512], all[33279], all[33280]));
        await disk.CloseAsync();
    }

    [Fact]
    public async Task A_file_that_somebody_cut_is_an_unrecovered_read_error()
    {
        using FakeTarget target = new();
        FileHandler disk = await FileHandler.OpenAsync($"{Image}?size=1M", s_device);
        target.Serve(_ => disk);

        SetLength(Image, 4096);
        Answer read = target.Read(8, 1);
        Assert.Equal((ScsiStatus.CheckCondition, "03/11/00"), (read.Status, read.SenseText));
    }

    [Fact]
    public async Task A_full_file_system_is_reported_as_such_and_what_was_there_stays()
    {
        Assert.SkipUnless(Environment.UserName == "root", "mounting a small tmpfs needs root");
        string mount = _folder["small"];
        Directory.CreateDirectory(mount);
        Assert.SkipUnless(Run("mount", "-t", "tmpfs", "-o", "size=1M", "none", mount) == 0, "this machine does not let us mount a tmpfs");
        try
        {
            using FakeTarget target = new();
            FileHandler disk = await FileHandler.OpenAsync($"{mount}/a.img?size=8M", s_device);
            target.Serve(_ => disk);
            Assert.Equal(ScsiStatus.Good, target.Write(0, Filled(512 << 10)).Status);

            Answer tooMuch = target.Write(4096, Filled(1 << 20));
            Answer read = target.Read(0, 8);

            Assert.Equal((ScsiStatus.CheckCondition, "07/27/07"), (tooMuch.Status, tooMuch.SenseText));
            Assert.Equal(Filled(4096), read.Data);
            target.RemoveDevice();
            await target.ExitCode();
        }
        finally
        {
            Run("umount", mount);
        }
    }

    static byte[] Filled(int length)
    {
        byte[] data = new byte[length];
        Array.Fill(data, (byte)0x5A);
        return data;
    }

    static async Task<byte[]> ReadAsync(FileHandler disk, long offset, int length)
    {
        byte[] data = new byte[length];
        await disk.ReadAsync(offset, new DataBuffer(data), default);
        return data;
    }

    long AllocatedBytes()
    {
        using var file = FileRange.Open(Image, readOnly: true);
        return FileRange.GetAllocatedBytes(file);
    }

    static void SetLength(string path, long length)
    {
        using var file = FileRange.Open(path);
        Assert.Equal(0, FileRange.SetLength(file, length));
    }

    static int Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        process.WaitForExit();
        return process.ExitCode;
    }
}
