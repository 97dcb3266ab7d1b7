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

    [Theory]
    [InlineData("")]
    [InlineData("&threads=4")]
    [InlineData("&direct=1&block=4096")]
    public async Task Threads_that_read_write_flush_and_give_back_side_by_side_find_what_each_has_written(string more)
    {
        const int threads = 4, blocks = 64, block = 4096;
        FileHandler disk = await FileHandler.OpenAsync($"{Image}?size={threads * blocks * block}{more}", s_device);
        Assert.True(disk.IsThreadSafe);
        Exception?[] failures = await Task.WhenAll(Enumerable.Range(0, threads).Select(thread => Task.Factory.StartNew(
            () => Record.Exception(() => WriteAndReadBlocks(disk, thread)), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)));

        Assert.All(failures, Assert.Null);
        await disk.CloseAsync();

        static void WriteAndReadBlocks(FileHandler disk, int thread)
        {
            byte[] data = new byte[block], read = new byte[block];
            for (int i = 0; i < blocks * 8; i++)
            {
                long offset = (((i % blocks) * threads) + thread) * (long)block; // its neighbours are other threads'
                Array.Fill(data, (byte)(i + 1));
                disk.WriteAsync(offset, new DataBuffer(data), i % 32 == 0 ? WriteFlags.ForceUnitAccess : WriteFlags.None, default).AsTask().Wait();
                disk.ReadAsync(offset, new DataBuffer(read), default).AsTask().Wait();
                Assert.Equal(data, read);
                if (i % 16 == 0)
                {
                    disk.UnmapAsync(offset, block, default).AsTask().Wait();
                    disk.FlushAsync(default).AsTask().Wait();
                    disk.ReadAsync(offset, new DataBuffer(read), default).AsTask().Wait();
                    Assert.Equal(new byte[block], read);
                }
            }
        }
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
        FileProgram.Check($"{Image}?size=1G&direct=1&threads=256");
        Assert.Equal("direct 'on' is neither 0 nor 1", Assert.Throws<FormatException>(() => FileProgram.Check($"{Image}?direct=on")).Message);
        foreach (string threads in new[] { "0", "257", "-1", "many", "" })
        {
            Assert.Equal($"threads '{threads}' is not a number from 1 to 256", Assert.Throws<FormatException>(() => FileProgram.Check($"{Image}?threads={threads}")).Message);
        }

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

    [Theory]
    [InlineData("")]
    [InlineData("&direct=1")]
    [InlineData("&direct=1&threads=1")]
    [InlineData("&direct=1&block=4096")]
    [InlineData("&threads=2")]
    public async Task Buffers_of_any_shape_are_written_and_read(string options)
    {
        const int blocks = 1024;
        FileHandler disk = await FileHandler.OpenAsync($"{Image}?size=4M{options}", s_device);
        int block = disk.BlockSize;
        byte[] model = new byte[4 << 20];
        Random random = new(1);
        for (int i = 0; i < 200; i++)
        {
            int start = random.Next(blocks) * block, length = Math.Min(random.Next(1, 256) * block, model.Length - start);
            if (random.Next(2) == 0)
            {
                byte[] data = new byte[length];
                random.NextBytes(data);
                await disk.WriteAsync(start, Pieces(data, random), i % 10 == 0 ? WriteFlags.ForceUnitAccess : WriteFlags.None, default);
                data.CopyTo(model, start);
            }
            else
            {
                byte[] room = new byte[length];
                await disk.ReadAsync(start, Pieces(room, random), default);
                Assert.True(model.AsSpan(start, length).SequenceEqual(room), $"step {i}, {length} bytes at {start}");
            }
        }

        await disk.FlushAsync(default);
        await disk.CloseAsync();
        Assert.Equal(model, System.IO.File.ReadAllBytes(Image));
    }

    /// <summary>The bytes in up to 200 pieces, cut anywhere.</summary>
    static DataBuffer Pieces(byte[] bytes, Random random)
    {
        int[] cuts = [0, .. Enumerable.Range(0, random.Next(200)).Select(_ => random.Next(bytes.Length)).Distinct().Order(), bytes.Length];
        Memory<byte>[] pieces = [.. cuts.Zip(cuts.Skip(1), (from, to) => bytes.AsMemory(from, to - from))];
        return new DataBuffer(pieces, pieces.Length, bytes.Length);
    }

    [Theory]
    [InlineData("")]
    [InlineData("&threads=4")]
    public async Task Direct_access_through_the_ring_tells_what_is_wrong_as_any_other(string options)
    {
        using FakeTarget target = new();
        FileHandler disk = await FileHandler.OpenAsync($"{Image}?size=1M&direct=1{options}", s_device);
        target.Serve(_ => disk);
        byte[] data = Filled(4096);

        Assert.Equal(ScsiStatus.Good, target.Write(8, data).Status);
        Assert.Equal(ScsiStatus.Good, target.Write(2047, Filled(512), fua: true).Status); // the last block
        Assert.Equal(data, target.Read(8, 8).Data);
        SetLength(Image, 4096);
        Assert.Equal("03/11/00", target.Read(16, 1).SenseText);
        Assert.Equal("03/11/00", target.Read(4, 8).SenseText); // a part of it is there
        target.RemoveDevice();
        Assert.Equal(0, await target.ExitCode());
    }

    [Theory]
    [InlineData("?direct=1")]
    [InlineData("?direct=1&threads=8")]
    [InlineData("?threads=8")]
    [InlineData("")]
    public async Task Many_reads_and_writes_are_under_way_at_once(string options)
    {
        const int count = 1000, length = 4096;
        byte[] model = new byte[count * length];
        new Random(1).NextBytes(model);
        await System.IO.File.WriteAllBytesAsync(Image, model, TestContext.Current.CancellationToken);
        FileHandler disk = await FileHandler.OpenAsync(Image + options, s_device);
        byte[] room = GC.AllocateArray<byte>(model.Length + length, pinned: true);
        int start = (int)(-PinnedMemory.ToVector(room).Base & (length - 1));
        DropCache();

        await Task.WhenAll(Enumerable.Range(0, count).Select(i => disk.ReadAsync((long)i * length, new DataBuffer(room.AsMemory(start + (i * length), length)), default).AsTask()));
        Assert.True(model.AsSpan().SequenceEqual(room.AsSpan(start, model.Length)));
        await Task.WhenAll(Enumerable.Range(0, count).Select(i => disk.WriteAsync((long)(count - 1 - i) * length, new DataBuffer(room.AsMemory(start + (i * length), length)), WriteFlags.None, default).AsTask()));
        await disk.FlushAsync(default);
        await disk.CloseAsync();

        byte[] written = await System.IO.File.ReadAllBytesAsync(Image, TestContext.Current.CancellationToken);
        Assert.All(Enumerable.Range(0, count), i => Assert.True(model.AsSpan(i * length, length).SequenceEqual(written.AsSpan((count - 1 - i) * length, length)), $"block {i}"));
    }

    void DropCache()
    {
        using SafeFileHandle file = FileRange.Open(Image);
        Assert.Equal(0, FileRange.Sync(file));
        Assert.Equal(0, FileRange.DropCache(file));
    }

    [Theory]
    [InlineData("/proc/version?readonly=1&direct=1", "file '/proc/version' lies where there is no direct access; leave direct=1 out")]
    [InlineData("/proc?readonly=1&direct=1", "'/proc' is not a regular file")]
    public async Task Direct_access_is_refused_where_there_is_none(string spec, string message)
    {
        IOException problem = await Assert.ThrowsAsync<IOException>(() => FileHandler.OpenAsync(spec, s_device));

        Assert.Equal(message, problem.Message);
    }

    [Fact]
    public async Task Direct_access_wants_blocks_as_large_as_the_disks()
    {
        Assert.SkipUnless(Environment.UserName == "root", "a loop device needs root");
        string image = _folder["loop.img"], mount = _folder["large"];
        Directory.CreateDirectory(mount);
        using (SafeFileHandle file = FileRange.Open(image, create: true))
        {
            Assert.Equal(0, FileRange.SetLength(file, 64 << 20));
        }

        string device = Output("losetup", "--sector-size", "4096", "--find", "--show", image).Trim();
        bool isMounted = device.Length > 0 && Run("mkfs.ext4", "-q", device) == 0 && Run("mount", device, mount) == 0;
        try
        {
            Assert.SkipUnless(isMounted, "this machine does not let us mount a file as a disk with blocks of 4096 bytes");
            IOException problem = await Assert.ThrowsAsync<IOException>(() => FileHandler.OpenAsync($"{mount}/a.img?size=1M&direct=1", s_device));
            FileHandler disk = await FileHandler.OpenAsync($"{mount}/a.img?size=1M&direct=1&block=4096", s_device);
            await disk.WriteAsync((1 << 20) - 4096, new DataBuffer(Filled(4096)), WriteFlags.None, default);

            Assert.Equal($"file '{mount}/a.img' can be accessed directly in units of 4096 bytes, and the block size is 512; give block=4096", problem.Message);
            Assert.Equal(Filled(4096), await ReadAsync(disk, (1 << 20) - 4096, 4096));
            await disk.CloseAsync();
        }
        finally
        {
            Run("umount", mount);
            Run("losetup", "--detach", device);
        }
    }

    [Fact]
    public async Task Forced_writes_and_flushes_share_syncs()
    {
        using SemaphoreSlim begun = new(0), go = new(0);
        int syncs = 0;
        FileHandler disk = await FileHandler.OpenAsync($"{Image}?size=1M", s_device, file =>
        {
            syncs++; // one at a time
            begun.Release();
            go.Wait(TestContext.Current.CancellationToken);
            return FileRange.Sync(file);
        });

        Task first = disk.FlushAsync(default).AsTask();
        await begun.WaitAsync(TestContext.Current.CancellationToken);
        Task[] others =
        [
            .. Enumerable.Range(0, 20).Select(i => disk.WriteAsync(i * 4096, new DataBuffer(Filled(4096)), WriteFlags.ForceUnitAccess, default).AsTask()),
            disk.FlushAsync(default).AsTask(),
        ];
        go.Release();
        await first;
        await begun.WaitAsync(TestContext.Current.CancellationToken);
        Assert.DoesNotContain(others, task => task.IsCompleted);
        go.Release();
        await Task.WhenAll(others);

        Assert.Equal(2, syncs);
        await disk.CloseAsync();
    }

    [Theory]
    [InlineData(Errno.EIO, "03/0C/00")]
    [InlineData(Errno.ENOSPC, "07/27/07")]
    public async Task A_failed_sync_stays_failed_until_the_file_is_opened_anew(int errno, string sense)
    {
        using FakeTarget target = new();
        int syncs = 0;
        FileHandler disk = await FileHandler.OpenAsync($"{Image}?size=1M", s_device, _ => ++syncs == 2 ? -errno : 0);
        target.Serve(_ => disk);
        byte[] flush = new byte[16];
        int length = Cdb.WriteSynchronizeCache16(flush);

        Assert.Equal(ScsiStatus.Good, target.Execute(flush.AsSpan(0, length)).Status);
        Assert.Equal(sense, target.Write(0, Filled(512), fua: true).SenseText);
        Assert.Equal("03/0C/00", target.Execute(flush.AsSpan(0, length)).SenseText);
        Assert.Equal("03/0C/00", target.Write(0, Filled(512), fua: true).SenseText);
        Assert.Equal(ScsiStatus.Good, target.Write(0, Filled(512)).Status);
        Assert.Equal(2, syncs);
        target.RemoveDevice();
        Assert.Equal(0, await target.ExitCode());
    }

    [Theory]
    [InlineData("/dev/shm")]
    [InlineData(null)]
    public async Task What_memory_holds_is_read_and_written_at_once_without_allocating(string? folder)
    {
        string path = folder is null ? Image : Path.Combine(folder, $"scuse-test-{Environment.ProcessId}.img");
        Assert.SkipUnless(Directory.Exists(Path.GetDirectoryName(path)), "there is no such folder here");
        FileHandler disk = await FileHandler.OpenAsync($"{path}?size=1M", s_device);
        try
        {
            byte[] memory = new byte[1 << 20];
            DataBuffer whole = new(memory);
            DataBuffer pieces = new([.. Enumerable.Range(0, 100).Select(i => memory.AsMemory(i * 4096, 4096))], 100, 100 * 4096);
            await disk.WriteAsync(0, whole, WriteFlags.None, default);
            Assert.SkipUnless(Rounds(), "the file system here cannot tell what is cached");

            long before = GC.GetAllocatedBytesForCurrentThread();
            Assert.True(Rounds());
            Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

            bool Rounds()
            {
                bool allAtOnce = true;
                for (int i = 0; i < 100; i++)
                {
                    allAtOnce &= IsDone(disk.WriteAsync(4096, pieces, WriteFlags.None, default)) & IsDone(disk.ReadAsync(4096, pieces, default)) & IsDone(disk.ReadAsync(0, whole, default));
                }

                return allAtOnce;
            }
        }
        finally
        {
            await disk.CloseAsync();
            System.IO.File.Delete(path);
        }
    }

    static bool IsDone(ValueTask task)
    {
        bool isDone = task.IsCompletedSuccessfully;
        task.AsTask().GetAwaiter().GetResult();
        return isDone;
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

    static string Output(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true })!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return output;
    }

    static int Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        process.WaitForExit();
        return process.ExitCode;
    }
}
