namespace Scuse.Device;

/// <summary>A threshold descriptor of the Logical Block Provisioning mode page. SBC-5 clause 6.5.9.2.</summary>
/// <param name="IsEnabled">ENABLED.</param>
/// <param name="Count">THRESHOLD COUNT: where it is, in threshold sets of <see cref="ThresholdSets.SetBytes"/> bytes.</param>
public readonly record struct ResourceThreshold(bool IsEnabled, uint Count);
