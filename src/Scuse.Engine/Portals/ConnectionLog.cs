using Microsoft.Extensions.Logging;
using Scuse.Engine.Supervision;

namespace Scuse.Engine.Portals;

/// <summary>
/// Tells of connections that were refused and that ended, in as many lines as a person can read: whoever connects over and over does not fill the disk that the log is on. Refusals have a
/// budget of their own, so that a flood of other connections does not hide them.
/// </summary>
/// <remarks>Called from any thread.</remarks>
sealed partial class ConnectionLog(ILogger logger)
{
    public const int LinesPerSecond = 20, Burst = 200;

    const int SummaryMs = 1000;

    readonly Lock _lock = new();
    TokenBucket _refusals = new(LinesPerSecond, Burst);
    TokenBucket _endings = new(LinesPerSecond, Burst);
    int _untoldRefusals;
    int _untoldEndings;
    long _toldMs;

    /// <summary>A connection was not let in.</summary>
    public void Refused(string remote, string reason, long nowMs)
    {
        if (MayTell(ref _refusals, ref _untoldRefusals, nowMs))
        {
            LogRefused(logger, remote, reason);
        }
    }

    /// <summary>A connection has ended.</summary>
    public void Ended(string remote, string reason, long nowMs)
    {
        if (MayTell(ref _endings, ref _untoldEndings, nowMs))
        {
            LogEnded(logger, remote, reason);
        }
    }

    /// <summary>Something else about a connection. True when it may be told.</summary>
    public bool MayTell(long nowMs) => MayTell(ref _endings, ref _untoldEndings, nowMs);

    /// <summary>Sums up what was not told.</summary>
    public void Tick(long nowMs)
    {
        int refusals, endings;
        lock (_lock)
        {
            if (_untoldRefusals + _untoldEndings == 0 || nowMs - _toldMs < SummaryMs)
            {
                return;
            }

            _toldMs = nowMs;
            (refusals, endings) = (_untoldRefusals, _untoldEndings);
            _untoldRefusals = _untoldEndings = 0;
        }

        LogUntold(logger, refusals, endings);
    }

    bool MayTell(ref TokenBucket budget, ref int untold, long nowMs)
    {
        lock (_lock)
        {
            if (budget.TryTake(nowMs))
            {
                return true;
            }

            untold++;
            return false;
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "connection from {Remote} refused: {Reason}")]
    static partial void LogRefused(ILogger logger, string remote, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "connection from {Remote} ended: {Reason}")]
    static partial void LogEnded(ILogger logger, string remote, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Refusals} connections more were refused and {Endings} more ended than there are lines for")]
    static partial void LogUntold(ILogger logger, int refusals, int endings);
}
