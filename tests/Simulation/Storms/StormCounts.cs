namespace Scuse.Simulation.Storms;

/// <summary>What a storm was made of.</summary>
sealed class StormCounts
{
    readonly SortedDictionary<string, int> _outcomes = [];

    public int Sent { get; set; }

    public int Attached { get; set; }

    public int Dropped { get; set; }

    public int Replaced { get; set; }

    public int Restarts { get; set; }

    public int Quiets { get; set; }

    public IReadOnlyDictionary<string, int> Outcomes => _outcomes;

    public void Add(string outcome) => _outcomes[outcome] = _outcomes.GetValueOrDefault(outcome) + 1;

    public void Add(StormCounts other)
    {
        Sent += other.Sent;
        Attached += other.Attached;
        Dropped += other.Dropped;
        Replaced += other.Replaced;
        Restarts += other.Restarts;
        Quiets += other.Quiets;
        foreach ((string outcome, int count) in other._outcomes)
        {
            _outcomes[outcome] = _outcomes.GetValueOrDefault(outcome) + count;
        }
    }

    public override string ToString() =>
        $"{Sent} commands, {Attached} handlers attached, {Dropped} given up, {Replaced} replaced, {Restarts} engine restarts, {Quiets} times quiet; " +
        string.Join(", ", _outcomes.Select(static outcome => $"{outcome.Key}: {outcome.Value}"));
}
