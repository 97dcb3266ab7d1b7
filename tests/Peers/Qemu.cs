using System.Text.RegularExpressions;

namespace Scuse.Peers;

/// <summary>qemu-img and qemu-io as initiators.</summary>
static partial class Qemu
{
    static readonly TimeSpan Deadline = TimeSpan.FromSeconds(90);

    /// <summary>Copies an image file onto the LUN.</summary>
    public static async Task WriteImageAsync(string file, string url) =>
        (await Peer.RunAsync(Deadline, "qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", "-t", "none", file, url)).OrThrow();

    /// <summary>Copies the LUN into a file.</summary>
    public static async Task ReadImageAsync(string url, string file) =>
        (await Peer.RunAsync(Deadline, "qemu-img", "convert", "-f", "raw", "-O", "raw", "-T", "none", url, file)).OrThrow();

    /// <summary>Compares a file with the LUN, byte for byte.</summary>
    /// <exception cref="PeerException">They differ.</exception>
    public static async Task CompareAsync(string file, string url) =>
        (await Peer.RunAsync(Deadline, "qemu-img", "compare", "-s", "-f", "raw", "-F", "raw", "-T", "none", file, url)).OrThrow();

    /// <summary>Runs qemu-io commands one after the other on one session.</summary>
    public static Task<Outcome> IoAsync(string url, params string[] commands) =>
        Peer.RunAsync(Deadline, "qemu-io", ["-f", "raw", "-t", "none", "-d", "unmap", .. commands.SelectMany(command => new[] { "-c", command }), url]);

    /// <summary>Runs qemu-io commands of which each must succeed; a read with <c>-P</c> checks what it reads.</summary>
    /// <exception cref="PeerException">One failed, or read something else.</exception>
    public static async Task IoMustSucceedAsync(string url, params string[] commands)
    {
        Outcome outcome = (await IoAsync(url, commands)).OrThrow();
        if (FailedCommand().IsMatch(outcome.Text))
        {
            throw new PeerException(outcome.Text);
        }
    }

    // Belt and braces: not every version of qemu-io ends with an exit code when one of several commands failed.
    [GeneratedRegex(@"^(Pattern verification|\w+) failed", RegexOptions.Multiline)]
    private static partial Regex FailedCommand();
}
