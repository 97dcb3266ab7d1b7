// Three classes at a time, but those of the collection Alone: each waits for processes to start, and for initiators, most of its time.
[assembly: Xunit.v3.Parallelization(Mode = Xunit.Sdk.ParallelMode.Collections, MaxThreads = 3)]
[assembly: TestCollectionOrderer(typeof(Scuse.Peers.LongestFirst))]

namespace Scuse.Peers;

/// <summary>The test classes that measure time or fill the machine by themselves: they run one after the other, when those that share it are done.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class Alone
{
    public const string Name = "alone";
}
