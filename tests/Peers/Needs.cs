using System.Net;
using System.Net.Sockets;

namespace Scuse.Peers;

/// <summary>The programs that a test needs; where one is missing the test is skipped and says which package has it.</summary>
static class Needs
{
    static readonly Lazy<bool> QemuKnowsIscsi = new(AskQemu);

    public static void Libiscsi(string program) => Program(program, "libiscsi-bin");

    /// <summary>What it takes to build the load generator.</summary>
    public static void LibiscsiHeaders()
    {
        Program("gcc", "gcc and libc6-dev");
        Assert.SkipUnless(File.Exists("/usr/include/iscsi/iscsi.h"), "needs iscsi/iscsi.h (package libiscsi-dev)");
    }

    /// <summary>qemu-img and qemu-io, and their iSCSI driver.</summary>
    public static void Qemu()
    {
        Program("qemu-img", "qemu-utils");
        Program("qemu-io", "qemu-utils");
        Assert.SkipUnless(QemuKnowsIscsi.Value, "needs qemu's iSCSI driver (package qemu-block-extra)");
    }

    /// <summary>An iSNS server, and the tool to ask it.</summary>
    public static void Isns()
    {
        Program("isnsd", "open-isns-server");
        Program("isnsadm", "open-isns-utils");
    }

    public static void IPv6() => Assert.SkipUnless(Socket.OSSupportsIPv6 && HasLoopbackIPv6(), "needs the address ::1");

    static bool HasLoopbackIPv6()
    {
        try
        {
            using var listener = new TcpListener(IPAddress.IPv6Loopback, 0);
            listener.Start();
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    public static void Program(string program, string package) =>
        Assert.SkipUnless(Peer.Exists(program), $"needs {program} (package {package})");

    // Nobody listens on port 1: a qemu with the driver says that it could not connect, one without that it does not know the protocol.
    static bool AskQemu() =>
        !Peer.RunAsync("qemu-img", "info", "iscsi://127.0.0.1:1/iqn.2026-11.scuse:none/0").GetAwaiter().GetResult().Text
            .Contains("Unknown protocol", StringComparison.OrdinalIgnoreCase);
}
