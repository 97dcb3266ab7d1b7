namespace Scuse.Peers;

/// <summary>Digests with a real initiator: libiscsi's, in QEMU's driver, which has header digests.</summary>
public sealed class DigestTests : PeerTest
{
    /// <summary>An initiator that offers CRC32C alone logs in with it or not at all.</summary>
    [Theory]
    [InlineData("crc32c")]
    [InlineData("crc32c-none")]
    [InlineData("none-crc32c")]
    [InlineData("none")]
    public async Task Data_is_what_was_written_with_whatever_header_digest_the_initiator_prefers(string digest)
    {
        Needs.Qemu();
        ScuseServe serve = await ServeAsync("memory:64M");
        string disk = $"driver=raw,file.driver=iscsi,file.transport=tcp,file.portal={serve.Portal},file.target={serve.Target},file.lun=0,file.header-digest={digest}";

        Outcome outcome = (await Peer.RunAsync(
            TimeSpan.FromSeconds(60), "qemu-io", "--image-opts", "-t", "none",
            "-c", "write -P 0x3c 4k 8M", "-c", "write -P 0xa5 1000001 70001", "-c", "flush",
            "-c", "read -P 0xa5 1000001 70001", "-c", "read -P 0x3c 2M 6M", "-c", "read -P 0 16M 1M", disk)).OrThrow();

        Assert.DoesNotContain("failed", outcome.Text, StringComparison.OrdinalIgnoreCase);
    }
}
