using System.CommandLine;
using System.Net;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Scuse.Cli.Control;
using Scuse.Cli.Kernel;

namespace Scuse.Cli.Commands;

/// <summary><c>scuse kernel</c>: user backstores of the Linux kernel's own target, for handlers that run with <c>--kernel</c>.</summary>
static class KernelCommand
{
    public static Command Create() => new("kernel", "User backstores of the Linux kernel's own target (TCMU), which handlers serve with --kernel")
    {
        new CreateCommand(),
        new ListCommand(),
        new MapCommand(),
        new UnmapCommand(),
        new ResizeCommand(),
        new RemoveCommand(),
        new DoctorCommand(),
    };

    /// <summary>What all of them have in common: the kernel, and what becomes of errors.</summary>
    internal abstract class Operation : Command
    {
        // Some steps wait for a handler, and cannot be interrupted: whoever waits is to know for what.
        static readonly TimeSpan s_patience = TimeSpan.FromSeconds(5);

        protected Operation(string name, string description)
            : base(name, description) => SetAction(RunAsync);

        protected static KernelTree Tree { get; } = new();

        protected static KernelPaths Paths { get; } = new();

        protected static Processes Processes { get; } = new(Paths.Processes);

        protected static Backstores Backstores { get; } = new(Tree, Paths, Processes);

        /// <summary>Does it; returns the exit code.</summary>
        protected abstract int Do(ParseResult parsed);

        /// <summary>JSON for programs.</summary>
        protected static void Json<T>(T value, JsonTypeInfo<T> type) => Console.WriteLine(JsonSerializer.Serialize(value, type));

        async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellation)
        {
            try
            {
                Task<int> work = Task.Run(() => Do(parsed), CancellationToken.None);
                while (await Task.WhenAny(work, Task.Delay(s_patience, cancellation)) != work && !cancellation.IsCancellationRequested)
                {
                    await Console.Error.WriteLineAsync("scuse: the kernel waits for a handler; `scuse kernel doctor`, on another terminal, tells why");
                }

                return await work;
            }
            catch (FormatException exception)
            {
                await Console.Error.WriteLineAsync($"scuse: {exception.Message}");
                return ExitCodes.Usage;
            }
            catch (KernelException exception)
            {
                await Console.Error.WriteLineAsync($"scuse: {exception.Message}");
                return ExitCodes.Failure;
            }
        }
    }

    /// <summary>An operation on one backstore.</summary>
    internal abstract class OnOne : Operation
    {
        readonly Argument<string> _name = new("NAME") { Description = "The backstore: user_0/disk, or disk where no other is called so" };

        protected OnOne(string name, string description)
            : base(name, description) => Arguments.Add(_name);

        protected sealed override int Do(ParseResult parsed)
        {
            Do(Backstores.Find(parsed.GetValue(_name)!), parsed);
            return ExitCodes.Success;
        }

        protected abstract void Do(Backstore backstore, ParseResult parsed);
    }

    sealed class CreateCommand : Operation
    {
        const int DefaultBlockSize = 512;

        readonly Argument<string> _name = new("NAME") { Description = "What it is to be called" };
        readonly Argument<string> _config = new("SPEC")
        {
            Description = "What is to be served: a built-in handler's spec, memory:64M or file:/path, or SUBTYPE/TEXT for any other handler",
        };

        readonly Option<string?> _size = new("--size") { Description = "The capacity that the handler is asked for; may be left out where the spec of a memory: disk says it", HelpName = "BYTES[K|M|G|T]" };
        readonly Option<int> _block = new("--block-size") { Description = "The length of a logical block in bytes", HelpName = "BYTES", DefaultValueFactory = static _ => DefaultBlockSize };
        readonly Option<int?> _hba = new("--hba") { Description = "The number of its HBA; the lowest that is free when not given", HelpName = "NUMBER" };
        readonly Option<string?> _serial = new("--serial") { Description = "The unit serial number; made by the handler of the machine's id and the name when not given", HelpName = "TEXT" };
        readonly Option<int?> _timeout = new("--command-timeout") { Description = "After how long a command that the handler does not answer fails; 0: never", HelpName = "SECONDS" };
        readonly Option<bool> _waits = new("--wait-for-answers")
        {
            Description = "Who changes it waits for the handler's answer, without an end, where some program has told the kernel that there are answers; otherwise nobody waits",
        };

        public CreateCommand()
            : base("create", "Make a user backstore; its handler, running with --kernel, serves it at once")
        {
            Arguments.Add(_name);
            Arguments.Add(_config);
            foreach (Option option in (Option[])[_size, _block, _hba, _serial, _timeout, _waits])
            {
                Options.Add(option);
            }
        }

        protected override int Do(ParseResult parsed)
        {
            (string config, long? sizeOfSpec) = BackstoreSpec.Parse(parsed.GetValue(_config)!, Environment.CurrentDirectory);
            long size = parsed.GetValue(_size) is { } text
                ? SizeText.Parse(text)
                : sizeOfSpec ?? throw new FormatException("--size is needed: the spec does not say how large the disk is to be");
            Backstore made = Backstores.Create(new NewBackstore(parsed.GetValue(_name)!, config, size, parsed.GetValue(_block))
            {
                Hba = parsed.GetValue(_hba),
                Serial = parsed.GetValue(_serial),
                CommandSeconds = parsed.GetValue(_timeout),
                WaitsForAnswers = parsed.GetValue(_waits),
            });
            Report.Line($"{made.Name} was made, {Report.Size(made.SizeBytes)}; {(made.Handler is { } handler ? $"{handler} serves it" : $"it waits for a handler of '{made.Subtype}'")}");
            return ExitCodes.Success;
        }
    }

    sealed class ListCommand : Operation
    {
        readonly Option<bool> _json = new("--json") { Description = "For programs: JSON" };

        public ListCommand()
            : base("list", "List the user backstores, whoever made them")
        {
            Aliases.Add("ls");
            Options.Add(_json);
        }

        protected override int Do(ParseResult parsed)
        {
            IReadOnlyList<Backstore> all = Backstores.List();
            if (all.Any(static backstore => !backstore.IsKnown))
            {
                Console.Error.WriteLine("scuse: somebody waits for the answer to a removal, and whoever looked into backstores would wait as well; `scuse kernel doctor` tells the way out");
            }

            if (parsed.GetValue(_json))
            {
                Json(all, KernelJson.Default.IReadOnlyListBackstore);
                return ExitCodes.Success;
            }

            Report.Table(
                ["BACKSTORE", "CONFIGURATION", ">SIZE", ">BLOCK", "STATE", "HANDLER", "SEEN AS"],
                all.Select(static backstore => (IReadOnlyList<string?>)
                [
                    backstore.Name, backstore.Config, backstore.IsKnown ? Report.Size(backstore.SizeBytes) : null, backstore.IsKnown ? Report.Number(backstore.BlockSize) : null, backstore.State,
                    backstore.Handler is { } handler ? $"{handler.Name} ({handler.Pid})" : null,
                    backstore.Mappings.Count == 0 ? null : string.Join(", ", backstore.Mappings.Select(Say)),
                ]));
            return ExitCodes.Success;
        }
    }

    sealed class MapCommand : OnOne
    {
        const string LoopbackPortal = "127.0.0.1:3260";

        readonly Option<bool> _disk = new("--disk") { Description = "As a disk of this machine; what is done when nothing else is asked for" };
        readonly Option<string?> _iscsi = new("--iscsi") { Description = "By the kernel's iSCSI target, under this name", HelpName = "IQN" };
        readonly Option<string[]> _portal = new("--portal") { Description = $"With --iscsi: where it listens, {LoopbackPortal} when not given; can be given several times", HelpName = "ADDRESS:PORT" };
        readonly Option<string[]> _initiator = new("--initiator") { Description = "With --iscsi: who may log in; can be given several times", HelpName = "IQN" };
        readonly Option<bool> _anybody = new("--anybody") { Description = "With --iscsi: whoever comes may log in and write, from elsewhere too" };

        public MapCommand()
            : base("map", "Let initiators see a backstore that a handler serves")
        {
            foreach (Option option in (Option[])[_disk, _iscsi, _portal, _initiator, _anybody])
            {
                Options.Add(option);
            }
        }

        protected override void Do(Backstore backstore, ParseResult parsed)
        {
            string[] portals = parsed.GetValue(_portal) ?? [], initiators = parsed.GetValue(_initiator) ?? [];
            if (parsed.GetValue(_iscsi) is not { } name)
            {
                if (portals.Length > 0 || initiators.Length > 0)
                {
                    throw new FormatException("--portal and --initiator go with --iscsi");
                }

                Mapping disk = Backstores.MapLoopback(backstore, null);
                Report.Line(disk.Disk is { } path ? $"{backstore.Name} is {path}" : $"{backstore.Name} is mapped as {disk.Target}; no disk has come of it yet");
                return;
            }

            if (parsed.GetValue(_disk))
            {
                throw new FormatException("--disk and --iscsi are two mappings: ask for one after the other");
            }

            portals = portals.Length > 0 ? portals : [LoopbackPortal];
            if (initiators.Length == 0 && !parsed.GetValue(_anybody) && portals.FirstOrDefault(IsForOthers) is { } open)
            {
                throw new FormatException($"{open} can be reached from elsewhere, and anybody there could write: say who may log in with --initiator, or --anybody");
            }

            Mapping lun = Backstores.MapIscsi(backstore, new NewIscsiMapping(name, portals, initiators));
            Report.Line($"{backstore.Name} is LUN {lun.Lun} of {lun.Target} at {string.Join(", ", portals)}");
        }

        static bool IsForOthers(string portal) =>
            !IPEndPoint.TryParse(portal, out IPEndPoint? address) ? throw new FormatException($"'{portal}' is not ADDRESS:PORT") : !IPAddress.IsLoopback(address.Address);
    }

    sealed class UnmapCommand : OnOne
    {
        readonly Option<bool> _force = new("--force") { Description = "Also a disk of this machine that is in use" };

        public UnmapCommand()
            : base("unmap", "Take a backstore away from all initiators") => Options.Add(_force);

        protected override void Do(Backstore backstore, ParseResult parsed)
        {
            Backstores.Unmap(backstore, parsed.GetValue(_force));
            Report.Line(backstore.Mappings.Count == 0 ? $"{backstore.Name} was mapped nowhere" : $"{backstore.Name} is no longer {string.Join(", ", backstore.Mappings.Select(Say))}");
        }
    }

    sealed class ResizeCommand : OnOne
    {
        readonly Argument<string> _size = new("SIZE") { Description = "The new capacity: a number of bytes, with K, M, G or T" };

        public ResizeCommand()
            : base("resize", "Ask the handler of a backstore for another capacity; initiators hear of it") => Arguments.Add(_size);

        protected override void Do(Backstore backstore, ParseResult parsed)
        {
            long wanted = SizeText.Parse(parsed.GetValue(_size)!);
            Backstores.Resize(backstore, wanted);
            Report.Line($"the handler of {backstore.Name} was asked for {Report.Size(wanted)}; `scuse kernel list` shows what it has made of it");
        }
    }

    sealed class RemoveCommand : OnOne
    {
        readonly Option<bool> _force = new("--force") { Description = "Also when a disk of this machine that it is is in use" };

        public RemoveCommand()
            : base("remove", "Take a backstore away from all initiators, and remove it; what its handler has stored stays") => Options.Add(_force);

        protected override void Do(Backstore backstore, ParseResult parsed)
        {
            Backstores.Remove(backstore, parsed.GetValue(_force));
            Report.Line($"{backstore.Name} was removed");
        }
    }

    sealed class DoctorCommand : Operation
    {
        readonly Option<bool> _json = new("--json") { Description = "For programs: JSON" };

        public DoctorCommand()
            : base("doctor", "Tell what is wrong with user backstores, and what to do; it changes nothing. Exit code 1: something is wrong") => Options.Add(_json);

        protected override int Do(ParseResult parsed)
        {
            IReadOnlyList<Finding> findings = new Doctor(Tree, Paths, Processes, KernelLog.Read).Examine();
            if (parsed.GetValue(_json))
            {
                Json(findings, KernelJson.Default.IReadOnlyListFinding);
            }
            else
            {
                foreach (Finding finding in findings)
                {
                    string mark = finding.Severity switch { Severity.Good => "ok", Severity.Notice => "note", _ => "WRONG" };
                    Report.Line($"{mark,-5}  {finding.Subject}: {finding.Text}");
                    if (finding.Severity != Severity.Good && finding.Cure is { } cure)
                    {
                        Report.Line($"       {cure}");
                    }
                }
            }

            return findings.Any(static finding => finding.Severity == Severity.Problem) ? ExitCodes.Failure : ExitCodes.Success;
        }
    }

    static string Say(Mapping mapping) => mapping.Disk ?? $"{mapping.Fabric} {mapping.Target} LUN {mapping.Lun}";
}
