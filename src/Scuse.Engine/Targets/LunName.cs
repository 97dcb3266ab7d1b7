namespace Scuse.Engine.Targets;

/// <summary>What lines for people call a logical unit: <c>LUN 0</c>, and in an engine with several targets <c>LUN iqn.2026-11.example:disks/0</c>.</summary>
/// <param name="number">The logical unit number.</param>
/// <param name="target">Its target's name.</param>
/// <param name="targets">How many there are now; null: one, for ever.</param>
sealed class LunName(int number, string target = "", TargetCount? targets = null)
{
    public override string ToString() => targets is { AreSeveral: true } ? $"LUN {target}/{number}" : $"LUN {number}";

    /// <summary>What they call a pool that the logical unit is in.</summary>
    public string OfPool(string pool) => targets is { AreSeveral: true } ? $"pool {target}/{pool}" : $"pool {pool}";
}
