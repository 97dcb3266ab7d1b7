namespace Scuse.Cli.Kernel;

/// <summary>
/// The part of the file system in which the kernel shows its target: configfs, where making a folder makes an object, a link says that one uses another, and writing a file is a command. All paths are full ones.
/// </summary>
interface IKernelTree
{
    /// <summary>Whether there is a file, folder or link.</summary>
    bool Exists(string path);

    /// <summary>The names of the folders in a folder, sorted; none where there is no such folder.</summary>
    IReadOnlyList<string> Folders(string path);

    /// <summary>The names of the links in a folder, sorted, and where each leads, as a full path.</summary>
    IReadOnlyList<(string Name, string Target)> Links(string path);

    /// <summary>A file's text without the line's end; null where it cannot be read.</summary>
    string? Read(string path);

    /// <summary>Writes a file, in one call.</summary>
    /// <exception cref="KernelException">The kernel refuses.</exception>
    void Write(string path, string text);

    /// <summary>Makes a folder; its parent is there.</summary>
    /// <exception cref="KernelException">The kernel refuses.</exception>
    void MakeFolder(string path);

    /// <summary>Removes a folder that nothing was put into and that nothing leads to.</summary>
    /// <exception cref="KernelException">The kernel refuses.</exception>
    void RemoveFolder(string path);

    /// <summary>Makes a link.</summary>
    /// <exception cref="KernelException">The kernel refuses.</exception>
    void Link(string path, string target);

    /// <summary>Removes a link.</summary>
    /// <exception cref="KernelException">The kernel refuses.</exception>
    void Unlink(string path);
}

/// <summary>Something that the kernel, or its state, does not allow; the message is for people.</summary>
sealed class KernelException(string message, Exception? cause = null) : Exception(message, cause);
