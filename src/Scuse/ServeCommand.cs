using System.CommandLine;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;
using Scuse.Cli.Configuration;
using Scuse.Cli.Serving;
using Scuse.Engine;

namespace Scuse.Cli;

/// <summary><c>scuse serve</c>: an engine in the foreground.</summary>
static class ServeCommand
{
    const string DefaultSpec = "memory:1G";
    const string DefaultPortal = "127.0.0.1:3260";

    public static Command Create()
    {
        var specs = new Argument<string[]>("SPEC")
        {
            Description = $"One logical unit each, LUN 0 first: {BuiltInHandlers.Usage}, exec:COMMAND, attach:NAME; {DefaultSpec} when none is given. Options of every kind but exec: {EngineSpecOptions.Usage}",
            Arity = ArgumentArity.ZeroOrMore,
        };
        var portal = new Option<string[]>("--portal") { Description = "Where initiators connect; can be given several times; port 0 picks a free one", HelpName = PortalSpec.Usage, DefaultValueFactory = _ => [DefaultPortal] };
        var group = new Option<int>("--portal-group") { Description = "The tag of the group that all portals are of; engines that offer the same target have different ones", HelpName = "TAG", DefaultValueFactory = _ => 1 };
        var advertise = new Option<string?>("--advertise") { Description = "What discovery tells initiators of every portal that says nothing else", HelpName = "HOST:PORT" };
        var target = new Option<string?>("--target") { Description = "The target's name", HelpName = "IQN" };
        var isns = new Option<string?>("--isns") { Description = "Registers target and portals with an iSNS server, for initiators that look for them there; off when not given", HelpName = IsnsSpec.Usage };
        var chapFile = new Option<string?>("--chap-file") { Description = "A file with the users and secrets that initiators prove to know (CHAP); nobody but its owner may read it. docs/access.md shows it", HelpName = "FILE" };
        var initiator = new Option<string[]>("--initiator") { Description = "Lets only these initiators log in: a name with * and ? for others, or an address with or without /PREFIX; can be given several times", HelpName = "PATTERN" };
        var lunMap = new Option<string[]>("--lun-map") { Description = "What some initiators see: the number that they know a LUN by, @ the engine's where that differs, :ro where they may only read; the first map that matches counts, and who matches none sees nothing", HelpName = LunMapSpec.Usage };
        var allowAnyone = new Option<bool>("--allow-anyone") { Description = "Lets everybody log in who reaches a portal from other machines: for a network that is yours alone" };
        var socket = new Option<string?>("--socket") { Description = "Where handlers attach", HelpName = "PATH" };
        var control = new Option<string?>("--control") { Description = "Where operators ask; PATH of --socket with .control when not given", HelpName = "PATH" };
        var timeout = new Option<int>("--command-timeout") { Description = "Seconds that a command may take before it fails; 0 is for ever", HelpName = "SECONDS", DefaultValueFactory = _ => 30 };
        var spin = new Option<int>("--spin") { Description = "Microseconds to stay awake after the last activity; 0 is never", HelpName = "MICROSECONDS", DefaultValueFactory = _ => 50 };
        var reactors = new Option<int>("--reactors") { Description = "Threads that serve commands; each target is on one of them", HelpName = "COUNT", DefaultValueFactory = _ => 1 };
        var spread = new Option<bool>("--spread") { Description = "Lets each target's sessions be on all of them, for targets that need more than one" };
        var pin = new Option<bool>("--pin") { Description = "Keeps each of them on a processor of its own" };
        var queueFull = new Option<int>("--qfull-timeout") { Description = "Seconds that a command waits for room before it ends with TASK SET FULL; -1 is as long as --command-timeout", HelpName = "SECONDS", DefaultValueFactory = _ => -1 };
        var loss = new Option<string>("--on-loss") { Description = "What becomes of commands while there is no handler: hold, busy or fail", HelpName = "POLICY", DefaultValueFactory = _ => "hold" };
        var dataArea = new Option<string>("--data-area") { Description = "The most memory for the data of one logical unit's commands under way", HelpName = "SIZE", DefaultValueFactory = _ => "256M" };
        var globalDataArea = new Option<string>("--global-data-area") { Description = "The same for all logical units together", HelpName = "SIZE", DefaultValueFactory = _ => "2G" };
        var keep = new Option<int>("--keep-handlers") { Description = "Seconds that handlers outlive the engine, to be taken over by the next one at the same --socket; 0: they end with it", HelpName = "SECONDS", DefaultValueFactory = _ => 0 };
        var state = new Option<string?>("--state") { Description = "Where is kept what initiators want to survive a loss of power: persistent reservations (APTPL), saved mode pages; nowhere when not given", HelpName = "FOLDER" };
        var nop = new Option<int>("--nop-interval") { Description = "Seconds that an initiator may be silent before it is asked for a sign of life; 0: it is never asked", HelpName = "SECONDS", DefaultValueFactory = _ => 15 };
        var recovery = new Option<int>("--error-recovery-level") { Description = "The highest iSCSI error recovery level to offer, 0 to 2: from 1 on damaged PDUs are sent again, at 2 commands outlive their connection", HelpName = "LEVEL", DefaultValueFactory = _ => 0 };
        var limit = new Option<string[]>("--limit") { Description = $"Changes a limit for initiators; can be given several times: {LimitSpec.Names}. docs/threat-model.md tells what they are for", HelpName = LimitSpec.Usage };
        var allocations = new Option<bool>("--report-allocations") { Hidden = true };
        var config = new Option<string?>("--config") { Description = "A file that says all this, for several targets; other options count before it. docs/configuration.md shows it", HelpName = "FILE" };
        var command = new Command("serve", "Serve disks until interrupted")
        {
            specs, config, portal, group, advertise, isns, target, chapFile, initiator, lunMap, allowAnyone, socket, control, timeout, queueFull, loss, dataArea, globalDataArea, keep, state, nop, recovery, limit, spin, reactors, spread, pin, allocations,
        };
        command.SetAction(async (parsed, cancellation) =>
        {
            try
            {
                string[] given = parsed.GetValue(specs) ?? [];
                if (given.FirstOrDefault(static spec => spec.StartsWith('-')) is { } option)
                {
                    throw new FormatException($"option '{option}' is unknown; scuse serve --help lists those there are");
                }

                string? file = parsed.GetValue(config);
                if (file is not null && (given.Length > 0 ? "a spec" : ((Option[])[target, chapFile, initiator, lunMap]).FirstOrDefault(each => IsGiven(parsed, each))?.Name) is { } conflict)
                {
                    throw new FormatException($"{conflict} and --config exclude each other: the file says which targets there are, and who may log in");
                }

                var said = new ServeSettings
                {
                    Portals = Given(parsed, portal),
                    PortalGroup = GivenNumber(parsed, group),
                    Advertise = Given(parsed, advertise),
                    Isns = Given(parsed, isns),
                    ChapFile = Given(parsed, chapFile),
                    Initiators = Given(parsed, initiator),
                    AllowAnyone = IsGiven(parsed, allowAnyone) ? parsed.GetValue(allowAnyone) : null,
                    Socket = Given(parsed, socket),
                    Control = Given(parsed, control),
                    CommandTimeout = GivenNumber(parsed, timeout),
                    QfullTimeout = GivenNumber(parsed, queueFull),
                    OnLoss = Given(parsed, loss),
                    DataArea = Given(parsed, dataArea),
                    GlobalDataArea = Given(parsed, globalDataArea),
                    KeepHandlers = GivenNumber(parsed, keep),
                    State = Given(parsed, state),
                    NopInterval = GivenNumber(parsed, nop),
                    ErrorRecoveryLevel = GivenNumber(parsed, recovery),
                    Limits = Given(parsed, limit),
                    Spin = GivenNumber(parsed, spin),
                    Reactors = GivenNumber(parsed, reactors),
                    Spread = IsGiven(parsed, spread) ? parsed.GetValue(spread) : null,
                    Pin = IsGiven(parsed, pin) ? parsed.GetValue(pin) : null,
                    Targets = file is not null ? null
                        : [new TargetSettings { Name = Given(parsed, target) ?? TargetOptions.DefaultName, Luns = [.. (given.Length > 0 ? given : [DefaultSpec]).Select(static spec => new LunSettings { Spec = spec })], LunMaps = Given(parsed, lunMap) }],
                };
                return await RunAsync(new EngineConfiguration(said, file is null ? null : ConfigFile.Load(file)), parsed.GetValue(allocations), cancellation);
            }
            catch (FormatException exception)
            {
                await Console.Error.WriteLineAsync($"scuse: {exception.Message}");
                return ExitCodes.Usage;
            }
            catch (EngineException exception)
            {
                await Console.Error.WriteLineAsync($"scuse: {exception.Message}");
                return ExitCodes.Failure;
            }
        });
        return command;
    }

    static bool IsGiven(ParseResult parsed, Option option) => parsed.GetResult(option) is { Implicit: false };

    static T? Given<T>(ParseResult parsed, Option<T> option)
        where T : class? => IsGiven(parsed, option) ? parsed.GetValue(option) : null;

    static int? GivenNumber(ParseResult parsed, Option<int> option) => IsGiven(parsed, option) ? parsed.GetValue(option) : null;

    static async Task<int> RunAsync(EngineConfiguration configuration, bool reportAllocations, CancellationToken cancellation)
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Logging.AddConsole(console =>
        {
            console.LogToStandardErrorThreshold = LogLevel.Trace; // standard output is for the URLs
            console.FormatterName = LineFormatter.FormatterName;
            console.MaxQueueLength = 1 << 16;
            console.QueueFullMode = ConsoleLoggerQueueFullMode.DropWrite; // whoever reads the log too slowly, or not at all, does not hold up the engine
        });
        builder.Services.AddSingleton<ConsoleFormatter, LineFormatter>();
        builder.Logging.AddFilter("Microsoft", LogLevel.Warning);
        builder.Logging.AddFilter("Microsoft.Extensions.Hosting.Internal.Host", LogLevel.None); // what keeps the engine from starting is told below, in one line
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromMilliseconds(configuration.Options.DrainMs * 3));
        builder.Services.Configure<ConsoleLifetimeOptions>(lifetime => lifetime.SuppressStatusMessages = true);
        builder.Services.AddHostedService(services => new EngineService(
            configuration, services.GetRequiredService<ILoggerFactory>(), services.GetRequiredService<IHostApplicationLifetime>()));
        using IHost host = builder.Build();
        using AllocationReport? report = reportAllocations ? new AllocationReport("engine") : null;
        try
        {
            await host.StartAsync(cancellation);
        }
        catch (OperationCanceledException)
        {
            await host.StopAsync(CancellationToken.None);
            return ExitCodes.Success; // interrupted before it was up
        }

        await host.WaitForShutdownAsync(cancellation);
        return ExitCodes.Success;
    }
}
