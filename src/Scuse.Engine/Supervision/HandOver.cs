using Microsoft.Extensions.Logging;
using Scuse.Engine.Targets;
using Scuse.Linux;

namespace Scuse.Engine.Supervision;

/// <summary>How a hand-over went.</summary>
enum HandOverEnd
{
    /// <summary>The new handlers serve.</summary>
    Done,

    /// <summary>Nothing has changed: those before go on.</summary>
    Untouched,

    /// <summary>Those before have gone, and not every new one serves: commands wait for somebody else.</summary>
    Lost,
}

/// <summary>What a hand-over came to.</summary>
/// <param name="End">How it went.</param>
/// <param name="Reason">Why not, where it is not done.</param>
readonly record struct HandOverOutcome(HandOverEnd End, string Reason = "");

/// <summary>
/// Passes devices from the handlers that serve them to those that wait for it. Commands wait meanwhile; none fails and none is repeated. Several devices,
/// those of a pool, pass together or not at all.
/// </summary>
/// <remarks>On the supervision thread. docs/decisions/0004-how-a-handler-is-replaced.md.</remarks>
static partial class HandOver
{
    public static async Task<HandOverOutcome> RunAsync(AttachServer server, IReadOnlyList<DeviceSlot> slots)
    {
        SupervisionLimits limits = server.Limits;
        (DeviceSlot Slot, AttachSession Next)[] passed = [.. slots.Where(static slot => slot.Successor is not null).Select(static slot => (slot, slot.Successor!))];
        int? oldPid = passed is [var first, ..] ? first.Slot.Session?.Pid : null;

        await Task.WhenAll(passed.Select(pass => pass.Slot.SettleAsync(limits.SettleMs)));
        bool[] drained = await Task.WhenAll(passed.Select(pass => pass.Slot.DrainAsync(limits.DrainMs)));
        string? obstacle = drained.Contains(false) ? $"the handler before did not finish its commands within {SupervisionLimits.Seconds(limits.DrainMs)} s"
            : passed.Any(static pass => pass.Slot.Successor != pass.Next) ? "the new handler has ended"
            : null;
        if (obstacle is not null)
        {
            foreach ((DeviceSlot slot, AttachSession next) in passed)
            {
                slot.Resume();
                server.Refuse(next, obstacle);
            }

            LogUntouched(server.Logger, DeviceSlot.NameOf(slots), obstacle);
            return new(HandOverEnd.Untouched, obstacle);
        }

        string?[] failures = await Task.WhenAll(passed.Select(pass => PassAsync(server, pass.Slot, pass.Next)));
        if (failures.FirstOrDefault(static failure => failure is not null) is { } failed)
        {
            LogLost(server.Logger, DeviceSlot.NameOf(slots), failed);
            foreach (DeviceSlot slot in slots.Where(static slot => slot.Supervisor is null))
            {
                slot.Resume(); // nobody brings another one soon
            }

            return new(HandOverEnd.Lost, failed);
        }

        foreach ((DeviceSlot slot, AttachSession next) in passed)
        {
            double pauseMs = Math.Round(slot.Pause.TotalMilliseconds, 1);
            LogReplaced(server.Logger, slot.Name, oldPid ?? 0, next.Pid, pauseMs);
        }

        return new(HandOverEnd.Done);
    }

    /// <summary>The old handler of one device goes, the new one comes. Returns why it did not, or null.</summary>
    static async Task<string?> PassAsync(AttachServer server, DeviceSlot slot, AttachSession next)
    {
        SupervisionLimits limits = server.Limits;
        if (slot.Session is { } old)
        {
            old.Remove();
            if (!await InTimeAsync(old.Closed, limits.RemoveMs))
            {
                LogKilled(server.Logger, slot.Name, old.HandlerName, old.Pid, SupervisionLimits.Seconds(limits.RemoveMs));
                old.Kill();
                await InTimeAsync(old.Closed, limits.KillMs); // its end is the end of its hold on the store
                server.End(old, "it did not let its device go in time");
            }
        }

        if (slot.Successor != next)
        {
            return "the new handler has ended";
        }

        try
        {
            slot.AdmitSuccessor();
        }
        catch (LinuxException exception)
        {
            server.End(next, exception.Message);
            return exception.Message;
        }

        return await next.Served; // in time: who is not ready by then is sent away
    }

    static async Task<bool> InTimeAsync(Task task, int deadlineMs) => await Task.WhenAny(task, Task.Delay(deadlineMs)) == task;

    [LoggerMessage(Level = LogLevel.Information, Message = "{Lun}: process {Next} has taken over from process {Old}; commands waited {Pause} ms")]
    static partial void LogReplaced(ILogger logger, LunName lun, int old, int next, double pause);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Device}: a handler could not be replaced and goes on: {Reason}")]
    static partial void LogUntouched(ILogger logger, string device, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Device}: the handler that was to take over does not serve: {Reason}")]
    static partial void LogLost(ILogger logger, string device, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Lun}: handler {Handler} (pid {Pid}) did not let its device go within {Seconds} s and is killed")]
    static partial void LogKilled(ILogger logger, LunName lun, string handler, int pid, string seconds);
}
