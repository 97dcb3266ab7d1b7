using System.ComponentModel;
using System.Diagnostics;

namespace Scuse.Cli.Kernel;

/// <summary>What the kernel has said.</summary>
static class KernelLog
{
    static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(5);

    /// <summary>All of it; null where it cannot be read.</summary>
    public static string? Read()
    {
        try
        {
            using Process process = Process.Start(new ProcessStartInfo("dmesg") { RedirectStandardOutput = true, RedirectStandardError = true })!;
            Task<string> text = process.StandardOutput.ReadToEndAsync();
            return text.Wait(s_deadline) ? text.Result : null;
        }
        catch (Exception failure) when (failure is Win32Exception or InvalidOperationException or IOException)
        {
            return null;
        }
    }
}
