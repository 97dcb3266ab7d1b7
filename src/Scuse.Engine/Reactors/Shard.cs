using Microsoft.Extensions.Logging;
using Scuse.Engine.Backstores;
using Scuse.Engine.Portals;
using Scuse.Iscsi;
using Scuse.Linux;

namespace Scuse.Engine.Reactors;

/// <summary>
/// A reactor and all that it owns: targets with their logical units, sessions and rings belong to one shard whole, so that no command ever meets another thread. Shards talk by posting work
/// to one another's reactors. Or targets are spread over all shards (<see cref="ShardSet.Rendezvous"/>): then sessions and rings belong to one, and the rest to whichever is alone.
/// </summary>
/// <param name="Index">Which one it is, from 0.</param>
/// <param name="Reactor">Its thread.</param>
/// <param name="Server">Its targets and sessions.</param>
/// <param name="Memory">What the data areas of its logical units are a share of.</param>
/// <param name="Connections">Its connections.</param>
sealed record Shard(int Index, Reactor Reactor, IscsiServer Server, DataMemory Memory, ConnectionSet Connections);

/// <summary>All shards of an engine; there are as many from its start to its end.</summary>
/// <remarks>From any thread.</remarks>
sealed class ShardSet
{
    /// <summary>With less than this for buffers, one session that uses what it is given would be too much.</summary>
    const long LeastBufferedBytes = 64L << 20;

    readonly Shard[] _all;

    public ShardSet(EngineOptions options, ILogger logger)
    {
        Entity = new IscsiEntity();
        var log = new ConnectionLog(logger);
        IscsiOptions iscsi = options.Iscsi with { MaxBufferedBytes = Math.Max(options.Iscsi.MaxBufferedBytes / options.Reactors, Math.Min(options.Iscsi.MaxBufferedBytes, LeastBufferedBytes)) };
        int[] processors = Processor.Allowed();
        _all = new Shard[options.Reactors];
        Rendezvous = options is { SpreadTargets: true, Reactors: > 1 } ? new Rendezvous(options.Reactors) : null;
        for (int i = 0; i < _all.Length; i++)
        {
            int index = i;
            var reactor = new Reactor($"scuse reactor {i}", options.SpinMicroseconds, logger) 
            {
                Index = i,
                Rendezvous = Rendezvous,
                Processor = options.PinReactors ? processors[i % processors.Length] : null,
            };
            var memory = new DataMemory(options.GlobalDataAreaBytes / _all.Length, reactor.NowMs, reactor.Post);
            var server = new IscsiServer(iscsi, Entity)
            {
                LoginFailed = (address, nowMs) =>
                {
                    foreach (Shard other in _all.Where(shard => shard.Index != index))
                    {
                        other.Reactor.Post(() => other.Server.NoteLoginFailure(address, nowMs));
                    }
                },
            };
            var connections = new ConnectionSet(reactor, server, this, log);
            reactor.AddTicker(memory.Tick);
            reactor.AddTicker(server.Tick);
            reactor.AddTicker(connections.Tick);
            _all[i] = new Shard(i, reactor, server, memory, connections);
        }

        Door.Reactor.AddTicker(log.Tick);
        Log = log;
    }

    /// <summary>What their servers share.</summary>
    public IscsiEntity Entity { get; }

    /// <summary>Where reactors meet, when targets are spread over all of them; null when each target is one reactor's.</summary>
    public Rendezvous? Rendezvous { get; }

    /// <summary>Tells of connections.</summary>
    public ConnectionLog Log { get; }

    public IReadOnlyList<Shard> All => _all;

    /// <summary>The one that accepts connections, and keeps those that only ask which targets there are. It has targets as the others do.</summary>
    public Shard Door => _all[0];

    /// <summary>Whether the threads run.</summary>
    public bool AreRunning => Door.Reactor.IsRunning;

    public Shard Of(IscsiServer server) => Array.Find(_all, shard => shard.Server == server)!;

    public void Start() => Array.ForEach(_all, static shard => shard.Reactor.Start());

    public void Stop()
    {
        Array.ForEach(_all, static shard => shard.Reactor.Stop());
        Array.ForEach(_all, static shard => shard.Reactor.Dispose());
    }

    /// <summary>Has every shard's thread run something, and waits for all of them.</summary>
    public Task InvokeAsync(Action<Shard> action) => Task.WhenAll(_all.Select(shard => shard.Reactor.InvokeAsync(() => action(shard))));

    /// <summary>Asks every shard's thread something; the answers are in their order.</summary>
    public async Task<T[]> AskAsync<T>(Func<Shard, T> question)
    {
        var answers = new T[_all.Length];
        await InvokeAsync(shard => answers[shard.Index] = question(shard));
        return answers;
    }
}
