using System.Globalization;
using System.Net;
using Scuse.Cli.Control;
using Scuse.Cli.Serving;
using Scuse.Engine;
using Scuse.Iscsi;

namespace Scuse.Cli.Configuration;

/// <summary>What an engine is to be, as the command line and a file have it: made of them, and made again when the file has changed.</summary>
sealed class EngineConfiguration
{
    const string DefaultPortal = "127.0.0.1:3260";
    const int MostSeconds = 1_000_000, LongestNopSeconds = 86_400;

    readonly ServeSettings _commandLine;
    readonly ConfigFile? _file;
    readonly HashSet<string> _fromCommandLine;

    /// <summary>Makes the options of an engine; the sockets' and the handlers' names are as its process has them.</summary>
    /// <param name="commandLine">What the command line says. It counts where it says something; without a file it names the target.</param>
    /// <param name="file">What a file says; null: there is none.</param>
    /// <exception cref="FormatException">Something is wrong; the message is one line for a person, with its place where it is the file's.</exception>
    public EngineConfiguration(ServeSettings commandLine, ConfigFile? file)
    {
        _commandLine = commandLine;
        _file = file;
        Settings = file is null ? commandLine : commandLine.Or(file.Settings);
        _fromCommandLine = [.. commandLine.DifferencesFrom(new ServeSettings())];
        Defaults = ReadDefaults();
        Options = Read();
        ControlSocket = PathOf("control", Settings.Control) ?? Control.ControlSocket.PathFor(Options.SocketPath);
    }

    /// <summary>What was said.</summary>
    public ServeSettings Settings { get; }

    /// <summary>What it comes to.</summary>
    public EngineOptions Options { get; }

    /// <summary>Where operators ask.</summary>
    public string ControlSocket { get; }

    /// <summary>Where it can be read again; null: nowhere.</summary>
    public string? Path => _file?.Path;

    EngineSpecOptions Defaults { get; }

    /// <summary>The same with what stands in the file now.</summary>
    /// <exception cref="FormatException">Something is wrong, or there is no file; the message is one line for a person.</exception>
    public EngineConfiguration Again() =>
        new(_commandLine, ConfigFile.Load(_file?.Path ?? throw new FormatException("the engine was started without --config: there is nothing to read again")));

    /// <summary>A target that comes while the engine runs. Paths that are not full are as the engine's process has them.</summary>
    /// <exception cref="FormatException">Something is wrong; the message is one line for a person.</exception>
    public TargetOptions TargetOf(TargetSettings settings) => ReadTarget(settings, "", null);

    EngineOptions Read()
    {
        ChapFile? chap = ChapOf("chapFile", Settings.ChapFile);
        TargetOptions[] targets = [.. (Settings.Targets ?? []).Select((target, i) => ReadTarget(target, $"targets[{i}]", _file is null ? null : Folder("targets")))];
        CheckNames(targets);
        int keep = Number("keepHandlers", Settings.KeepHandlers ?? 0, 0, MostSeconds);
        EngineOptions options = new()
        {
            Targets = targets,
            MayBeEmpty = _file is not null,
            Identity = _file?.Path,
            DiscoveryAccess = At("initiators", () => Checked(new AccessOptions { Chap = chap?.ForDiscovery, Initiators = Settings.Initiators })),
            ChapFile = chap is null ? null : System.IO.Path.GetFullPath(PathOf("chapFile", Settings.ChapFile)!),
            AllowAnyone = Settings.AllowAnyone ?? false,
            Portals = [.. At("portals", () => Settings.Portals is [] ? throw new FormatException("there is no portal") : Settings.Portals ?? [DefaultPortal]).Select((portal, i) => At($"portals[{i}]", () => PortalOf(portal)))],
            Isns = Settings.Isns is { } isns ? At("isns", () => IsnsSpec.Parse(isns)) : null,
            SocketPath = PathOf("socket", Settings.Socket) ?? AttachSocket.DefaultPath(targets.SelectMany(static target => target.Luns).Select(static lun => lun.Spec), keep > 0),
            GlobalDataAreaBytes = Settings.GlobalDataArea is { } size ? At("globalDataArea", () => SizeText.Parse(size)) : 2L << 30,
            StateFolder = PathOf("state", Settings.State),
            KeepHandlersSeconds = keep,
            SpinMicroseconds = Number("spin", Settings.Spin ?? 50, 0, MostSeconds),
            Reactors = Number("reactors", Settings.Reactors ?? 1, 1, EngineOptions.MaxReactors),
            SpreadTargets = Settings.Spread ?? false,
            PinReactors = Settings.Pin ?? false,
            Iscsi = (Settings.Limits ?? []).Select((limit, i) => (limit, i)).Aggregate(new IscsiOptions(), (iscsi, each) => At($"limits[{each.i}]", () => LimitSpec.Apply(iscsi, each.limit))) with
            {
                TargetPortalGroupTag = (ushort)Number("portalGroup", Settings.PortalGroup ?? 1, 1, ushort.MaxValue),
                ErrorRecoveryLevel = Number("errorRecoveryLevel", Settings.ErrorRecoveryLevel ?? 0, 0, 2),
                NopIntervalMs = (int)TimeSpan.FromSeconds(Math.Min(Number("nopInterval", Settings.NopInterval ?? 15, 0, MostSeconds), LongestNopSeconds)).TotalMilliseconds,
            },
        };
        CheckExposure(options);
        return options;
    }

    EngineSpecOptions ReadDefaults()
    {
        var defaults = new EngineSpecOptions { TimeoutSeconds = Number("commandTimeout", Settings.CommandTimeout ?? 30, 0, MostSeconds) };
        defaults = At("qfullTimeout", () => defaults.With("qfull", (Settings.QfullTimeout ?? -1).ToString(CultureInfo.InvariantCulture))!);
        defaults = At("onLoss", () => defaults.With("loss", Settings.OnLoss ?? "hold")!);
        return At("dataArea", () => defaults.With("data", Settings.DataArea ?? "256M")!);
    }

    // ---- targets ----

    /// <param name="settings">What it is to be.</param>
    /// <param name="member">Where that stands.</param>
    /// <param name="folder">Where paths begin; null: as they are.</param>
    TargetOptions ReadTarget(TargetSettings settings, string member, string? folder)
    {
        // The command line's own target has the names that it always had; all others' names hold their target's.
        bool isCommandLines = _file is null && member.Length > 0;
        string name = At($"{member}.name", () => TargetNames.Check(settings.Name ?? throw new FormatException("a target has no name")));
        LunSettings[] specs = At($"{member}.luns", () => settings.Luns is { Count: > 0 } some ? some.ToArray() : throw new FormatException($"target {name} has no luns"));
        var luns = new LunSpecs(Defaults, isCommandLines ? "" : $"{name}/", folder);
        for (int i = 0; i < specs.Length; i++)
        {
            At($"{member}.luns[{i}]", () => luns.Add(specs[i].Spec ?? throw new FormatException("a LUN has no spec"), specs[i].Lun));
        }

        string? chapPath = settings.ChapFile is { } own ? (folder is null ? own : System.IO.Path.GetFullPath(own, folder)) : null;
        ChapFile? chap = chapPath is not null
            ? At($"{member}.chapFile", () => ChapFile.Load(chapPath) is { ForTarget: not null } file ? file : throw new FormatException($"{chapPath} names no users for a target; it needs \"users\""))
            : ChapOf("chapFile", Settings.ChapFile);
        chapPath ??= PathOf("chapFile", Settings.ChapFile);
        AccessOptions access = new()
        {
            Chap = chap?.ForTarget,
            Initiators = settings.Initiators ?? Settings.Initiators, // an empty list is nobody
            LunMaps = settings.LunMaps?.Select((map, i) => At($"{member}.lunMaps[{i}]", () => Served(LunMapSpec.Parse(map), luns.All))).ToArray(),
        };
        return new TargetOptions
        {
            Name = name,
            Luns = luns.All,
            Access = At(settings.Initiators is null ? member : $"{member}.initiators", () => Checked(access)),
            ChapFile = chapPath is null ? null : System.IO.Path.GetFullPath(chapPath),
        };
    }

    void CheckNames(TargetOptions[] targets)
    {
        HashSet<string> names = [], devices = [];
        for (int i = 0; i < targets.Length; i++)
        {
            TargetOptions target = targets[i];
            At($"targets[{i}]", () => names.Add(target.Name) ? 0 : throw new FormatException($"there are two targets {target.Name}"));
            foreach (LunOptions lun in target.Luns)
            {
                At($"targets[{i}].luns", () => devices.Add(lun.DeviceName) ? 0 : throw new FormatException($"'{lun.Spec}': there is another device named '{lun.DeviceName}'"));
            }
        }
    }

    void CheckExposure(EngineOptions options)
    {
        for (int i = 0; i < options.Portals.Count; i++)
        {
            PortalOptions portal = options.Portals[i];
            At($"portals[{i}]", () => Exposure.ProblemOf(options, portal) is { } problem ? throw new FormatException(problem) : 0);
        }
    }

    static LunMapOptions Served(LunMapOptions map, IReadOnlyList<LunOptions> luns)
    {
        HashSet<int> units = [.. luns.Select(static lun => lun.Number)];
        return map.Luns.FirstOrDefault(lun => !units.Contains(lun.Unit ?? lun.Lun)) is { } missing
            ? throw new FormatException($"a LUN map names logical unit {missing.Unit ?? missing.Lun}, which is not served")
            : map;
    }

    static AccessOptions Checked(AccessOptions access)
    {
        access.ToRules();
        return access;
    }

    // ---- single members ----

    ChapFile? ChapOf(string member, string? path) => PathOf(member, path) is { } full ? At(member, () => ChapFile.Load(full)) : null;

    PortalOptions PortalOf(string text)
    {
        PortalOptions portal = PortalSpec.Parse(text, Folder("portals") ?? Environment.CurrentDirectory);
        return portal with { Advertised = portal.Advertised ?? Settings.Advertise };
    }

    int Number(string member, int value, int least, int most) =>
        At(member, () => value >= least && value <= most ? value : throw new FormatException($"{NameOf(member)} {value} is not from {least} to {most}"));

    /// <summary>A path: of the file's as it is from there, of the command line's as it is.</summary>
    string? PathOf(string member, string? path) => path is not null && Folder(member) is { } folder ? System.IO.Path.GetFullPath(path, folder) : path;

    string? Folder(string member) => IsOfFile(member) ? System.IO.Path.GetDirectoryName(_file!.Path) : null;

    bool IsOfFile(string member) => _file is not null && member is [not '.', ..] && !_fromCommandLine.Contains(member.Split('.', '[')[0]);

    /// <summary>What people know a member by: its name in the file, or the option.</summary>
    string NameOf(string member) => IsOfFile(member) ? member : $"--{string.Concat(member.Select(static character => char.IsUpper(character) ? $"-{char.ToLowerInvariant(character)}" : $"{character}"))}";

    T At<T>(string member, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (FormatException exception) when (IsOfFile(member))
        {
            throw new FormatException($"{_file!.PlaceOf(member)}: {exception.Message}", exception);
        }
    }
}
