using System.Runtime.InteropServices;

namespace Scuse.Linux;

/// <summary>One piece of memory for a scattered read or a gathered write. struct iovec.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IoVector
{
    /// <summary>The address of the first byte; the memory must not move or go away during the call.</summary>
    public nint Base;

    /// <summary>How many bytes.</summary>
    public nuint Length;
}

/// <summary>Bytes to and from a connected stream socket, never waiting.</summary>
public static unsafe class SocketIo
{
    /// <summary>The most pieces that one call takes (IOV_MAX); what is beyond is left for the next call.</summary>
    public const int MaxVectors = 1024;

    /// <summary>
    /// Receives what is there. Returns the number of bytes; 0 at the end of the stream; -<see cref="Errno.EAGAIN"/> when nothing is
    /// there; another negative error number when the connection is broken.
    /// </summary>
    public static int Receive(int fd, ReadOnlySpan<IoVector> into)
    {
        fixed (IoVector* vectors = into)
        {
            Native.MessageHeader message = new() { Vectors = vectors, VectorCount = (ulong)Math.Min(into.Length, MaxVectors) };
            while (true)
            {
                nint done = into.Length == 1
                    ? Native.recv(fd, (void*)vectors->Base, vectors->Length, Native.MSG_DONTWAIT)
                    : Native.recvmsg(fd, &message, Native.MSG_DONTWAIT);
                if (done >= 0)
                {
                    return (int)done;
                }

                int errno = Native.LastError;
                if (errno != Errno.EINTR)
                {
                    return -errno;
                }
            }
        }
    }

    /// <summary>
    /// Sends as much as there is room for. Returns the number of bytes; -<see cref="Errno.EAGAIN"/> when there is no room; another
    /// negative error number when the connection is broken (no SIGPIPE is raised).
    /// </summary>
    public static int Send(int fd, ReadOnlySpan<IoVector> from)
    {
        fixed (IoVector* vectors = from)
        {
            Native.MessageHeader message = new() { Vectors = vectors, VectorCount = (ulong)Math.Min(from.Length, MaxVectors) };
            while (true)
            {
                nint done = from.Length == 1
                    ? Native.send(fd, (void*)vectors->Base, vectors->Length, Native.MSG_DONTWAIT | Native.MSG_NOSIGNAL)
                    : Native.sendmsg(fd, &message, Native.MSG_DONTWAIT | Native.MSG_NOSIGNAL);
                if (done >= 0)
                {
                    return (int)done;
                }

                int errno = Native.LastError;
                if (errno != Errno.EINTR)
                {
                    return -errno;
                }
            }
        }
    }
}
