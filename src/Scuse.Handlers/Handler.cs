using Scuse.Linux;
using Scuse.Ring.Attach;
using Scuse.Serving;

namespace Scuse;

/// <summary>Runs a handler: attaches it to a target and serves commands until the target lets it go.</summary>
/// <remarks>
/// <para>All overloads return the process exit code: 0 when it ended in order (the target removed the device or closed, or SIGTERM came),
/// 1 when it could not attach or open, with one line on standard error, and 2 when the command line is wrong.</para>
/// <para>The life of a handler: <c>open</c> is called once, with what the operator asked for; an exception from it is reported to the
/// operator, its message on one line. Then commands come until the end, and <c>CloseAsync</c> is called once. A target that goes away for a while, and comes
/// back, finds the device as it is: nothing is closed and opened in between.</para>
/// <para>With several devices on the command line, each is opened, served and closed by itself, with a configuration of its own.</para>
/// </remarks>
public static class Handler
{
    /// <summary>Runs a disk.</summary>
    /// <param name="args">The command line; <c>--help</c> explains it.</param>
    /// <param name="open">Opens the device.</param>
    /// <param name="rehearsal">
    /// Opens a stand-in of the same kind that touches nothing of the device. Before the handler takes over from another one, some commands are done with it, so
    /// that all code is compiled when initiators wait. Null: the code of the SDK is, the handler's own is not.
    /// </param>
    public static Task<int> RunAsync(string[] args, Func<DeviceInfo, BlockHandler> open, Func<DeviceInfo, BlockHandler>? rehearsal = null)
    {
        ArgumentNullException.ThrowIfNull(open);
        return RunAsync(args, OpenBy(open), OpenBy(rehearsal ?? (static device => new RehearsalDisk(device))));

        static OpenDevice OpenBy(Func<DeviceInfo, BlockHandler> open) => (device, level, log) => new ValueTask<CommandServer>(Serve(open(device), device, level, log));
    }

    /// <summary>Runs a disk that takes time to open.</summary>
    /// <param name="args">The command line; <c>--help</c> explains it.</param>
    /// <param name="open">Opens the device.</param>
    /// <param name="rehearsal">Opens a stand-in, as above.</param>
    public static Task<int> RunAsync(string[] args, Func<DeviceInfo, Task<BlockHandler>> open, Func<DeviceInfo, Task<BlockHandler>>? rehearsal = null)
    {
        ArgumentNullException.ThrowIfNull(open);
        return RunAsync(args, OpenBy(open), OpenBy(rehearsal ?? (static device => Task.FromResult<BlockHandler>(new RehearsalDisk(device)))));

        static OpenDevice OpenBy(Func<DeviceInfo, Task<BlockHandler>> open) =>
            async (device, level, log) => Serve(await open(device).ConfigureAwait(false), device, level, log);
    }

    /// <summary>Runs a device that answers CDBs itself.</summary>
    /// <param name="args">The command line; <c>--help</c> explains it.</param>
    /// <param name="open">Opens the device.</param>
    /// <param name="rehearsal">Opens a stand-in, as above.</param>
    public static Task<int> RunAsync(string[] args, Func<DeviceInfo, CommandHandler> open, Func<DeviceInfo, CommandHandler>? rehearsal = null)
    {
        ArgumentNullException.ThrowIfNull(open);
        return RunAsync(args, OpenBy(open), OpenBy(rehearsal ?? (static _ => new RehearsalDevice())));

        static OpenDevice OpenBy(Func<DeviceInfo, CommandHandler> open) => (device, _, log) => new ValueTask<CommandServer>(Serve(open(device), device, log));
    }

    /// <summary>Runs a device that answers CDBs itself and takes time to open.</summary>
    /// <param name="args">The command line; <c>--help</c> explains it.</param>
    /// <param name="open">Opens the device.</param>
    /// <param name="rehearsal">Opens a stand-in, as above.</param>
    public static Task<int> RunAsync(string[] args, Func<DeviceInfo, Task<CommandHandler>> open, Func<DeviceInfo, Task<CommandHandler>>? rehearsal = null)
    {
        ArgumentNullException.ThrowIfNull(open);
        return RunAsync(args, OpenBy(open), OpenBy(rehearsal ?? (static _ => Task.FromResult<CommandHandler>(new RehearsalDevice()))));

        static OpenDevice OpenBy(Func<DeviceInfo, Task<CommandHandler>> open) =>
            async (device, _, log) => Serve(await open(device).ConfigureAwait(false), device, log);
    }

    internal static CommandServer Serve(BlockHandler? handler, DeviceInfo device, string askedLevel, ErrorLog log)
    {
        if (handler is null)
        {
            throw new InvalidOperationException("the handler's open returned nothing");
        }

        handler.Device = device;
        return new BlockCommandServer(handler, device, askedLevel, log);
    }

    internal static CommandServer Serve(CommandHandler? handler, DeviceInfo device, ErrorLog log)
    {
        if (handler is null)
        {
            throw new InvalidOperationException("the handler's open returned nothing");
        }

        handler.Device = device;
        return new RawCommandServer(handler, log);
    }

    static async Task<int> RunAsync(string[] args, OpenDevice open, OpenDevice rehearsal)
    {
        ArgumentNullException.ThrowIfNull(args);
        HandlerOptions options;
        try
        {
            options = HandlerOptions.Parse(args, Environment.GetEnvironmentVariable);
        }
        catch (FormatException problem)
        {
            Console.Error.WriteLine(problem.Message);
            return HandlerHost.ExitUsage;
        }

        if (options.Help)
        {
            Console.WriteLine(HandlerOptions.Usage);
            return HandlerHost.ExitOrderly;
        }

        if (options.Serve)
        {
            return StartTarget(options);
        }

        using HandlerHost host = new(options, open, Console.Error) { Rehearsal = rehearsal };
        bool startedByTarget = Environment.GetEnvironmentVariable(AttachMessage.SocketVariable) == options.Socket && Console.IsInputRedirected;
        using SignalStop signals = new(host, startedByTarget);
        return await host.RunAsync().ConfigureAwait(false);
    }

    /// <summary>Becomes <c>scuse serve exec:...</c> with this program as the handler; returns only when that fails.</summary>
    static int StartTarget(HandlerOptions options)
    {
        string scuse = Environment.GetEnvironmentVariable("SCUSE") is { Length: > 0 } named ? named : "scuse";
        string spec = "exec:" + string.Join(' ', ThisProgram().Concat(options.HandlerArguments).Select(Quoted));
        try
        {
            ProgramImage.Replace(scuse, ["serve", spec, .. options.ServeArguments]);
        }
        catch (LinuxException failure)
        {
            Console.Error.WriteLine($"cannot run '{scuse}': {LinuxException.Text(failure.Errno)}; put scuse in PATH, or set SCUSE to where it is");
        }

        return HandlerHost.ExitFailed;
    }

    // Under `dotnet app.dll` the process is dotnet's, and the first argument of all is the program.
    static IEnumerable<string> ThisProgram()
    {
        string process = Environment.ProcessPath ?? throw new InvalidOperationException("this program does not know where it lies");
        string first = Environment.GetCommandLineArgs()[0];
        return first.EndsWith(".dll", StringComparison.OrdinalIgnoreCase) && Path.GetFileNameWithoutExtension(process) == "dotnet"
            ? [process, Path.GetFullPath(first)]
            : [process];
    }

    /// <summary>A word as the shell reads it back.</summary>
    internal static string Quoted(string word) =>
        word.Length > 0 && word.All(static c => char.IsAsciiLetterOrDigit(c) || "-_./:=,+@%".Contains(c, StringComparison.Ordinal))
            ? word
            : $"'{word.Replace("'", @"'\''", StringComparison.Ordinal)}'";
}
