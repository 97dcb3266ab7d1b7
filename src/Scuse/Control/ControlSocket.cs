using System.Net.Sockets;
using Scuse.Engine;
using Scuse.Ring.Attach;

namespace Scuse.Cli.Control;

/// <summary>Where the control socket is, and how it is listened at.</summary>
static class ControlSocket
{
    const string Suffix = ".control";
    const int Backlog = 16;
    const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    /// <summary>The control socket of the engine that listens for handlers at <paramref name="attachSocket"/>.</summary>
    public static string PathFor(string attachSocket) => attachSocket + Suffix;

    /// <summary>Listens, for this user only. A socket that a dead engine left is replaced.</summary>
    /// <exception cref="EngineException">It cannot be listened at; the message is for the operator.</exception>
    public static Socket Listen(string path)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            // The file is created with the socket's own mode, so nobody else can connect even for a moment.
            using (var handle = new Microsoft.Win32.SafeHandles.SafeFileHandle(socket.Handle, ownsHandle: false))
            {
                File.SetUnixFileMode(handle, OwnerOnly);
            }

            UnixDomainSocketEndPoint address = AddressOf(path);
            try
            {
                socket.Bind(address);
            }
            catch (SocketException exception) when (exception.SocketErrorCode == SocketError.AddressAlreadyInUse && IsStale(path))
            {
                File.Delete(path);
                socket.Bind(address);
            }

            socket.Listen(Backlog);
            return socket;
        }
        catch (Exception exception) when (exception is SocketException or IOException or UnauthorizedAccessException or ArgumentException)
        {
            socket.Dispose();
            throw new EngineException($"control socket {path}: {Reason(exception)}; another place can be had with --control", exception);
        }
    }

    /// <summary>The control sockets of the engines that run as this user with their sockets in the usual folder.</summary>
    public static IReadOnlyList<string> OfRunningEngines()
    {
        string folder = AttachSocketPath.Folder(Environment.GetEnvironmentVariable);
        return Directory.Exists(folder)
            ? [.. Directory.EnumerateFiles(folder, $"*.sock{Suffix}").Where(static path => !IsStale(path)).Order(StringComparer.Ordinal)]
            : [];
    }

    /// <exception cref="ArgumentException">The path is longer than a socket's may be.</exception>
    public static UnixDomainSocketEndPoint AddressOf(string path)
    {
        try
        {
            return new UnixDomainSocketEndPoint(path);
        }
        catch (ArgumentOutOfRangeException exception)
        {
            throw new ArgumentException("the path is too long for a socket", exception);
        }
    }

    /// <summary>Whether nobody listens at a socket's file any more. A socket of another type than asked for is not judged.</summary>
    public static bool IsStale(string path, SocketType type = SocketType.Stream)
    {
        try
        {
            using var probe = new Socket(AddressFamily.Unix, type, ProtocolType.Unspecified);
            probe.Connect(AddressOf(path));
            return false;
        }
        catch (SocketException exception)
        {
            return exception.SocketErrorCode == SocketError.ConnectionRefused;
        }
    }

    static string Reason(Exception exception) =>
        exception is SocketException { SocketErrorCode: SocketError.AddressAlreadyInUse } ? "another engine listens there, or something else is in its place" : exception.Message;
}
