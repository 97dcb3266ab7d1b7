using Microsoft.Win32.SafeHandles;

namespace Scuse.Linux.Tests;

// A process being started holds copies of descriptors, and so locks, for a moment: not beside the tests that start some.
[Collection("Processes")]
public sealed class FileRangeTests : IDisposable
{
    readonly TempFolder _folder = new();
    readonly SafeFileHandle _file;

    public FileRangeTests() => _file = FileRange.Open(_folder["f"], create: true);

    public void Dispose()
    {
        _file.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public void What_is_written_is_read_back()
    {
        byte[] room = new byte[4];

        Assert.Equal(4, FileRange.Write(_file, 10_000, "data"u8));
        Assert.Equal(4, FileRange.Read(_file, 10_000, room));
        Assert.Equal("data"u8, room);
        Assert.Equal(0, FileRange.Sync(_file));
        Assert.Equal(10_004, FileRange.GetLength(_file));
    }

    [Fact]
    public void Reading_past_the_end_is_short_and_then_nothing()
    {
        FileRange.Write(_file, 0, "data"u8);

        Assert.Equal(2, FileRange.Read(_file, 2, new byte[10].AsSpan()));
        Assert.Equal(0, FileRange.Read(_file, 4, new byte[10].AsSpan()));
    }

    [Fact]
    public void Data_just_written_is_read_without_the_disk()
    {
        FileRange.Write(_file, 0, "data"u8);

        Assert.Contains(FileRange.ReadCached(_file, 0, new byte[4]), new[] { 4, -Errno.EOPNOTSUPP });
    }

    [Fact]
    public void A_punched_hole_gives_its_room_back()
    {
        FileRange.Write(_file, 0, new byte[1 << 20].AsSpan());
        FileRange.Sync(_file);
        long full = FileRange.GetAllocatedBytes(_file);

        Assert.Equal(0, FileRange.PunchHole(_file, 0, 512 * 1024));

        Assert.Equal(512 * 1024, full - FileRange.GetAllocatedBytes(_file));
        Assert.Equal(1 << 20, FileRange.GetLength(_file));
    }

    [Fact]
    public void Only_one_holds_the_lock_and_closing_lets_it_go()
    {
        using SafeFileHandle second = FileRange.Open(_folder["f"]);
        Assert.True(FileRange.TryLock(_file, exclusive: true));
        Assert.False(FileRange.TryLock(second, exclusive: true));
        Assert.False(FileRange.TryLock(second, exclusive: false));

        _file.Dispose();

        Assert.True(FileRange.TryLock(second, exclusive: true));
    }

    [Fact]
    public void Creating_what_exists_and_opening_what_does_not_are_errors()
    {
        Assert.Equal(Errno.EEXIST, Assert.Throws<LinuxException>(() => FileRange.Open(_folder["f"], create: true)).Errno);
        Assert.Equal(Errno.ENOENT, Assert.Throws<LinuxException>(() => FileRange.Open(_folder["absent"])).Errno);
    }

    [Fact]
    public void Failures_are_negative_error_numbers()
    {
        using SafeFileHandle readOnly = FileRange.Open(_folder["f"], readOnly: true);

        Assert.Equal(-Errno.EBADF, FileRange.Write(readOnly, 0, "x"u8));
        Assert.Equal(-Errno.EINVAL, FileRange.Read(_file, -5, new byte[1].AsSpan()));
    }

    [Fact]
    public void Files_in_memory_are_known_from_those_on_a_disk()
    {
        using MemFd memory = MemFd.Create("test", 4096);
        using SafeFileHandle kernels = FileRange.Open("/proc/version", readOnly: true);

        Assert.True(FileRange.IsInMemory(memory.Handle));
        Assert.False(FileRange.IsInMemory(kernels));
    }

    [Fact]
    public void Direct_access_is_refused_where_there_is_none_and_else_wants_what_it_tells()
    {
        using SafeFileHandle kernels = FileRange.Open("/proc/version", readOnly: true);
        Assert.Equal(-Errno.EINVAL, FileRange.SetDirect(kernels));

        FileRange.Write(_file, 0, new byte[8192].AsSpan());
        Assert.SkipUnless(!FileRange.IsInMemory(_file) && FileRange.SetDirect(_file) == 0, "the folder for temporary files has no direct access");
        (int memory, int offset) = FileRange.GetDirectAlignment(_file) ?? (4096, 4096);
        byte[] room = GC.AllocateArray<byte>(3 * 4096, pinned: true);
        int start = (int)(-PinnedMemory.ToVector(room).Base & 4095);

        Assert.True(int.IsPow2(memory) && int.IsPow2(offset) && memory <= 4096 && offset <= 4096);
        Assert.Equal(4096, FileRange.Read(_file, 4096, room.AsSpan(start, 4096)));
        Assert.Equal(-Errno.EINVAL, FileRange.Read(_file, 1, room.AsSpan(start, 4096)));
        Assert.Equal(offset, FileRange.Write(_file, offset, room.AsSpan(start, offset)));
    }
}
