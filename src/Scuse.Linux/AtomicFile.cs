using System.Text;

namespace Scuse.Linux;

/// <summary>Files that are replaced as a whole, so that after a crash either the old content or the new one is there.</summary>
public static unsafe class AtomicFile
{
    /// <summary>
    /// Puts <paramref name="content"/> in place of what the file holds, or makes the file. On return the new content survives a loss of power.
    /// </summary>
    /// <exception cref="IOException">It cannot be written; the old content is still there.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be written; the old content is still there.</exception>
    public static void Replace(string path, ReadOnlySpan<byte> content)
    {
        string full = Path.GetFullPath(path);
        string folder = Path.GetDirectoryName(full) ?? throw new IOException($"{path} is no file");
        string draft = full + ".new";
        using (Microsoft.Win32.SafeHandles.SafeFileHandle file = File.OpenHandle(draft, FileMode.Create, FileAccess.Write, FileShare.None))
        {
            RandomAccess.Write(file, content, 0);
            RandomAccess.FlushToDisk(file);
        }

        File.Move(draft, full, overwrite: true);
        SyncFolder(folder);
    }

    /// <summary>Removes the file, if it is there. On return it stays removed after a loss of power.</summary>
    /// <exception cref="IOException">It cannot be removed.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be removed.</exception>
    public static void Remove(string path)
    {
        string full = Path.GetFullPath(path);
        if (File.Exists(full))
        {
            File.Delete(full);
            SyncFolder(Path.GetDirectoryName(full)!);
        }
    }

    /// <summary>The names in a folder are content of the folder, which has to be made durable by itself.</summary>
    static void SyncFolder(string folder)
    {
        byte[] text = Encoding.UTF8.GetBytes(folder + "\0");
        int fd;
        fixed (byte* pointer = text)
        {
            fd = Native.open(pointer, Native.O_RDONLY | Native.O_CLOEXEC, 0);
        }

        if (fd < 0)
        {
            throw Native.Failed("open", folder);
        }

        int result = Native.fdatasync(fd);
        LinuxException? failure = result < 0 ? Native.Failed("fdatasync", folder) : null;
        _ = Native.close(fd);
        if (failure is not null)
        {
            throw failure;
        }
    }
}
