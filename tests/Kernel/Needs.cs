using System.Runtime.InteropServices;

[assembly: Xunit.v3.Parallelization(Mode = Xunit.Sdk.ParallelMode.Collections, MaxThreads = 2)]

namespace Scuse.Kernel;

/// <summary>What it takes to boot a guest; where something is missing the test is skipped and says how to get it.</summary>
static class Needs
{
    const string HowToGetIt = "./test --kernel, as root, installs and builds what is needed";

    /// <summary>For what every run of <c>./test</c> does: a guest, if there is one without waiting for it.</summary>
    public static async Task<GuestImage> ImageAsync()
    {
        Assert.SkipUnless(RuntimeInformation.OSArchitecture == Architecture.X64, "needs an x86-64 machine: its kernel is emulated here");
        Assert.SkipUnless(Peer.Exists(Guest.Qemu), $"needs {Guest.Qemu} (package qemu-system-x86): {HowToGetIt}");
        GuestImage? image = await GuestImage.FindAsync();
        Assert.SkipWhen(image is null, $"needs a kernel and a root file system: {HowToGetIt}");
        return image;
    }

    /// <summary>Whether all tests are asked for, by <c>./test --kernel</c>, and not only what every run of <c>./test</c> does.</summary>
    public static bool AllIsAsked { get; } = Environment.GetEnvironmentVariable("SCUSE_KERNEL") == "1";

    /// <summary>For what takes longer than that.</summary>
    public static void TheLongerTests() => Assert.SkipUnless(AllIsAsked, "takes minutes: run by ./test --kernel");
}
