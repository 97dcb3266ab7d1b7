using Scuse.Linux;

namespace Scuse.Handlers.File;

/// <summary>The built-in handler <c>file:PATH[?size=SIZE][&amp;block=512|4096][&amp;thick=1][&amp;readonly=1][&amp;direct=1][&amp;threads=N]</c>.</summary>
public static class FileProgram
{
    /// <summary>Checks a spec without opening anything.</summary>
    /// <exception cref="FormatException">It is wrong; the message is one line for a person.</exception>
    public static void Check(string spec) => FileSpec.Parse(spec, new DeviceInfo { Name = "check" });

    /// <summary>Serves a file until the target lets it go.</summary>
    /// <param name="spec">What follows <c>file:</c>, such as <c>/data/a.img?size=10G</c>; empty: the device's configuration.</param>
    /// <param name="args">The options of every handler.</param>
    /// <returns>The process exit code.</returns>
    public static Task<int> RunAsync(string spec, string[] args) =>
        Handler.RunAsync(
            args,
            async Task<BlockHandler> (device) => await FileHandler.OpenAsync(spec.Length > 0 ? spec : device.Config, device).ConfigureAwait(false),
            rehearsal: RehearseAsync);

    /// <summary>A file that exists only in memory, opened as any other.</summary>
    internal static async Task<BlockHandler> RehearseAsync(DeviceInfo device)
    {
        using MemFd memory = MemFd.Create("rehearsal", device.SizeBytes);
        string path = $"/proc/self/fd/{memory.Handle.DangerousGetHandle()}";
        return await FileHandler.OpenAsync($"{path}?size={device.SizeBytes}", device).ConfigureAwait(false);
    }
}
