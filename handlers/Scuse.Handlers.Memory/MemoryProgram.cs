namespace Scuse.Handlers.Memory;

/// <summary>The built-in handler <c>memory:SIZE[?block=512|4096][&amp;thick=1][&amp;readonly=1]</c>.</summary>
public static class MemoryProgram
{
    /// <summary>Checks a spec without opening anything.</summary>
    /// <exception cref="FormatException">It is wrong; the message is one line for a person.</exception>
    public static void Check(string spec) => MemoryHandler.Read(spec, new DeviceInfo { Name = "check" });

    /// <summary>Serves a disk in memory until the target lets it go.</summary>
    /// <param name="spec">What follows <c>memory:</c>, such as <c>256M</c>; empty: the size that the target asks for, else 1 GiB.</param>
    /// <param name="args">The options of every handler.</param>
    /// <returns>The process exit code.</returns>
    public static Task<int> RunAsync(string spec, string[] args) =>
        Handler.RunAsync(
            args,
            device => MemoryHandler.Open(spec.Length > 0 ? spec : device.Config, device),
            rehearsal: static device => new MemoryHandler(device.SizeBytes, device.BlockSize));
}
