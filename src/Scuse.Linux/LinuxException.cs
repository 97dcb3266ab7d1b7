using System.Runtime.InteropServices;

namespace Scuse.Linux;

/// <summary>A system call failed where nothing sensible could be done about it on the spot.</summary>
/// <remarks>Thrown by calls that set something up; calls on the data path return a negative error number instead.</remarks>
public sealed class LinuxException : IOException
{
    /// <summary>A failed <paramref name="call"/> with its error number; the text is the system's own.</summary>
    public LinuxException(string call, int errno)
        : this(call, errno, null)
    {
    }

    /// <summary>A failed <paramref name="call"/> with its error number and what it was about.</summary>
    public LinuxException(string call, int errno, string? about)
        : base(about is null ? $"{call}: {Text(errno)}" : $"{call}: {about}: {Text(errno)}", errno)
    {
        Call = call;
        Errno = errno;
    }

    /// <summary>The system call's name, such as <c>bind</c>.</summary>
    public string Call { get; }

    /// <summary>The error number; see <see cref="Linux.Errno"/>.</summary>
    public int Errno { get; }

    /// <summary>The system's text for an error number, such as <c>Permission denied</c>.</summary>
    public static string Text(int errno) => Marshal.GetPInvokeErrorMessage(errno);
}
