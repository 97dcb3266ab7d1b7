using System.Globalization;
using Scuse.Linux;
using Scuse.Ring.Attach;
using Scuse.Serving;

namespace Scuse;

/// <summary>The command line that every handler has.</summary>
sealed record HandlerOptions
{
    internal const string SpinVariable = "SCUSE_SPIN_US";
    const int MaxSpinMicroseconds = 1000;

    internal const string Usage = """
        options of every handler:
          --device NAME      the device to serve, or several: repeated, or separated by commas (default: $SCUSE_DEVICE)
          --replace          take over from the handler that serves them ($SCUSE_REPLACE=1)
          --socket PATH      the target's attach socket (default: $SCUSE_SOCKET, else the well-known one of this user)
          --name NAME        what the handler is called in messages (default: this program's name)
          --size SIZE        capacity, with K, M, G or T, where the target asks for none (default: 1G)
          --block-size N     logical block length, 512 or 4096, where the target asks for none (default: 512)
          --config TEXT      the handler's own configuration, where the target has none
          --spin-us N        how long to look for the next command before sleeping, in microseconds; 0: not at all (default: 50)
          --kernel           serve the kernel's user backstores (TCMU) of its subtype, those of now and of later, instead of attaching to a target; --device: only that one
          --subtype NAME     with --kernel: what dev_config begins with (default: scuse- and the handler's name)
          --recovery WAY     with --kernel: what becomes of commands that a handler left behind: reset, they end in BUSY and are repeated; continue, they are done (default: reset)
          --serve            start `scuse serve` around this program, with:
          --portal ADDRESS   where to listen, and
          --target NAME      the target's iSCSI name
          --help             this text
        """;

    internal string Socket { get; private set; } = "";

    /// <summary>The devices to serve, each once.</summary>
    internal List<string> Devices { get; } = [];

    /// <summary>Whether to take them over from the handler that serves them.</summary>
    internal bool Replace { get; private set; }

    internal string Name { get; private set; } = AppDomain.CurrentDomain.FriendlyName;

    internal string Config { get; private set; } = "";

    internal long SizeBytes { get; private set; }

    internal int BlockSize { get; private set; }

    internal int SpinMicroseconds { get; private set; } = AdaptiveSpin.DefaultMicroseconds;

    internal bool Serve { get; private set; }

    /// <summary>Whether the kernel is the target.</summary>
    internal bool Kernel { get; private set; }

    /// <summary>Which user backstores of the kernel are this handler's.</summary>
    internal string Subtype => _subtype ?? "scuse-" + Name.ToLowerInvariant();

    /// <summary>Whether commands that an earlier handler left in a kernel's ring are done; else they end in BUSY.</summary>
    internal bool Continues { get; private set; }

    string? _subtype;

    internal bool Help { get; private set; }

    /// <summary>Options for <c>scuse serve</c>.</summary>
    internal List<string> ServeArguments { get; } = [];

    /// <summary>Everything but --serve and what goes with it: the command line of the handler that the engine starts.</summary>
    internal List<string> HandlerArguments { get; } = [];

    /// <summary>What is the author's own.</summary>
    internal List<string> Rest { get; } = [];

    /// <summary>Reads a command line.</summary>
    /// <exception cref="FormatException">It is wrong; the message is one line for a person.</exception>
    internal static HandlerOptions Parse(ReadOnlySpan<string> args, Func<string, string?> environment)
    {
        HandlerOptions options = new()
        {
            Socket = NullIfEmpty(environment(AttachMessage.SocketVariable)) ?? AttachSocketPath.WellKnown(environment),
            Replace = environment(AttachMessage.ReplaceVariable) == "1",
        };
        if (NullIfEmpty(environment(SpinVariable)) is { } spin)
        {
            options.SpinMicroseconds = ParseSpin(SpinVariable, spin);
        }

        for (int i = 0; i < args.Length; i++)
        {
            string argument = args[i];
            if (argument == "--")
            {
                options.HandlerArguments.AddRange(args[i..]);
                options.Rest.AddRange(args[(i + 1)..]);
                break;
            }

            if (!argument.StartsWith("--", StringComparison.Ordinal))
            {
                options.HandlerArguments.Add(argument);
                options.Rest.Add(argument);
                continue;
            }

            int equals = argument.IndexOf('=', StringComparison.Ordinal);
            string name = equals < 0 ? argument : argument[..equals];
            switch (name)
            {
                case "--serve" when equals < 0:
                    options.Serve = true;
                    continue;
                case "--help" when equals < 0:
                    options.Help = true;
                    continue;
                case "--kernel" when equals < 0:
                    options.Kernel = true;
                    options.HandlerArguments.Add(argument);
                    continue;
                case "--replace" when equals < 0:
                    options.Replace = true;
                    continue;
            }

            if (name is not ("--socket" or "--device" or "--name" or "--config" or "--size" or "--block-size" or "--spin-us" or "--subtype" or "--recovery" or "--portal" or "--target"))
            {
                throw new FormatException($"option '{argument}' is unknown; --help lists those that are known");
            }

            string value = equals >= 0 ? argument[(equals + 1)..]
                : i + 1 < args.Length ? args[++i]
                : throw new FormatException($"option '{name}' needs a value");
            if (name is "--portal" or "--target")
            {
                options.ServeArguments.AddRange([name, value]);
                continue;
            }

            options.HandlerArguments.AddRange([name, value]);
            options.Set(name, value);
        }

        // What the command line says counts alone.
        if (options.Devices.Count == 0 && NullIfEmpty(environment(AttachMessage.DeviceVariable)) is { } devices)
        {
            options.AddDevices(AttachMessage.DeviceVariable, devices);
        }

        if (options.Kernel && (options.Serve || options.Replace))
        {
            throw new FormatException($"option '--kernel' does not go with '{(options.Serve ? "--serve" : "--replace")}'");
        }

        return options.Serve || options.ServeArguments.Count == 0
            ? options
            : throw new FormatException($"option '{options.ServeArguments[0]}' goes with --serve");
    }

    void Set(string name, string value)
    {
        switch (name)
        {
            case "--socket":
                Socket = value;
                break;
            case "--device":
                AddDevices(name, value);
                break;
            case "--name":
                Name = value;
                break;
            case "--config":
                Config = value;
                break;
            case "--size":
                SizeBytes = SizeText.Parse(value);
                break;
            case "--block-size":
                BlockSize = value switch
                {
                    "512" => 512,
                    "4096" => 4096,
                    _ => throw new FormatException($"--block-size '{value}' is not a block size; 512 and 4096 are"),
                };
                break;
            case "--spin-us":
                SpinMicroseconds = ParseSpin(name, value);
                break;
            case "--subtype":
                _subtype = value.Length > 0 && !value.Contains('/', StringComparison.Ordinal) ? value : throw new FormatException($"--subtype '{value}' is not a name without slashes");
                break;
            case "--recovery":
                Continues = value switch
                {
                    "reset" => false,
                    "continue" => true,
                    _ => throw new FormatException($"--recovery '{value}' is no way; reset and continue are"),
                };
                break;
        }
    }

    void AddDevices(string source, string names)
    {
        foreach (string name in names.Split(','))
        {
            if (name.Length == 0)
            {
                throw new FormatException($"{source} '{names}' has an empty name in it");
            }

            if (Devices.Contains(name))
            {
                throw new FormatException($"device '{name}' is named twice");
            }

            Devices.Add(name);
        }
    }

    static int ParseSpin(string name, string value) =>
        int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int spin) && spin <= MaxSpinMicroseconds
            ? spin
            : throw new FormatException($"{name} '{value}' is not a number of microseconds from 0 to {MaxSpinMicroseconds}");

    static string? NullIfEmpty(string? text) => string.IsNullOrEmpty(text) ? null : text;
}
