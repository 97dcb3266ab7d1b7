using Microsoft.Extensions.Logging;
using Scuse.Engine.Targets;

namespace Scuse.Engine.Backstores;

/// <summary>Tells the operator what happens to a logical unit: each thing as a line of the log and as an event to be looked up later.</summary>
/// <remarks>Touched only by the owning reactor, or by whichever is alone, but for <see cref="QueueFull"/>. What a flood of commands can bring about is told once a second, with how often it happened.</remarks>
sealed partial class LunJournal(LunName lun, ILogger logger)
{
    const int RepeatMs = 1000;

    readonly Lock _fullLock = new(); // the one thing that several reactors of a spread target may have to tell at once
    RateLimit _slow, _late, _full;

    public LunEvents Events { get; } = new();

    public void Attached(HandlerLink link, int repeated)
    {
        Events.Add(LunEventKind.Attached, $"handler {link.HandlerName} attached (pid {link.Pid})");
        LogAttached(logger, lun, link.HandlerName, link.Pid);
        if (repeated > 0)
        {
            Events.Add(LunEventKind.Repeated, $"{repeated} commands that the handler before had are repeated");
            LogRepeated(logger, lun, repeated);
        }
    }

    public void NotRepeated(int count)
    {
        Events.Add(LunEventKind.NotRepeated, $"{count} commands that must not be executed twice have failed with ABORTED COMMAND");
        LogNotRepeated(logger, lun, count);
    }

    public void Detached(HandlerLink link, string reason, bool asPlanned)
    {
        if (asPlanned)
        {
            Events.Add(LunEventKind.Removed, $"handler {link.HandlerName} (pid {link.Pid}) has ended");
            LogRemoved(logger, lun, link.HandlerName, link.Pid);
        }
        else
        {
            Events.Add(LunEventKind.Lost, $"handler {link.HandlerName} (pid {link.Pid}) is gone: {reason}; it had {link.Outstanding} commands");
            LogDetached(logger, lun, link.HandlerName, link.Pid, reason, link.Outstanding);
        }
    }

    public void Violation(HandlerLink link, string violation)
    {
        Events.Add(LunEventKind.Violation, $"handler {link.HandlerName} (pid {link.Pid}) broke the ring's rules: {violation}");
        LogViolation(logger, lun, link.HandlerName, link.Pid, violation);
    }

    public void Hung(HandlerLink link)
    {
        Events.Add(LunEventKind.Hung, $"handler {link.HandlerName} (pid {link.Pid}) did not answer in time and was given up");
        LogHung(logger, lun, link.HandlerName, link.Pid);
    }

    public void Slow(long nowMs, string command, string where, long ageMs)
    {
        if (_slow.Allows(nowMs, out int others))
        {
            Events.Add(LunEventKind.Slow, $"{command} takes {ageMs} ms so far, {where}{Others(others)}");
            LogSlow(logger, lun, command, ageMs, where, Others(others));
        }
    }

    public void TimedOut(long nowMs, string command, string where, int limitMs)
    {
        if (_late.Allows(nowMs, out int others))
        {
            Events.Add(LunEventKind.TimedOut, $"{command} was not answered within {limitMs} ms, {where}{Others(others)}");
            LogTimedOut(logger, lun, command, limitMs, where, Others(others));
        }
    }

    public void QueueFull(long nowMs, string command, int limitMs)
    {
        lock (_fullLock)
        {
            if (!_full.Allows(nowMs, out int others))
            {
                return;
            }

            Events.Add(LunEventKind.QueueFull, $"{command} found no room within {limitMs} ms and ended with TASK SET FULL{Others(others)}");
            LogQueueFull(logger, lun, command, limitMs, Others(others));
        }
    }

    public void Blocked()
    {
        Events.Add(LunEventKind.Blocked, "blocked: commands wait");
        LogBlocked(logger, lun);
    }

    public void Unblocked()
    {
        Events.Add(LunEventKind.Unblocked, "unblocked");
        LogUnblocked(logger, lun);
    }

    public void RingReset(int ended, RingReset how)
    {
        string outcome = how == Engine.RingReset.Busy ? "BUSY" : "LOGICAL UNIT COMMUNICATION FAILURE";
        Events.Add(LunEventKind.RingReset, $"ring reset: {ended} commands ended with {outcome}");
        LogRingReset(logger, lun, ended, outcome);
    }

    public void Draining(int outstanding) => Events.Add(LunEventKind.Draining, $"draining: the handler has {outstanding} commands");

    public void Resumed() => Events.Add(LunEventKind.Resumed, "posting goes on to the same handler");

    public void Resized(long sizeBytes)
    {
        Events.Add(LunEventKind.Resized, $"the device has {sizeBytes} bytes now");
        LogResized(logger, lun, sizeBytes);
    }

    static string Others(int count) => count > 0 ? $" ({count} more like it in the second before)" : "";

    /// <summary>Lets one a second through and counts the rest.</summary>
    struct RateLimit
    {
        long _nextMs;
        int _suppressed;

        public bool Allows(long nowMs, out int suppressed)
        {
            suppressed = _suppressed;
            if (nowMs < _nextMs)
            {
                _suppressed++;
                return false;
            }

            _nextMs = nowMs + RepeatMs;
            _suppressed = 0;
            return true;
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "{Lun}: handler {Handler} attached (pid {Pid})")]
    static partial void LogAttached(ILogger logger, LunName lun, string handler, int pid);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Lun}: {Repeated} commands held for it are repeated")]
    static partial void LogRepeated(ILogger logger, LunName lun, int repeated);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Lun}: {Count} commands of the lost handler must not be executed twice and have failed with ABORTED COMMAND")]
    static partial void LogNotRepeated(ILogger logger, LunName lun, int count);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Lun}: handler {Handler} (pid {Pid}) has ended")]
    static partial void LogRemoved(ILogger logger, LunName lun, string handler, int pid);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Lun}: handler {Handler} (pid {Pid}) is gone: {Reason}; it had {Held} commands")]
    static partial void LogDetached(ILogger logger, LunName lun, string handler, int pid, string reason, int held);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Lun}: handler {Handler} (pid {Pid}) broke the ring's rules: {Violation}; it is given up")]
    static partial void LogViolation(ILogger logger, LunName lun, string handler, int pid, string violation);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Lun}: handler {Handler} (pid {Pid}) did not answer in time and is given up")]
    static partial void LogHung(ILogger logger, LunName lun, string handler, int pid);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Lun}: slow: {Command} takes {AgeMs} ms so far, {Where}{Others}")]
    static partial void LogSlow(ILogger logger, LunName lun, string command, long ageMs, string where, string others);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Lun}: {Command} was not answered within {LimitMs} ms ({Where}) and has failed with LUN COMMUNICATION FAILURE{Others}")]
    static partial void LogTimedOut(ILogger logger, LunName lun, string command, int limitMs, string where, string others);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Lun}: {Command} found no room within {LimitMs} ms and has ended with TASK SET FULL{Others}")]
    static partial void LogQueueFull(ILogger logger, LunName lun, string command, int limitMs, string others);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Lun}: blocked; commands wait")]
    static partial void LogBlocked(ILogger logger, LunName lun);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Lun}: unblocked")]
    static partial void LogUnblocked(ILogger logger, LunName lun);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Lun}: ring reset; {Ended} commands ended with {Outcome}")]
    static partial void LogRingReset(ILogger logger, LunName lun, int ended, string outcome);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Lun}: the device has {SizeBytes} bytes now; every initiator is told")]
    static partial void LogResized(ILogger logger, LunName lun, long sizeBytes);
}
