using Scuse.Peers;

namespace Scuse.Bench.Peers;

/// <summary>The programs that the measurements need.</summary>
static class Requirements
{
    /// <exception cref="PeerException">One is missing; the message names all that are, and their packages.</exception>
    public static void Check(bool withTgt)
    {
        (string Program, string Package)[] needed =
        [
            ("qemu-img", "qemu-utils and qemu-block-extra"),
            ("qemu-io", "qemu-utils and qemu-block-extra"),
            ("iscsi-perf", "libiscsi-bin"),
            ("gcc", "gcc and libc6-dev"),
            .. withTgt ? new[] { ("tgtd", "tgt"), ("tgtadm", "tgt") } : [],
        ];
        string[] missing = [.. needed.Where(need => !Peer.Exists(need.Program)).Select(need => $"{need.Program} (package {need.Package})")];
        if (missing.Length > 0)
        {
            throw new PeerException($"Missing: {string.Join(", ", missing)}.");
        }
    }
}
