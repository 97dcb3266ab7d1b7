using System.Diagnostics;

namespace Scuse.Ring.Tests;

/// <summary>gcc and the kernel's header, where the machine has them; tests that need them are skipped, saying so, where it has not.</summary>
static class CCompiler
{
    const string Header = "/usr/include/linux/target_core_user.h";

    static string? Missing { get; } =
        !File.Exists(Header) ? $"{Header} is missing (package linux-libc-dev)"
        : !(Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(d => File.Exists(Path.Combine(d, "gcc"))) ? "gcc is missing"
        : null;

    public static void SkipIfMissing() => Assert.SkipWhen(Missing is not null, Missing ?? "");

    public static string Run(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{program} exited with {process.ExitCode}: {error.Result}");
        return output;
    }
}

/// <summary>A directory that goes away with the test.</summary>
sealed class TemporaryDirectory : IDisposable
{
    readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("scuse-ring-");

    public string File(string name) => Path.Combine(_directory.FullName, name);

    public void Dispose() => _directory.Delete(recursive: true);
}
