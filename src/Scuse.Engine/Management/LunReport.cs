using Scuse.Engine.Backstores;
using Scuse.Ring.Diagnostics;
using Scuse.Scsi;

namespace Scuse.Engine.Management;

/// <summary>Makes immutable records of a logical unit's state. On the owning reactor only; what takes longer is left for afterwards.</summary>
static class LunReport
{
    /// <summary>What a command of the engine's own has for an initiator.</summary>
    const string Own = "engine";

    public static LunStatus Of(string target, UserBackstore backstore)
    {
        LunOptions options = backstore.Options;
        HandlerLink? link = backstore.Link;
        LunState state = StateOf(backstore);
        return new LunStatus
        {
            Target = target,
            Number = options.Number,
            Spec = options.Spec,
            Device = options.DeviceName,
            Pool = options.Pool,
            State = state,
            SizeBytes = backstore.IsOpen ? backstore.Info.SizeBytes : 0,
            BlockSize = backstore.IsOpen ? backstore.Info.BlockSize : 0,
            Level = backstore.IsOpen ? backstore.PassLevel : options.Level,
            OnHandlerLoss = options.OnHandlerLoss,
            CommandTimeoutMs = options.CommandTimeoutMs,
            QueueFullTimeoutMs = options.QueueFullTimeoutMs,
            Handler = HandlerOf(link),
            Outstanding = OutstandingOf(backstore),
            WaitingForRoom = state == LunState.Serving ? WaitingIn(backstore) : 0,
            Held = state == LunState.Serving ? 0 : WaitingIn(backstore),
            Kept = backstore.All.Sum(static each => each.Kept),
            DataArea = DataAreaOf(backstore) ?? new DataAreaStatus(options.DataAreaBytes, Ring.RingAbi.PageBytes, 0, 0),
        };
    }

    /// <summary>The stages that any command has gone through.</summary>
    public static IEnumerable<StageLatency> Latency(string target, int lun, StageTimes times)
    {
        static double Us(double ns) => Math.Round(ns / 1000, 2);
        foreach (CommandStage stage in Enum.GetValues<CommandStage>())
        {
            if (times.Count(stage) is > 0 and long count)
            {
                yield return new StageLatency(
                    target, lun, stage, count, Us((double)times.SumNs(stage) / count),
                    Us(times.PercentileNs(stage, 0.5)), Us(times.PercentileNs(stage, 0.99)), Us(times.PercentileNs(stage, 0.999)), Us(times.MostNs(stage)));
            }
        }
    }

    public static LunState StateOf(UserBackstore backstore) =>
        backstore.IsBlocked ? LunState.Blocked
        : backstore.IsDraining ? LunState.Draining
        : backstore.IsAttached ? LunState.Serving
        : LunState.WaitingForHandler;

    /// <summary>Before the first handler commands wait in the target core, which cannot know yet what they mean.</summary>
    public static int WaitingIn(UserBackstore backstore) => backstore.IsOpen ? backstore.All.Sum(static each => each.Waiting) : backstore.LogicalUnit.TaskCount;

    /// <summary>How many commands the handler has, by all of its rings.</summary>
    public static int OutstandingOf(UserBackstore backstore) => backstore.All.Sum(static each => each.Link?.Outstanding ?? 0);

    /// <summary>The same, with what supervision knows of the handler. It is asked a moment later, and believed in what it alone knows.</summary>
    public static LunStatus With(LunStatus lun, HandlerState state)
    {
        HandlerConnection? known = state.Handler;
        HandlerStatus? handler = known is null || (lun.Handler is { } other && other.Pid != known.Pid)
            ? lun.Handler
            : new HandlerStatus { Name = known.Handler, Pid = known.Pid, Phase = known.Phase, Origin = known.Origin, Since = known.Since };
        return lun with
        {
            Handler = handler,
            Successor = state.Successor is { } next ? new HandlerStatus { Name = next.Handler, Pid = next.Pid, Phase = next.Phase, Origin = next.Origin, Since = next.Since } : null,
            IsSupervised = state.IsSupervised,
            Restarts = state.Restarts,
            Replacements = state.Replacements,
            LastEnding = state.LastEnding,
            LastEndingAt = state.LastEndingAt,
        };
    }

    /// <summary>The ring's bytes and the engine's own record, taken together; returns how to make the report of them, which needs no reactor.</summary>
    public static Func<RingStatus> SnapshotRing(string target, UserBackstore backstore, UserBackstore way, long nowMs)
    {
        DateTimeOffset at = DateTimeOffset.UtcNow;
        HandlerLink? link = way.Link;
        LunState state = StateOf(backstore);
        int number = backstore.All.TakeWhile(each => each != way).Count(), rings = backstore.All.Count;
        CommandStatus[] commands = [.. CommandsOf(way, nowMs)];
        if (link is null)
        {
            return () => new RingStatus { Target = target, Lun = backstore.Options.Number, Number = number, Rings = rings, At = at, State = state, Commands = commands };
        }

        byte[] bytes = new byte[link.Ring.Layout.DataOffset];
        int length = ReadMemory(link, bytes);
        uint reaped = link.Ring.ReapedOffset;
        long regionBytes = link.Region.LengthBytes;
        HandlerStatus? handler = HandlerOf(link);
        DataAreaStatus? dataArea = DataAreaOf(link);
        return () => new RingStatus
        {
            Target = target,
            Lun = backstore.Options.Number,
            Number = number,
            Rings = rings,
            At = at,
            State = state,
            Handler = handler,
            DataArea = dataArea,
            Ring = RingDump.Read(bytes.AsSpan(0, length), regionBytes, reaped).WithOperations(static cdb => OperationName.Describe(cdb)),
            Commands = commands,
        };
    }

    /// <summary>The handler's region under a descriptor of its own; null while there is no handler.</summary>
    public static SavedRegion? OpenRegion(UserBackstore backstore) =>
        backstore.Link is { } link
            ? new SavedRegion(
                link.OpenMemory(),
                link.Region.LengthBytes,
                link.Ring.Layout.DataOffset,
                link.Ring.Layout.DataOffset + ((long)link.DataArea.HighWaterBlocks * link.Ring.Layout.BlockBytes))
            : null;

    static int ReadMemory(HandlerLink link, byte[] into)
    {
        using var memory = link.OpenMemory();
        return RandomAccess.Read(memory, into, 0);
    }

    static HandlerStatus? HandlerOf(HandlerLink? link) => link is null ? null : new HandlerStatus { Name = link.HandlerName, Pid = link.Pid };

    /// <summary>Of all its regions together.</summary>
    public static DataAreaStatus? DataAreaOf(UserBackstore backstore) => backstore.All.Select(static each => DataAreaOf(each.Link)).Aggregate(static (sum, each) =>
        sum is null || each is null ? sum ?? each : new DataAreaStatus(sum.LimitBytes + each.LimitBytes, sum.BlockBytes, sum.BlocksInUse + each.BlocksInUse, sum.HighWaterBlocks + each.HighWaterBlocks));

    static DataAreaStatus? DataAreaOf(HandlerLink? link) =>
        link is null ? null : new DataAreaStatus(link.Ring.Layout.DataBytes, link.Ring.Layout.BlockBytes, link.DataArea.BlocksInUse, link.DataArea.HighWaterBlocks);

    static IEnumerable<CommandStatus> CommandsOf(UserBackstore backstore, long nowMs) =>
        backstore.Commands.Where(static command => command.State != RingCommandState.Free)
            .OrderBy(static command => command.Sequence)
            .Select(command => CommandOf(command, backstore.Options.CommandTimeoutMs, nowMs));

    static CommandStatus CommandOf(RingCommand command, int limitMs, long nowMs)
    {
        CommandState state = command.State switch
        {
            RingCommandState.WantsMemory => CommandState.WaitingForMemory,
            RingCommandState.Collecting => CommandState.Collecting,
            RingCommandState.WantsSlot => CommandState.WaitingForSlot,
            RingCommandState.Posted when command.Task is null && command.Call is null => CommandState.Overdue,
            RingCommandState.Posted when !command.IsWanted => CommandState.Aborted,
            RingCommandState.Posted => CommandState.WithHandler,
            RingCommandState.Kept => CommandState.Kept,
            _ => CommandState.Answered,
        };
        bool hasHandler = command.State == RingCommandState.Posted;
        bool isPending = state is CommandState.WaitingForMemory or CommandState.WaitingForSlot or CommandState.WithHandler;
        bool isKnown = command.Task is not null || command.Call is not null;
        return new CommandStatus
        {
            Id = command.State is RingCommandState.Posted or RingCommandState.Kept ? command.Id : 0,
            State = state,
            Command = isKnown ? OperationName.Describe(command.Cdb) : "",
            AgeMs = nowMs - command.ArrivedMs,
            WithHandlerMs = hasHandler ? nowMs - command.PostedMs : null,
            TimeLeftMs = limitMs > 0 && isPending ? command.ArrivedMs + limitMs - nowMs : null,
            Initiator = command.Call is not null ? Own : command.Task?.Nexus?.InitiatorPort ?? "",
            Tag = command.Task?.Tag,
            WasPosted = command.WasPosted,
            DataOutBytes = command.OutLength,
            DataInBytes = command.InLength,
        };
    }
}
