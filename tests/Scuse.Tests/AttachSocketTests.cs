using System.Net.Sockets;
using Scuse.Cli.Serving;

namespace Scuse.Tests;

public sealed class AttachSocketTests : IDisposable
{
    const int NoProcess = 1 << 30; // beyond what process ids there can be

    readonly string _folder = Directory.CreateTempSubdirectory("scuse-tests-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(SocketType.Seqpacket, "engine-1073741824.sock")]
    [InlineData(SocketType.Stream, "engine-1073741824.sock.control")]
    public void What_a_killed_engine_left_is_removed(SocketType type, string name)
    {
        string path = Path.Combine(_folder, name);
        Leave(path, type);

        AttachSocket.RemoveLeftovers(_folder);

        Assert.False(File.Exists(path));
    }

    [Fact]
    public void What_somebody_may_still_use_stays()
    {
        string ofOthers = Path.Combine(_folder, "engine.sock"), ofMine = Path.Combine(_folder, $"engine-{Environment.ProcessId}.sock");
        string elsewhere = Path.Combine(_folder, $"engine-{NoProcess}.sock");
        Leave(ofOthers, SocketType.Seqpacket);
        Leave(ofMine, SocketType.Seqpacket);
        using var listener = new Socket(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(elsewhere));
        listener.Listen(8);

        AttachSocket.RemoveLeftovers(_folder);

        Assert.Equal([elsewhere, ofMine, ofOthers], Directory.GetFiles(_folder).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Without_a_folder_there_is_nothing_to_do() => AttachSocket.RemoveLeftovers(Path.Combine(_folder, "none"));

    /// <summary>As a process that is killed leaves it: bound, and nobody listens.</summary>
    static void Leave(string path, SocketType type)
    {
        var socket = new Socket(AddressFamily.Unix, type, ProtocolType.Unspecified);
        socket.Bind(new UnixDomainSocketEndPoint(path));
        socket.Listen(1);
        string kept = path + ".kept";
        File.Move(path, kept); // closing would remove the file
        socket.Dispose();
        File.Move(kept, path);
    }
}
