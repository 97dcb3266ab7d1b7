using System.Runtime.CompilerServices;

namespace Scuse.Kernel;

/// <summary>A kernel and a root file system, as <c>image/build</c> made them.</summary>
/// <param name="Folder">Where they are.</param>
/// <param name="About">What they are made of: the kernel's version and those of the packages that tests speak of, one a line.</param>
sealed record GuestImage(string Folder, string About)
{
    public string Kernel => Path.Combine(Folder, "vmlinux");

    public string Initramfs => Path.Combine(Folder, "initramfs.cpio");

    /// <summary>Not written to: each guest writes to a copy that goes away with it.</summary>
    public string Root => Path.Combine(Folder, "root.img");

    /// <summary>The image of today's recipe, or null where it has not been built yet.</summary>
    public static async Task<GuestImage?> FindAsync()
    {
        Outcome outcome = await Peer.RunAsync(Path.Combine(ThisFolder(), "../image/build"), "--where");
        string folder = outcome.Output.Trim();
        return outcome.ExitCode == 0 ? new GuestImage(folder, (await File.ReadAllTextAsync(Path.Combine(folder, "about"))).Trim()) : null;
    }

    static string ThisFolder([CallerFilePath] string thisFile = "") => Path.GetDirectoryName(thisFile)!;
}
