using Microsoft.Extensions.Logging;
using Scuse.Engine.Management;
using Scuse.Engine.Portals;
using Scuse.Engine.Reactors;
using Scuse.Iscsi.Access;
using Scuse.Linux;

namespace Scuse.Engine.Targets;

/// <summary>All targets of an engine: they come and go while it runs.</summary>
/// <remarks>
/// One change at a time, each to its end. Changes are for any thread but the reactor's and supervision's; what there is can be looked at by any thread, and changes as part of a change.
/// </remarks>
#pragma warning disable CA1001 // without a wait handle there is nothing to dispose of, and one that asks too late is told so
sealed partial class TargetSet
#pragma warning restore CA1001
{
    readonly EngineParts _parts;
    readonly PortalSet _portals;
    readonly int _descriptors;
    readonly SemaphoreSlim _changing = new(1, 1);
    readonly CancellationTokenSource _stopping = new();
    volatile EngineOptions _options; // the targets' own apart
    volatile ServedTarget[] _all = [];

    /// <summary>The targets that the engine begins with, ready to be started.</summary>
    /// <exception cref="EngineException">One cannot be; the message is for the operator.</exception>
    public TargetSet(EngineOptions options, EngineParts parts, PortalSet portals, int descriptors)
    {
        _options = options;
        _parts = parts;
        _portals = portals;
        _descriptors = descriptors;
        parts.Count.Count = options.Targets.Count;
        foreach (TargetOptions each in options.Targets)
        {
            if (Named(each.Name) is not null)
            {
                throw new EngineException($"there are two targets {each.Name}");
            }

            var target = new ServedTarget(each, options, parts, Emptiest());
            parts.Attach.Add(target.Slots);
            _all = [.. _all, target];
        }
    }

    /// <summary>Where the next target goes: to the reactor that has the fewest logical units; of several to the last, since the first one has the logins.</summary>
    Shard Emptiest() => _parts.Shards.All.Reverse().MinBy(shard => _all.Where(target => target.Shard == shard).Sum(static target => target.Backstores.Count + 1))!;

    /// <summary>Those that initiators can find. A number without a target's name means the first one.</summary>
    public IReadOnlyList<ServedTarget> All => _all;

    /// <summary>What the engine was started with, and what has changed since.</summary>
    public EngineOptions Options => _options with { Targets = [.. _all.Select(static target => target.Options)], Portals = [.. _portals.All.Select(static portal => portal.Options)] };

    /// <summary>The target of that name, or with that part after its last colon, where it is the only one; null when there is none.</summary>
    public ServedTarget? Find(string name)
    {
        ServedTarget[] all = _all;
        return Array.Find(all, target => IsNamed(target, name))
            ?? (all.Where(target => target.Name[(target.Name.LastIndexOf(':') + 1)..].Equals(name, StringComparison.OrdinalIgnoreCase)).Take(2).ToArray() is [var only] ? only : null);
    }

    ServedTarget? Named(string name) => Array.Find(_all, target => IsNamed(target, name));

    static bool IsNamed(ServedTarget target, string name) => target.Name.Equals(name, StringComparison.OrdinalIgnoreCase);

    // ---- the engine starts and stops ----

    /// <summary>Starts the first ones, and shows them to initiators.</summary>
    /// <exception cref="EngineException">A handler did not come up; the message is for the operator.</exception>
    public async Task StartAsync(CancellationToken cancellation)
    {
        await Task.WhenAll(_all.Select(target => target.StartAsync(cancellation)));
        await Task.WhenAll(_all.Select(static target => target.Shard.Reactor.InvokeAsync(() => target.Shard.Server.Add(target.Node))));
    }

    /// <summary>No change from now on; one that is under way is called off or ends first.</summary>
    public async Task StopAsync()
    {
        await _stopping.CancelAsync();
        await _changing.WaitAsync();
    }

    /// <summary>Makes a change when no other is under way.</summary>
    /// <exception cref="EngineException">The engine stops; or whatever the change says.</exception>
    public async Task<T> ChangeAsync<T>(Func<Task<T>> change)
    {
        try
        {
            await _changing.WaitAsync(_stopping.Token);
        }
        catch (OperationCanceledException)
        {
            throw new EngineException("the engine stops");
        }

        try
        {
            return await change();
        }
        catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
        {
            throw new EngineException("the engine stops");
        }
        finally
        {
            _changing.Release();
        }
    }

    /// <summary>As part of a change: who may log in from now on, to discovery and to those targets that there are. Sessions of initiators that may no longer are dropped.</summary>
    /// <exception cref="EngineException">The rules are wrong; then nothing has changed.</exception>
    public async Task SetAccessAsync(EngineOptions next)
    {
        TargetAccess discovery = ServedTarget.RulesOf(next.DiscoveryAccess);
        (ServedTarget Target, TargetOptions Options, TargetAccess Access)[] changes =
        [
            .. next.Targets.Select(options => (Target: Named(options.Name), options)).Where(static each => each.Target is not null)
                .Select(static each => (each.Target!, each.Target!.Options with { Access = each.options.Access, ChapFile = each.options.ChapFile }, ServedTarget.RulesOf(each.options.Access))),
        ];
        _options = _options with { DiscoveryAccess = next.DiscoveryAccess, ChapFile = next.ChapFile, AllowAnyone = next.AllowAnyone };
        _parts.Shards.Entity.DiscoveryAccess = discovery;
        await _parts.Shards.InvokeAsync(shard =>
        {
            foreach ((ServedTarget target, TargetOptions options, TargetAccess access) in changes.Where(each => each.Target.Shard == shard))
            {
                target.Options = options;
                target.Node.Access = access;
            }
        });
    }

    // ---- changes ----

    /// <summary>Brings a target up, and shows it to initiators when all its handlers serve. When that fails nothing has changed.</summary>
    /// <exception cref="EngineException">It cannot be; the message is for the operator.</exception>
    public Task<ServedTarget> AddAsync(TargetOptions options) => ChangeAsync(() => AddOneAsync(options));

    /// <summary>Takes a target away from its initiators and ends it. What it has kept in files stays.</summary>
    /// <param name="name">Its name, or what <see cref="Find"/> takes.</param>
    /// <param name="force">Even if initiators are logged in.</param>
    /// <returns>The target, and how many sessions were dropped.</returns>
    /// <exception cref="EngineException">It stays; the message is for the operator.</exception>
    public Task<(ServedTarget Target, int Sessions)> RemoveAsync(string name, bool force) => ChangeAsync(async () =>
    {
        ServedTarget target = Find(name) ?? throw NotThere(name);
        if (_all.Length == 1 && !_options.MayBeEmpty)
        {
            throw new EngineException($"{target.Name} is the only target: add another one first, or end the engine");
        }

        return (target, await RemoveOneAsync(target, force));
    });

    /// <summary>
    /// Makes the targets, and who may log in, what they are to be: first those go that are to be no more, then rules change, then the others come. What is wrong is found before anything
    /// is done, but for handlers that do not come up.
    /// </summary>
    /// <param name="next">What is to be.</param>
    /// <param name="force">Even if initiators are logged in to a target that is to go.</param>
    /// <exception cref="EngineException">Nothing was done; the message is for the operator.</exception>
    public Task<Reconfiguration> ReconfigureAsync(EngineOptions next, bool force) => ChangeAsync(async () =>
    {
        ServedTarget[] going = [.. _all.Where(target => !next.Targets.Any(options => IsNamed(target, options.Name)))];
        TargetOptions[] coming = [.. next.Targets.Where(options => Named(options.Name) is null)];
        (ServedTarget Target, TargetOptions Next)[] staying = [.. next.Targets.Except(coming).Select(options => (Named(options.Name)!, options))];
        string[] changed = [.. staying.Where(static each => !each.Target.Options.Access.IsSameAs(each.Next.Access)).Select(static each => each.Target.Name)];
        bool isDiscoveryChanged = !_options.DiscoveryAccess.IsSameAs(next.DiscoveryAccess);
        await CheckAsync(next, going, coming, force);

        foreach (ServedTarget target in going)
        {
            await RemoveOneAsync(target, force);
        }

        await SetAccessAsync(next);
        List<string> added = [];
        List<FailedTarget> failed = [];
        foreach (TargetOptions options in coming)
        {
            try
            {
                await AddOneAsync(options);
                added.Add(options.Name);
            }
            catch (EngineException exception)
            {
                failed.Add(new FailedTarget(options.Name, exception.Message));
            }
        }

        string[] order = [.. next.Targets.Select(static options => options.Name)];
        _all = [.. _all.OrderBy(target => Array.FindIndex(order, name => IsNamed(target, name)))];
        return new Reconfiguration
        {
            Added = added,
            Removed = [.. going.Select(static target => target.Name)],
            Changed = changed,
            IsDiscoveryChanged = isDiscoveryChanged,
            NeedsRestart = [.. staying.Where(static each => !HasSameLuns(each.Target.Options, each.Next)).Select(static each => $"the LUNs of {each.Target.Name}: remove it and add it again")],
            Failed = failed,
        };
    });

    /// <exception cref="EngineException">It cannot be done.</exception>
    async Task CheckAsync(EngineOptions next, ServedTarget[] going, TargetOptions[] coming, bool force)
    {
        EngineOptions then = Options with { Targets = next.Targets, AllowAnyone = next.AllowAnyone };
        if (then.Portals.Select(portal => Exposure.ProblemOf(then, portal)).FirstOrDefault(static problem => problem is not null) is { } exposed)
        {
            throw new EngineException(exposed);
        }

        HashSet<string> devices = [.. _all.Except(going).SelectMany(static target => target.Slots).Select(static slot => slot.Options.DeviceName)];
        if (coming.SelectMany(static options => options.Luns).FirstOrDefault(lun => !devices.Add(lun.DeviceName)) is { } twice)
        {
            throw new EngineException($"'{twice.Spec}': there is another device named '{twice.DeviceName}'");
        }

        if (!force)
        {
            await _parts.Shards.InvokeAsync(shard => Array.ForEach([.. going.Where(target => target.Shard == shard)], CheckNobodyIsIn));
        }
    }

    static bool HasSameLuns(TargetOptions one, TargetOptions other) =>
        AccessOptions.AreSame([.. one.Luns.OrderBy(static lun => lun.Number)], [.. other.Luns.OrderBy(static lun => lun.Number)], static (a, b) => a.IsSameAs(b));

    /// <summary>On its reactor.</summary>
    /// <exception cref="EngineException">Somebody is.</exception>
    static void CheckNobodyIsIn(ServedTarget target)
    {
        if (target.Node.Sessions.Count is > 0 and var sessions)
        {
            throw new EngineException($"{target.Name} has {Counted(sessions, "session")}: have the initiators log out (scuse drain --target {target.Name}), or end them with --force");
        }
    }

    /// <summary>The one that says that there is no such target.</summary>
    public EngineException NotThere(string name) =>
        new(_all.Length == 0 ? $"there is no target {name}; there is none at all" : $"there is no target {name}; there are {string.Join(", ", _all.Select(static target => target.Name))}");

    /// <summary>As part of a change: a target comes.</summary>
    async Task<ServedTarget> AddOneAsync(TargetOptions options)
    {
        Check(options);
        _parts.Count.Count = _all.Length + 1;
        ServedTarget? target = null;
        try
        {
            target = new ServedTarget(options, _options, _parts, Emptiest());
            await _parts.Attach.AddAsync(target.Slots);
            await target.StartAsync(_stopping.Token);
            await target.Shard.Reactor.InvokeAsync(() => Show([.. _all, target], target));
        }
        catch
        {
            if (target is not null)
            {
                await target.EndAsync(_options.DrainMs);
            }

            _parts.Count.Count = _all.Length;
            throw;
        }

        LogAdded(_parts.Logger, target.Name, target.Backstores.Count);
        target.TellWaiting();
        return target;
    }

    /// <summary>As part of a change: a target goes. Returns how many sessions were dropped.</summary>
    async Task<int> RemoveOneAsync(ServedTarget target, bool force)
    {
        int sessions = 0;
        await target.Shard.Reactor.InvokeAsync(() =>
        {
            if (!force)
            {
                CheckNobodyIsIn(target);
            }

            sessions = target.Node.Sessions.Count;
            target.Shard.Server.Remove(target.Node); // drops its sessions, and with them what they have under way
            Show([.. _all.Where(other => other != target)], null);
        });
        await target.EndAsync(_options.DrainMs);
        _parts.Count.Count = _all.Length;
        string dropped = Counted(sessions, "session");
        LogRemoved(_parts.Logger, target.Name, dropped);
        return sessions;
    }

    /// <summary>On the target's reactor.</summary>
    void Show(ServedTarget[] all, ServedTarget? added)
    {
        if (added is not null)
        {
            added.Shard.Server.Add(added.Node);
        }

        _all = all;
        _parts.Shards.Entity.MaxConnections = DescriptorBudget.ConnectionsOf(Options, _descriptors);
    }

    /// <exception cref="EngineException">Such a target cannot be added.</exception>
    void Check(TargetOptions options)
    {
        if (Named(options.Name) is not null)
        {
            throw new EngineException($"there is a target {options.Name} already");
        }

        EngineOptions now = Options;
        if (now.Portals.Select(portal => Exposure.ProblemOf(now, options, portal)).FirstOrDefault(static problem => problem is not null) is { } exposed)
        {
            throw new EngineException(exposed);
        }
    }

    static string Counted(int count, string what) => count == 1 ? $"1 {what}" : $"{count} {what}s";

    [LoggerMessage(Level = LogLevel.Information, Message = "target {Target} was added; LUNs: {Luns}")]
    static partial void LogAdded(ILogger logger, string target, int luns);

    [LoggerMessage(Level = LogLevel.Information, Message = "target {Target} was removed, with {Sessions}")]
    static partial void LogRemoved(ILogger logger, string target, string sessions);
}
