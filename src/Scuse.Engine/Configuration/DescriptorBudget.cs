namespace Scuse.Engine;

/// <summary>
/// How many connections fit into the descriptors that the process may have, with enough left for its handlers: a flood of connections may not keep a handler from being started again.
/// </summary>
static class DescriptorBudget
{
    /// <summary>What the engine needs beside connections and handlers: listeners, epoll sets, the control interface, the log, the runtime.</summary>
    const int OwnDescriptors = 192;

    /// <summary>What a logical unit needs at most: while its handler is replaced there are two, each with a socket, a process, a region and doorbells.</summary>
    const int DescriptorsOfAUnit = 12;

    /// <summary>What it needs for each more ring that it has, of both handlers: a region and doorbells.</summary>
    const int DescriptorsOfARing = 6;

    /// <summary>A connection behind TLS has its socket, and a pair that carries what is decrypted.</summary>
    const int DescriptorsOfATlsConnection = 3;

    /// <summary>With fewer connections than this nobody is helped: then what there is has to do.</summary>
    const int LeastConnections = 16;

    /// <summary>How many connections there may be at a time, of those that the options allow.</summary>
    public static int ConnectionsOf(EngineOptions options, int descriptors)
    {
        int each = options.Portals.Any(static portal => portal.Tls is not null) ? DescriptorsOfATlsConnection : 1;
        long units = options.Targets.Sum(static target => (long)target.Luns.Count);
        int moreRings = options.SpreadTargets ? options.Reactors - 1 : 0;
        long room = (descriptors - OwnDescriptors - (units * (DescriptorsOfAUnit + (moreRings * DescriptorsOfARing)))) / each;
        return (int)Math.Min(options.Iscsi.MaxConnections, Math.Max(room, LeastConnections));
    }
}
