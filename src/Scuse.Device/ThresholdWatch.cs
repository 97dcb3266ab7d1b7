using Scuse.Device.Commands;

namespace Scuse.Device;

/// <summary>Which thresholds have been reached and told of. SBC-5 clauses 4.7.3.7.4 to 4.7.3.7.6.</summary>
/// <remarks>Touched by one check at a time; a reset may come in between.</remarks>
sealed class ThresholdWatch
{
    volatile bool _availableWasTold, _usedWasTold;
    volatile byte _reachedOffset;

    public byte ReachedOffset => _reachedOffset;

    public void Reset() => _availableWasTold = _usedWasTold = false;

    /// <summary>Whether there is something to tell. A threshold is a range, half a set to either side of its count: within it is reached, and beyond the far end it is left.</summary>
    public bool Check(ModeParameters mode, in BlockResources resources)
    {
        const long halfSet = ThresholdSets.SetBytes / 2;
        bool isLow = mode.AvailableThreshold.IsEnabled && resources.AvailableBytes < At(mode.AvailableThreshold) + halfSet;
        bool isHigh = mode.UsedThreshold.IsEnabled && resources.UsedBytes > At(mode.UsedThreshold) - halfSet;
        bool tellsLow = isLow && !_availableWasTold, tellsHigh = isHigh && !_usedWasTold;
        _availableWasTold = isLow;
        _usedWasTold = isHigh;
        if (tellsLow || tellsHigh)
        {
            _reachedOffset = (byte)(tellsLow ? ModePages.AvailableThresholdOffset : ModePages.UsedThresholdOffset);
        }

        return tellsLow || tellsHigh;
    }

    static long At(ResourceThreshold threshold) => threshold.Count * (long)ThresholdSets.SetBytes;
}
