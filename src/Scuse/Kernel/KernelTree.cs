using System.Text;

namespace Scuse.Cli.Kernel;

/// <summary>The real one.</summary>
sealed class KernelTree : IKernelTree
{
    public bool Exists(string path) => Path.Exists(path);

    public IReadOnlyList<string> Folders(string path) =>
        Directory.Exists(path) ? [.. new DirectoryInfo(path).EnumerateDirectories().Where(static folder => folder.LinkTarget is null).Select(static folder => folder.Name).Order(StringComparer.Ordinal)] : [];

    public IReadOnlyList<(string Name, string Target)> Links(string path)
    {
        if (!Directory.Exists(path))
        {
            return [];
        }

        return
        [
            .. new DirectoryInfo(path).EnumerateFileSystemInfos().Where(static entry => entry.LinkTarget is not null)
                .OrderBy(static entry => entry.Name, StringComparer.Ordinal)
                .Select(entry => (entry.Name, Path.GetFullPath(entry.LinkTarget!, path))),
        ];
    }

    public string? Read(string path)
    {
        try
        {
            return File.ReadAllText(path).TrimEnd('\n', '\0');
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    public void Write(string path, string text) => Try($"writing '{text}' to {path}", () =>
    {
        using FileStream stream = new(path, new FileStreamOptions { Mode = FileMode.Open, Access = FileAccess.Write, Share = FileShare.ReadWrite, BufferSize = 0 });
        stream.Write(Encoding.UTF8.GetBytes(text));
    });

    public void MakeFolder(string path) => Try($"making {path}", () => Directory.CreateDirectory(path));

    public void RemoveFolder(string path) => Try($"removing {path}", () => Directory.Delete(path));

    public void Link(string path, string target) => Try($"linking {path} to {target}", () => File.CreateSymbolicLink(path, target));

    public void Unlink(string path) => Try($"removing {path}", () => File.Delete(path));

    static void Try(string what, Action action)
    {
        try
        {
            action();
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new KernelException($"{what}: {failure.Message}", failure);
        }
    }
}
