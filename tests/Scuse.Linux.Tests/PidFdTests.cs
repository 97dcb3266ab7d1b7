using System.Diagnostics;

namespace Scuse.Linux.Tests;

[Collection("Processes")]
public sealed class PidFdTests
{
    const int SIGKILL = 9;

    [Fact]
    public void It_becomes_readable_when_the_process_is_killed()
    {
        using Process child = Process.Start("sleep", "60");
        using PidFd pid = PidFd.Open(child.Id);
        Assert.False(pid.HasExited);

        pid.Kill(SIGKILL);

        Assert.True(pid.WaitForExit(5000));
        pid.Kill(SIGKILL); // late, and harmless
    }

    [Fact]
    public void A_process_that_does_not_exist_is_an_error()
    {
        LinuxException failure = Assert.Throws<LinuxException>(() => PidFd.Open(int.MaxValue));

        Assert.Contains(failure.Errno, new[] { Errno.ESRCH, Errno.EINVAL });
    }
}
